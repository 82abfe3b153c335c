"""Overlap with benchmarks: speed, planted rows found, and what is found in books and documentation that hold none.

python tests/bench/overlap.py ../shared/data
"""

import argparse
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from hftrain.corpus.batches import Batch, in_batches
from hftrain.corpus.overlap import OverlapIndex, protected_texts

BENCHMARKS = ("eval-core", "eval-mmlu-truthfulqa", "eval-code")
REPEATS = 5
PLANTED = 2000


def column(path: Path) -> list[str]:
    return pq.read_table(path, columns=["text"])["text"].to_pylist()


def disguised(text: str, draw: random.Random) -> str:
    """Other case, other white space, punctuation changed: the same words."""
    words = [word.upper() if draw.random() < 0.3 else word for word in re.findall(r"\w+", text)]
    return "".join(word + draw.choice((" ", "\n", ", ", " - ", "\t")) for word in words)


def print_planted(index: OverlapIndex, items: Sequence[tuple[str, str]], texts: Sequence[str]) -> None:
    draw = random.Random(0)
    chosen = draw.sample([text for _, text in items if len(re.findall(r"\w+", text)) >= 8], PLANTED)
    found = long = changed_found = 0
    for text in chosen:
        around = texts[draw.randrange(len(texts))].split()
        at = draw.randrange(len(around))
        planted = f"{' '.join(around[:at])}\n{disguised(text, draw)}\n{' '.join(around[at:])}"
        found += len(index.matches(Batch([planted])))
        words = re.findall(r"\w+", text)
        if len(words) >= 26:
            long += 1
            words[len(words) // 2] = "otherwise"
            changed_found += len(index.matches(Batch([" ".join(words)])))
    print(f"planted rows, disguised: {found} of {PLANTED} found; with the middle word changed, of those of "
          f"26 words or more: {changed_found} of {long}")  # fmt: skip


def main(data: Path) -> None:
    began = time.process_time()
    items = list(protected_texts([str(data / name) for name in BENCHMARKS]))
    index, built = OverlapIndex.build(items)
    print(f"{built.items:,} items ({built.too_short:,} too short), {built.runs:,} runs of words: "
          f"built in {time.process_time() - began:.1f} s")  # fmt: skip
    books = data / "books-standardebooks"
    paths = [books / "books-1of3.parquet", books / "books-2of3.parquet", data / "peps" / "peps.parquet"]
    texts = [text for path in paths for text in column(path)]
    size_mb = sum(len(text.encode()) for text in texts) / 1e6
    seconds = []
    for _ in range(REPEATS):
        began = time.process_time()
        matches = [match for batch in in_batches(texts) for match in index.matches(batch)]
        seconds.append(time.process_time() - began)
    print(f"{size_mb:.1f} MB, words included: {size_mb / median(seconds):.1f} MB/s; median of {REPEATS}")
    print(f"{len(matches)} of {len(texts)} books' chapters and PEPs share words with a benchmark:")
    for match in matches:
        print("   ", match.detail())
    print_planted(index, items, texts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    main(parser.parse_args().data)
