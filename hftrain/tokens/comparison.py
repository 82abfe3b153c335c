"""How a tokenizer writes held-out text, domain by domain, and how another one does."""

import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from hftrain.corpus.storage import read_rows
from hftrain.errors import ConfigError, DataError

MOST_DOMAINS = 20
"""Sources that are reported by name, the largest; the others are one together."""
OTHERS = "other sources"

AROUND_WORDS = string.punctuation + "“”‘’«»—–…"
"""Signs that are not part of the word they stand at."""


def heldout_by_source(corpus: Path, *, size_bytes: int, shuffled_by: int) -> dict[str, list[str]]:
    """Held-out documents in a shuffled order, up to so many UTF-8 bytes in all, by where they are from.

    Raises:
        DataError: There are none.
    """
    rows = read_rows(corpus / "heldout").select_columns(["text", "source"])
    if not len(rows):
        raise DataError(f"{corpus / 'heldout'}: no documents. At least one is needed. Collect more text.")
    found: dict[str, list[str]] = {}
    left = size_bytes
    for row in rows.select(numpy.random.default_rng(shuffled_by).permutation(len(rows))):
        encoded = row["text"].encode()[:left]
        found.setdefault(row["source"], []).append(encoded.decode(errors="ignore"))
        left -= len(encoded)
        if left <= 0:
            break
    return _largest(found)


def rival_tokenizer(place: str) -> Tokenizer:
    """Another tokenizer: from a folder with ``tokenizer.json``, or with GPT-2's two files, or from the Hub's cache.

    Raises:
        ConfigError: It is none of these.
    """
    folder = Path(place)
    if (folder / "tokenizer.json").is_file():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        rival = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
        rival.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        rival.decoder = decoders.ByteLevel()
        return rival
    try:
        loaded: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(
            place, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as problem:
        raise ConfigError(
            f"train_tokenizer.compare_with: {place}: no tokenizer there. A folder with tokenizer.json, or with "
            "vocab.json and merges.txt, or the name of one that was downloaded from the Hub is needed. Mend the path."
        ) from problem
    return loaded.backend_tokenizer


def report(
    tokenizer: PreTrainedTokenizerFast,
    domains: Mapping[str, Sequence[str]],
    talks: Sequence[str],
    *,
    compare_with: str | None,
) -> dict[str, Any]:
    """What the tokenizer makes of held-out documents, of each domain of them and of conversations, and a rival too.

    Returns:
        ``documents``, ``conversations`` and ``domains``, see `writing` for the numbers; under ``rival`` the same with
        its ``name``, or None.
    """
    ours = _report_of(Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()), domains, talks)
    if compare_with is None:
        return {**ours, "rival": None}
    rival = _report_of(rival_tokenizer(compare_with), domains, talks)
    return {**ours, "rival": {"name": Path(compare_with).name, **rival}}


def _report_of(tokenizer: Tokenizer, domains: Mapping[str, Sequence[str]], talks: Sequence[str]) -> dict[str, Any]:
    return {
        "vocabulary": tokenizer.get_vocab_size(),
        "documents": writing(tokenizer, [text for texts in domains.values() for text in texts]),
        "conversations": writing(tokenizer, talks),
        "domains": {domain: writing(tokenizer, texts) for domain, texts in domains.items()},
    }


def writing(tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, float]:
    """How compactly texts are written, how many of their words are one token, and how much of the vocabulary is used.

    A word is what stands between white space, without the signs around it, and is written with a space before it.
    """
    tokens, used = 0, numpy.zeros(tokenizer.get_vocab_size(), dtype=bool)
    for ids in _ids_of(tokenizer, texts):
        tokens += len(ids)
        used[ids] = True
    size = sum(len(text.encode()) for text in texts)
    words = Counter(word.strip(AROUND_WORDS) for text in texts for word in text.split())
    del words[""]
    whole = [len(ids) == 1 for ids in _ids_of(tokenizer, [" " + word for word in words])]
    word_count = words.total()
    return {
        "bytes": size,
        "tokens": tokens,
        "bytes_per_token": size / tokens if tokens else 0.0,
        "whole_word_share": sum(n for n, is_one in zip(words.values(), whole, strict=True) if is_one) / word_count
        if word_count
        else 0.0,
        "used_share": float(used.mean()),
        "unused_tokens": int((~used).sum()),
    }


def _ids_of(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterable[list[int]]:
    """Ids with nothing added; special tokens written in a text stay text."""
    before, tokenizer.encode_special_tokens = tokenizer.encode_special_tokens, True
    encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    tokenizer.encode_special_tokens = before
    return [each.ids for each in encodings]


def _largest(found: dict[str, list[str]]) -> dict[str, list[str]]:
    ordered = sorted(found, key=lambda source: (-sum(map(len, found[source])), source))
    kept = {source: found[source] for source in ordered[:MOST_DOMAINS]}
    rest = [text for source in ordered[MOST_DOMAINS:] for text in found[source]]
    return kept | ({OTHERS: rest} if rest else {})
