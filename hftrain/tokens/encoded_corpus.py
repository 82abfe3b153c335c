"""The encoded documents of a corpus: made once for a corpus and a tokenizer, kept beside the artifacts of the run.

What is kept can be deleted at any time, and is made again when it is missing or damaged. It is named by what it is made
of, so that it cannot be out of date.
"""

import contextlib
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy
import pyarrow.compute as pc
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from hftrain import sources
from hftrain.corpus.splits import texts_of
from hftrain.corpus.storage import read_rows
from hftrain.files import digest_value
from hftrain.manifests import read_manifest
from hftrain.runtime import log, progress
from hftrain.tokens.encoding import Encoded, Encoder, read_encoded, write_encoded
from hftrain.tokens.words import batches_of

KEPT = 2
"""How many corpora stay encoded; one more pushes out what was longest unused."""

SHARE_READ = 8
"""A run that reads fewer tokens than the corpus has bytes in so many encodes these alone: about half of the text."""

Order = NDArray[numpy.int64]


def encoded_corpus(
    corpus: Path,
    tokenizer: PreTrainedTokenizerFast,
    scratch: Path,
    *,
    cache: Path | None,
    shuffled_by: int,
    token_limit: int | None,
) -> tuple[Encoded, Order]:
    """The training documents as token ids on disk, and a shuffled order of at least ``token_limit`` tokens of them.

    The documents of the order, and so all that is made of them, are the same from the cache and without it.

    Args:
        corpus: A corpus's folder.
        tokenizer: Encodes.
        scratch: Where documents are kept that the cache does not hold.
        cache: Folder of what runs share. None: nothing is kept.
        shuffled_by: Seed of the order.
        token_limit: Tokens that are read at most; None for all.
    """
    rows = read_rows(corpus / "train")
    order = numpy.random.default_rng(shuffled_by).permutation(len(rows))
    encoded = None
    if cache is not None:
        name = _name_of(corpus, tokenizer)
        encoded = read_encoded(cache / "encoded" / name)
        if encoded is None and (token_limit is None or token_limit * SHARE_READ >= train_text_bytes(corpus)):
            encoded = _make(cache / "encoded", name, corpus, tokenizer, len(rows))
        if encoded is not None and len(encoded.ends) == len(rows):
            _mark_used(cache / "encoded" / name)
            return encoded, _first(order, encoded.lengths[order], token_limit)
    shutil.rmtree(scratch, ignore_errors=True)
    texts = texts_of(corpus, "train", shuffled_by=shuffled_by)
    write_encoded(scratch, _up_to(Encoder(tokenizer).encode(batches_of(texts)), token_limit), vocab_size=len(tokenizer))
    found = read_encoded(scratch)
    assert found is not None
    return found, _first(numpy.arange(len(found.ends)), found.lengths, token_limit)


def train_text_bytes(corpus: Path) -> int:
    """UTF-8 bytes of the corpus's training documents; their text itself is not read."""
    texts = read_rows(corpus / "train").data.column("text")
    return sum(pc.sum(pc.binary_length(chunk)).as_py() or 0 for chunk in texts.chunks)


def _make(folder: Path, name: str, corpus: Path, tokenizer: PreTrainedTokenizerFast, documents: int) -> Encoded | None:
    """Encode the corpus into the cache, once even if two processes ask for it; None if it is deleted meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{name}.lock"), contextlib.suppress(FileNotFoundError):
        encoded = read_encoded(folder / name)
        if encoded is None or len(encoded.ends) != documents:
            partial = folder / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            texts = progress(texts_of(corpus, "train"), total=documents, unit="document", description="encoding")
            write_encoded(partial, Encoder(tokenizer).encode(batches_of(texts)), vocab_size=len(tokenizer))
            shutil.rmtree(folder / name, ignore_errors=True)
            partial.rename(folder / name)
            encoded = read_encoded(folder / name)
        _keep_newest(folder, name)
        return encoded
    return None


def _keep_newest(folder: Path, newest: str) -> None:
    """Delete all but the last used, and what processes that are gone left unfinished."""
    kept = sorted((path for path in folder.iterdir() if path.is_dir()), key=_last_used, reverse=True)
    finished = [path for path in kept if path.suffix != ".partial" and path.name != newest]
    for path in [*finished[KEPT - 1 :], *(path for path in kept if path.suffix == ".partial")]:
        lock = FileLock(folder / f"{path.stem}.lock", timeout=0)
        try:
            with lock:
                shutil.rmtree(path, ignore_errors=True)
                Path(lock.lock_file).unlink(missing_ok=True)
                log.info("encoded documents: %s forgotten", path.name[:12])
        except Timeout:
            continue  # someone is making it


def _name_of(corpus: Path, tokenizer: PreTrainedTokenizerFast) -> str:
    about = {
        "corpus": read_manifest(corpus)["digest"],
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        "code": sources.code_digest(__name__),
        "tokenizers": version("tokenizers"),
    }
    return digest_value(about).removeprefix("sha256:")[:32]


def _mark_used(folder: Path) -> None:
    with contextlib.suppress(OSError):  # deleted, or not ours to write
        (folder / "used").touch()


def _last_used(folder: Path) -> float:
    used = folder / "used"
    return used.stat().st_mtime if used.is_file() else 0.0


def _first(order: Order, lengths: Order, token_limit: int | None) -> Order:
    """The documents up to the one that reaches the limit."""
    if token_limit is None:
        return order
    return order[: int(numpy.searchsorted(numpy.cumsum(lengths), token_limit)) + 1]


def _up_to(batches: Iterator[Encoded], token_limit: int | None) -> Iterator[Encoded]:
    tokens = 0
    for batch in batches:
        yield batch
        tokens += len(batch.ids)
        if token_limit is not None and tokens >= token_limit:
            return
