"""Near-duplicates: speed beside rensa, and what 5, 50 and 500 MB cost in time and memory.

    python tests/bench/near_duplicates_speed.py ../shared/data

Seconds are those of the process, all its threads. rensa estimates, ours verifies each pair by the exact similarity.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy
import pyarrow.parquet as pq
from rensa import RMinHash, RMinHashDeduplicator, RMinHashLSH

from hftrain.corpus.batches import Batch, Hashes, Integers, in_batches
from hftrain.corpus.minhash import BANDS, bands_of, rows_of_bands, shingles, signatures
from hftrain.corpus.near_duplicates import near_duplicate_pairs

THRESHOLD = 0.7
ROWS = rows_of_bands(THRESHOLD)
REPEATS = 5
SIZES_MB = (5, 50, 500)
SUBSTITUTED_SHARE = 0.4
COPIED_SHARE = 0.05


def grams(text: str) -> list[str]:
    words = re.findall(r"\w+", text.lower())
    return [" ".join(words[place : place + 5]) for place in range(max(1, len(words) - 4))]


def ours(texts: Sequence[str]) -> None:
    bands = numpy.concatenate([signatures(batch, ROWS) for batch in in_batches(texts)])
    near_duplicate_pairs(bands, lambda asked: [texts[one] for one in asked], THRESHOLD)


def rensa_of_strings(strings: Iterable[list[str]]) -> None:
    found = RMinHashDeduplicator(threshold=THRESHOLD, num_perm=ROWS * BANDS, use_lsh=True, num_bands=BANDS)
    found.add_pairs((str(number), each) for number, each in enumerate(strings))


def rensa_lsh(texts: Sequence[str]) -> None:
    index = RMinHashLSH(threshold=THRESHOLD, num_perm=ROWS * BANDS, num_bands=BANDS)
    sketches = []
    for number, text in enumerate(texts):
        sketches.append(RMinHash(num_perm=ROWS * BANDS, seed=42))
        sketches[-1].update(grams(text))
        index.insert(number, sketches[-1])
    for sketch in sketches:
        index.query(sketch)


def rensa_of_numbers(offsets: Integers, numbers: Hashes) -> None:
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(numbers, offsets.astype(numpy.uint64), ROWS * BANDS, 42)
    index = RMinHashLSH(threshold=THRESHOLD, num_perm=ROWS * BANDS, num_bands=BANDS)
    index.insert_matrix(matrix)
    index.query_duplicate_flags_matrix(matrix)


def compare(texts: Sequence[str]) -> None:
    size_mb = sum(len(text.encode()) for text in texts) / 1e6
    strings = [grams(text) for text in texts]
    offsets, numbers = shingles(Batch(texts))
    ways: dict[str, Callable[[], object]] = {
        "ours: words, signatures, LSH, verification": lambda: ours(texts),
        "rensa deduplicator, shingles in Python, estimates": lambda: rensa_of_strings(map(grams, texts)),
        "rensa RMinHash and LSH, shingles in Python": lambda: rensa_lsh(texts),
        "rensa deduplicator, shingles given as strings": lambda: rensa_of_strings(strings),
        "ours: signatures of shingles given as numbers": lambda: bands_of(offsets, numbers, ROWS),
        "rensa digests + LSH, shingles given as numbers": lambda: rensa_of_numbers(offsets, numbers),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, way in ways.items():
            began = time.process_time()
            way()
            seconds[name].append(time.process_time() - began)
    print(f"{size_mb:.1f} MB, {len(texts)} texts, {ROWS * BANDS} permutations in {BANDS} bands; medians of {REPEATS}")
    own = next(iter(seconds.values()))
    for name in ways:
        ratio = median(numpy.divide(seconds[name], own))
        print(f"    {name:52} {size_mb / median(seconds[name]):7.1f} MB/s   {ratio:5.2f} times the first's seconds")


def perturbed(texts: Sequence[str], size_mb: int) -> Iterator[str]:
    """The texts again and again, words replaced by others; one in twenty is only changed a little."""
    draw = random.Random(0)
    words = [text.split(" ") for text in texts]
    vocabulary = [word for text in words[:20] for word in text]
    size_bytes = 0
    for number in range(10**9):
        base = list(words[number % len(words)])
        share = 0.005 if draw.random() < COPIED_SHARE else SUBSTITUTED_SHARE
        for _ in range(int(share * len(base))):
            base[draw.randrange(len(base))] = vocabulary[draw.randrange(len(vocabulary))]
        text = " ".join(base)
        size_bytes += len(text.encode())
        yield text
        if size_bytes >= size_mb * 10**6:
            return


def scale(texts: Sequence[str], size_mb: int) -> None:
    """Texts lie on disk, as they do in a memory-mapped data set; making them is not counted."""
    with tempfile.TemporaryFile() as file:
        places, parts, seconds = [0], [], 0.0
        for batch in in_batches(perturbed(texts, size_mb)):
            for text in batch.texts:
                places.append(places[-1] + file.write(text.encode()))
            began = time.process_time()
            parts.append(signatures(batch, ROWS))
            seconds += time.process_time() - began

        def fetched(asked: Sequence[int]) -> list[str]:
            return [os.pread(file.fileno(), places[one + 1] - places[one], places[one]).decode() for one in asked]

        file.flush()
        began = time.process_time()
        pairs = near_duplicate_pairs(numpy.concatenate(parts), fetched, THRESHOLD)
        seconds += time.process_time() - began
    status = Path("/proc/self/status").read_text()  # getrusage would give the peak of the parent
    peak_mb = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024 / 1e6
    print(f"    {places[-1] / 1e6:6.1f} MB, {len(places) - 1:6} texts, {len(pairs):6} pairs: {seconds:6.2f} s, "
          f"{places[-1] / 1e6 / seconds:5.1f} MB/s, peak {peak_mb:.0f} MB")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--megabytes", type=int, help="only the cost of so much text")
    given = parser.parse_args()
    if given.megabytes:
        file = pq.ParquetFile(given.data / "books-standardebooks" / "books-1of3.parquet")
        scale(next(file.iter_batches(200, columns=["text"]))["text"].to_pylist(), given.megabytes)
    else:
        names = ("books-standardebooks/books-1of3", "books-standardebooks/books-2of3", "peps/peps")
        compare([text for name in names for text in pq.read_table(given.data / f"{name}.parquet")["text"].to_pylist()])
        for megabytes in SIZES_MB:  # each in its own process: a peak of memory never falls
            subprocess.run([sys.executable, __file__, str(given.data), "--megabytes", str(megabytes)], check=True)
