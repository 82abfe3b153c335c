"""Tokenizers side by side at one size of vocabulary: bytes per token on held-out text, training and encoding MB/s.

    python tests/bench/tokenizer.py [--vocabularies 4096 16384] [--rounds 3]

Text: children's books and storybooks (see --data), one document in twenty held out by the hash of its text. Every
contender learns from the same training text and encodes it with both cores, one after another in each round; the median
of the rounds stands. A vocabulary of V tokens is: ours, V with 4 special tokens and 256 bytes; rustbpe, V - 4 and the
same 4 left to tiktoken; SentencePiece, V with 3 special tokens and 256 bytes. Rivals that are not installed are named
and passed over. What each does beside the timed work: ours starts each round with nothing remembered and gives arrays;
tiktoken and SentencePiece give lists; SentencePiece's usual settings turn line ends and doubled spaces into one space
and write other forms of letters, so that text does not come back, and "exact" switches that off.
"""

import argparse
import gzip
import hashlib
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hftrain.tokens.encoding import Encoder
from hftrain.tokens.splitting import GPT4
from hftrain.tokens.vocabulary import learn_vocabulary
from hftrain.tokens.words import batches_of

DATA = Path(__file__).parents[2].parent / "shared" / "data"
PATTERNS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "gpt4": GPT4.replace("DIGITS", "3"),
}
HELDOUT_ONE_IN = 20

Encode = Callable[[list[str]], int]
"""Encodes documents and returns how many tokens they have."""


def documents(data: Path, names: str) -> tuple[list[str], list[str]]:
    """Training and held-out text."""
    files = sorted((data / "books-standardebooks").glob(names))
    texts = [text for file in files for text in pq.read_table(file).column("text").to_pylist()]
    with gzip.open(data / "storybooks-en" / "stories.jsonl.gz", "rt", encoding="utf-8") as file:
        texts += [json.loads(line)["text"] for line in file]
    held = [int(hashlib.sha256(text.encode()).hexdigest(), 16) % HELDOUT_ONE_IN == 0 for text in texts]
    by_side = {side: [text for text, is_held in zip(texts, held, strict=True) if is_held == side] for side in (0, 1)}
    return by_side[0], by_side[1]


def ours(split: str) -> Callable[[list[str], int], Encode]:
    def train(texts: list[str], size: int) -> Encode:
        tokenizer = learn_vocabulary(texts, vocab_size=size, split=split)
        return lambda given: sum(
            len(each.ids) - len(each.ends) for each in Encoder(tokenizer).encode(batches_of(given))
        )

    return train


def rustbpe(split: str) -> Callable[[list[str], int], Encode]:
    def train(texts: list[str], size: int) -> Encode:
        import rustbpe
        import tiktoken

        learned = rustbpe.Tokenizer()
        learned.train_from_iterator(iter(texts), size - 4, pattern=PATTERNS[split])
        ranks = {bytes(token): rank for token, rank in learned.get_mergeable_ranks()}
        encoding = tiktoken.Encoding(name="rust", pat_str=PATTERNS[split], mergeable_ranks=ranks, special_tokens={})
        return lambda given: sum(map(len, encoding.encode_ordinary_batch(given, num_threads=2)))

    return train


def sentencepiece(exact: bool) -> Callable[[list[str], int], Encode]:
    kept = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "add_dummy_prefix": False}

    def train(texts: list[str], size: int) -> Encode:
        import sentencepiece

        with tempfile.TemporaryDirectory() as folder:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=(line for text in texts for line in text.splitlines() if line),
                model_prefix=f"{folder}/m", vocab_size=size, model_type="bpe", byte_fallback=True, num_threads=2,
                minloglevel=2, **(kept if exact else {}),
            )  # fmt: skip
            processor = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/m.model")
        return lambda given: sum(map(len, processor.encode(given, num_threads=2)))

    return train


CONTENDERS: dict[str, tuple[str | None, Any]] = {
    "ours, split gpt4": (None, ours("gpt4")),
    "ours, split gpt2": (None, ours("gpt2")),
    "rustbpe + tiktoken, gpt4": ("rustbpe", rustbpe("gpt4")),
    "rustbpe + tiktoken, gpt2": ("rustbpe", rustbpe("gpt2")),
    "SentencePiece BPE, usual": ("sentencepiece", sentencepiece(False)),
    "SentencePiece BPE, exact": ("sentencepiece", sentencepiece(True)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--books", default="kids.parquet", help="files of books; '*.parquet' for 66 MB")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    train, heldout = documents(asked.data, asked.books)
    megabytes, held_bytes = sum(len(text.encode()) for text in train) / 1e6, sum(len(text.encode()) for text in heldout)
    print(f"{len(train)} documents, {megabytes:.2f} MB; held out {len(heldout)} of {held_bytes / 1e6:.2f} MB")
    here = {name: make for name, (needs, make) in CONTENDERS.items() if not needs or importlib.util.find_spec(needs)}
    for name in CONTENDERS.keys() - here.keys():
        print(f"not installed, passed over: {name}")
    for size in asked.vocabularies:
        seconds: dict[str, list[tuple[float, ...]]] = {name: [] for name in here}
        ratios = {}
        for turn in range(asked.rounds):
            for name in [*list(here)[turn % len(here) :], *list(here)[: turn % len(here)]]:
                clocks = [(time.perf_counter(), time.process_time())]
                encode = here[name](train, size)
                clocks.append((time.perf_counter(), time.process_time()))
                encode(train)
                clocks.append((time.perf_counter(), time.process_time()))
                taken = [
                    end - begin for first, last in pairwise(clocks) for begin, end in zip(first, last, strict=True)
                ]
                seconds[name].append(tuple(taken))
                ratios[name] = held_bytes / encode(heldout)
        print(f"\nvocabulary {size}, median of {asked.rounds}: MB a second by the clock, and by the work of both cores")
        print(f"  {'':26} bytes/token  training   (CPU)  encoding   (CPU)")
        for name, timed in seconds.items():
            rates = [megabytes / statistics.median(each) for each in zip(*timed, strict=True)]
            print(f"  {name:26} {ratios[name]:11.3f}  " + "  ".join(f"{rate:7.2f}" for rate in rates))


if __name__ == "__main__":
    main()
