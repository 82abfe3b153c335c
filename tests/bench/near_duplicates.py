"""Near-duplicates: recall and precision against the exact similarity of all pairs of texts.

python tests/bench/near_duplicates.py ../shared/data
"""

import argparse
import collections
import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pyarrow.parquet as pq

from hftrain.corpus.batches import in_batches
from hftrain.corpus.minhash import rows_of_bands, signatures
from hftrain.corpus.near_duplicates import Pairs, near_duplicate_pairs

THRESHOLD = 0.7
ROWS = rows_of_bands(THRESHOLD)


def rows_in(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def grams(text: str) -> list[str]:
    words = re.findall(r"\w+", text.lower())
    return [" ".join(words[place : place + 5]) for place in range(max(1, len(words) - 4))]


def exact_pairs(texts: Sequence[str]) -> dict[tuple[int, int], float]:
    """The Jaccard similarity of all pairs that share a 5-gram at all, by an inverted index."""
    sets = [set(grams(text)) for text in texts]
    holders: dict[str, list[int]] = collections.defaultdict(list)
    for number, each in enumerate(sets):
        for gram in each:
            holders[gram].append(number)
    common = collections.Counter(
        (one, other) for places in holders.values() for at, other in enumerate(places) for one in places[:at]
    )
    return {(one, two): count / (len(sets[one]) + len(sets[two]) - count) for (one, two), count in common.items()}


def ours(texts: Sequence[str]) -> Pairs:
    bands = numpy.concatenate([signatures(batch, ROWS) for batch in in_batches(texts)])
    return near_duplicate_pairs(bands, lambda asked: [texts[one] for one in asked], THRESHOLD)


def print_quality(name: str, texts: Sequence[str], kinds: dict[tuple[int, int], str] | None = None) -> None:
    exact = exact_pairs(texts)
    true = {pair for pair, similarity in exact.items() if similarity >= THRESHOLD}
    pairs = ours(texts)
    found = set(zip(pairs.first_P.tolist(), pairs.second_P.tolist(), strict=True))
    right = len(true & found)
    print(f"{name}: {len(texts)} texts, {len(true)} pairs at J >= {THRESHOLD}, found {len(found)}; "
          f"recall {right / len(true):.4f}, precision {right / len(found):.4f}")  # fmt: skip
    if kinds:
        for kind in sorted(set(kinds.values())):
            of_kind = {pair for pair, each in kinds.items() if each == kind}
            print(f"    {kind:16} {len(of_kind & true):4} of {len(of_kind):4} at J >= {THRESHOLD}, "
                  f"found {len(of_kind & true & found):4}; wrongly {len((of_kind - true) & found)}")  # fmt: skip


def quality(data: Path) -> None:
    docs = rows_in(data / "neardup" / "docs.jsonl.gz")
    place = {row["id"]: number for number, row in enumerate(docs)}
    listed = rows_in(data / "neardup" / "pairs.jsonl.gz")
    kinds = {(min(pair), max(pair)): row["kind"] for row in listed if (pair := (place[row["a"]], place[row["b"]]))}
    print_quality("neardup", [row["text"] for row in docs], kinds)
    editions = rows_in(data / "neardup" / "cross_edition.jsonl.gz")
    print_quality("cross_edition", [row["a_text"] for row in editions] + [row["b_text"] for row in editions])
    books = [row for part in (1, 2, 3) for row in rows_in(data / "books-standardebooks" / f"books-{part}of3.parquet")]
    debian = rows_in(data / "embedded-registry-text" / "austen_mobydick.jsonl.gz")
    for title in ("Pride and Prejudice", "Emma"):
        one = [row["text"] for row in books if row["title"] == title and row["author"] == "Jane Austen"]
        other = [row["text"] for row in debian if row["title"] == title.lower().replace(" ", "_")]
        print_quality(f"{title}, {len(one)} and {len(other)} chapters of two editions", one + other)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    quality(parser.parse_args().data)
