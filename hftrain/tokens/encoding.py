"""Documents as token ids: encoded piece by piece, and kept on disk for the next run that reads the same text.

A piece of text (see `hftrain.tokens.words`) is encoded when it is first met and looked up from then on; words repeat,
so that nearly all of a corpus is looked up. Cutting and numbering run on all cores, in numpy and Arrow.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from hftrain.files import write_json
from hftrain.tokens.chat import END_OF_TEXT, remember_no_words
from hftrain.tokens.splitting import split_of
from hftrain.tokens.words import Pieces, batches_of, in_threads, pieces_of

JOINED_PIECES = 256
"""Pieces that are encoded as one text."""

Ids = NDArray[numpy.int32]
Counts = NDArray[numpy.int64]

IDS_FILE, ENDS_FILE, ABOUT_FILE = "ids.bin", "ends.bin", "about.json"
MOST_KNOWN_IDS = 1 << 23
"""Ids of pieces that are remembered: beyond, all are forgotten, and memory stays bounded."""


@dataclass(frozen=True)
class Encoded:
    """Documents as token ids in one row, each followed by the end-of-text token."""

    ids: NDArray[numpy.integer]
    """Shape (T,), T tokens in all documents."""
    ends: Counts
    """Where each document ends, its end-of-text token included. Shape (D,), D documents."""

    @property
    def lengths(self) -> Counts:
        """Tokens of each document, its end-of-text token included. Shape (D,)."""
        return numpy.diff(self.ends, prepend=0)


class Encoder:
    """Encodes documents as `hftrain.tokens.chat.encode_text` does: special tokens written in them stay text."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._backend.no_truncation()
        self._backend.no_padding()
        self._end = document_end(tokenizer)
        self._known: dict[bytes, int] = {}
        self._ids: Ids = numpy.zeros(0, dtype=numpy.int32)
        self._begins: Counts = numpy.zeros(1, dtype=numpy.int64)
        added = self._backend.get_added_tokens_decoder()
        self._special = re.compile(b"|".join(re.escape(token.content.encode()) for token in added.values()))
        plain = all(token.special and not token.lstrip and not token.rstrip for token in added.values())
        self._joint = added[self._end].content.encode() if self._end in added else b""
        # Elsewhere a word may reach over what looks like its end: documents are then encoded whole.
        self._in_pieces = (
            bool(plain and self._joint)
            and not getattr(self._backend.model, "dropout", None)
            and split_of(self._backend) is not None
        )
        if self._in_pieces:  # each comes once; tokenizers would remember all of them for good
            remember_no_words(self._backend)

    def encode(self, batches: Iterable[list[str]]) -> Iterator[Encoded]:
        """Token ids of each batch of texts."""
        if self._in_pieces:
            arrays = (pa.array(batch, type=pa.large_string()) for batch in batches)
            yield from map(self._looked_up, in_threads(pieces_of, arrays))
        else:
            yield from map(self._encoded_whole, batches)

    def _looked_up(self, pieces: Pieces) -> Encoded:
        if len(self._ids) > MOST_KNOWN_IDS:
            self._known, self._ids, self._begins = {}, self._ids[:0], self._begins[:1]
        different = pieces.different.to_pylist()
        self._learn([piece for piece in different if piece not in self._known])
        known = self._known
        places = numpy.fromiter((known[piece] for piece in different), numpy.int64, len(different))
        places = places[pieces.sequence]
        begins, lengths = self._begins[places], self._begins[places + 1] - self._begins[places]
        before = numpy.concatenate([[0], numpy.cumsum(lengths)])
        ids = self._ids[numpy.repeat(begins - before[:-1], lengths) + numpy.arange(before[-1])]
        text_ends = before[pieces.ends]
        return Encoded(
            ids=numpy.insert(ids, text_ends, self._end), ends=text_ends + numpy.arange(1, len(text_ends) + 1)
        )

    def _encoded_whole(self, texts: list[str]) -> Encoded:
        self._backend.encode_special_tokens = True
        rows = [each.ids for each in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
        ids = numpy.fromiter((each for row in rows for each in (*row, self._end)), dtype=numpy.int32)
        return Encoded(ids=ids, ends=numpy.cumsum([len(row) + 1 for row in rows], dtype=numpy.int64))

    def _learn(self, pieces: list[bytes]) -> None:
        """Encode pieces and remember them.

        They go to tokenizers many in one text, with the token that ends documents between them, which takes half the
        time; those in which a special token is written go one by one, as plain text.
        """
        holds_special = self._special.search
        written = set(filter(holds_special, pieces)) if holds_special(b" ".join(pieces)) else set()
        plain = [piece for piece in pieces if piece not in written] if written else pieces
        joint = self._joint
        texts = [joint.join(plain[first : first + JOINED_PIECES]) for first in range(0, len(plain), JOINED_PIECES)]
        self._remember(plain, self._ids_of([text + joint for text in texts], special=True), end=self._end)
        for piece in written:
            self._remember([piece], self._ids_of([piece], special=False), end=None)

    def _ids_of(self, texts: list[bytes], *, special: bool) -> Ids:
        self._backend.encode_special_tokens = not special
        rows = self._backend.encode_batch_fast([text.decode() for text in texts], add_special_tokens=False)
        return numpy.concatenate([numpy.zeros(0, dtype=numpy.int32), *(numpy.array(row.ids, "int32") for row in rows)])

    def _remember(self, pieces: list[bytes], ids: Ids, *, end: int | None) -> None:
        ends = numpy.flatnonzero(ids == end) if end is not None else numpy.array([len(ids)])
        if end is not None:
            ids, ends = ids[ids != end], ends - numpy.arange(len(ends))
        self._known.update(zip(pieces, range(len(self._known), len(self._known) + len(pieces)), strict=True))
        self._begins = numpy.concatenate([self._begins, self._begins[-1] + ends])
        self._ids = numpy.concatenate([self._ids, ids])


def document_end(tokenizer: PreTrainedTokenizerFast) -> int:
    """Id of the token that ends documents and opens rows: end of text, or a foreign tokenizer's own end."""
    known: int | None = tokenizer.backend_tokenizer.token_to_id(END_OF_TEXT)
    return tokenizer.eos_token_id if known is None else known


def encode_documents(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> Iterator[list[int]]:
    """Token ids of each document followed by the end-of-text token."""
    for encoded in Encoder(tokenizer).encode(batches_of(texts)):
        for ids in numpy.split(encoded.ids, encoded.ends[:-1]):
            yield ids.tolist()


def write_encoded(folder: Path, batches: Iterable[Encoded], *, vocab_size: int) -> None:
    """Stream batches into the files of a folder, in two bytes an id where they suffice; what it is about comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = numpy.dtype(numpy.uint16 if vocab_size <= 1 << 16 else numpy.uint32)
    documents = tokens = 0
    with (folder / IDS_FILE).open("wb") as ids, (folder / ENDS_FILE).open("wb") as ends:
        for batch in batches:
            ids.write(batch.ids.astype(kind).tobytes())
            ends.write((batch.ends + tokens).astype(numpy.int64).tobytes())
            documents, tokens = documents + len(batch.ends), tokens + len(batch.ids)
    write_json(folder / ABOUT_FILE, {"documents": documents, "tokens": tokens, "kind": kind.name})


def read_encoded(folder: Path) -> Encoded | None:
    """What `write_encoded` wrote, its ids mapped and not loaded; None where it is not there, cut or damaged."""
    try:
        about = json.loads((folder / ABOUT_FILE).read_bytes())
        kind = numpy.dtype(about["kind"])
        sizes = [(folder / name).stat().st_size for name in (IDS_FILE, ENDS_FILE)]
        if sizes != [about["tokens"] * kind.itemsize, about["documents"] * 8] or not about["documents"]:
            return None
        ends = numpy.fromfile(folder / ENDS_FILE, dtype=numpy.int64)
        if ends[-1] != about["tokens"] or (numpy.diff(ends, prepend=0) < 1).any():
            return None
        return Encoded(ids=numpy.memmap(folder / IDS_FILE, dtype=kind, mode="r"), ends=ends)
    except (OSError, ValueError, KeyError, TypeError):
        return None
