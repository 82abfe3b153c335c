"""Personal data: recall and precision by type on marked sentences, finds in text that has little, and speed.

Run by hand: ``python tests/bench/personal_data.py [--show KIND ...]``; ``--show`` prints each find of
these kinds in the texts that should hold few, with its surroundings.
"""

import argparse
import gzip
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from hftrain.corpus.personal_data import DEFAULT_KINDS, PLACEHOLDERS, Found
from hftrain.corpus.scrubbing import find

DATA = Path(__file__).parents[2].parent / "shared" / "data"
MARKED = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "IP_ADDRESS": "ip",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
    "US_SSN": "national_id",
    "DATE_TIME": "date_of_birth",
    "STREET_ADDRESS": "street_address",
}
SAYS_BIRTH = re.compile(r"\bborn\b|birth", re.IGNORECASE)
"""A date elsewhere is no date of birth."""

REPEATS = 5
BOOKS_CHARS = 5_000_000


def read_json_lines(path: Path) -> list[dict[str, object]]:
    """All objects of a compressed file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", nargs="*", default=[], metavar="KIND")
    shown = parser.parse_args().show
    marked_table(shown)
    texts = dict(plain_texts())
    print("\nfinds in text that holds little of it (peps: the authors' addresses)")
    for name, documents in texts.items():
        found = [(text, one) for text in documents for one in find(text, DEFAULT_KINDS)]
        counts = Counter(one.kind for _, one in found)
        print(f"  {name:10} {sum(map(len, documents)) / 1e6:5.1f} M chars", dict(sorted(counts.items())))
        for text, one in found:
            if one.kind in shown:
                print(f"    {one.kind}: {text[max(one.start - 50, 0) : one.end + 30]!r} -> {one.value!r}")
    print("\nspeed, MB of UTF-8 a second of process time, median of", REPEATS)
    for name, documents in texts.items():
        print(f"  {name:10} all default kinds {speed(documents, DEFAULT_KINDS):6.1f}")
    for kind in PLACEHOLDERS:
        print(f"  {kind:16}", *(f"{name} {speed(documents, [kind]):7.1f}" for name, documents in texts.items()))


def marked_table(shown: list[str]) -> None:
    """Recall: the marked span is covered by finds of its kind. Precision: a find touches a marked span of its kind."""
    path = DATA / "pii" / "presidio_synth_half.jsonl.gz"
    rows, want, hit, given, right = (
        read_json_lines(path),
        Counter[str](),
        Counter[str](),
        Counter[str](),
        Counter[str](),
    )
    for row in rows:
        text, spans = str(row["full_text"]), row["spans"]
        found = find(text, PLACEHOLDERS)
        for span in spans:
            kind = MARKED.get(span["entity_type"])
            if kind and not (kind == "date_of_birth" and not SAYS_BIRTH.search(text)):
                start, end = span["start_position"], span["end_position"]
                is_hit = any(one.kind == kind and one.start <= start and end <= one.end for one in found)
                want[kind] += 1
                hit[kind] += is_hit
                if kind in shown and not is_hit:
                    print("  missed", kind, repr(text[max(start - 40, 0) : end + 20]), repr(span["entity_value"]))
        for one in found:
            is_right = any(_touches(one, span) for span in spans)
            given[one.kind] += 1
            right[one.kind] += is_right
            if one.kind in shown and not is_right:
                print("  wrong", one, repr(text[max(one.start - 40, 0) : one.end + 20]))
    print(f"marked sentences: {len(rows)}")
    print("  kind             marked  found  recall | finds  right  precision")
    for kind in (kind for kind in PLACEHOLDERS if want[kind] or given[kind]):
        recall = f"{hit[kind] / want[kind]:7.3f}" if want[kind] else "      -"
        precision = f"{right[kind] / given[kind]:10.3f}" if given[kind] else "         -"
        print(f"  {kind:16}{want[kind]:7}{hit[kind]:7} {recall} |{given[kind]:6}{right[kind]:7} {precision}")


def _touches(one: Found, span: dict[str, object]) -> bool:
    is_kind = MARKED.get(str(span["entity_type"])) == one.kind
    return is_kind and int(str(span["start_position"])) < one.end and one.start < int(str(span["end_position"]))


def plain_texts() -> Iterator[tuple[str, list[str]]]:
    """Prose, technical text and tables in words, where each is at hand."""
    for name, folder in (("peps", "peps/peps.parquet"), ("books", "books-standardebooks/books-1of3.parquet")):
        texts = pq.read_table(DATA / folder)["text"].to_pylist()
        total, kept = 0, []
        for text in texts:
            if name == "books" and total > BOOKS_CHARS:
                break
            kept.append(text)
            total += len(text)
        yield name, kept
    yield "factbook", [str(row["text"]) for row in read_json_lines(DATA / "embedded-registry-text/factbook.jsonl.gz")]


def speed(texts: list[str], kinds: list[str] | tuple[str, ...]) -> float:
    """Megabytes of UTF-8 a second of process time."""
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    seconds = []
    for _ in range(REPEATS):
        began = time.process_time()
        for text in texts:
            find(text, kinds)
        seconds.append(time.process_time() - began)
    return megabytes / statistics.median(seconds)


if __name__ == "__main__":
    main()
