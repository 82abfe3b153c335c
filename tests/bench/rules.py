"""Speed of the quality rules against datatrove's filters, and whether they decide alike, document by document.

python tests/bench/rules.py [--reference-mb 4] [--runs 3]    (needs datatrove and spacy; both single-process, CPU time)
"""

import argparse
import gzip
import json
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow.parquet
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

from hftrain.corpus import word_pieces
from hftrain.corpus.batches import in_batches
from hftrain.corpus.rules import build, explain, judge

DATA = Path(__file__).parents[2].parent / "shared" / "data"
FILTERS = {
    "gopher_quality": GopherQualityFilter,
    "gopher_repetition": GopherRepetitionFilter,
    "c4": C4QualityFilter,
    "fineweb": FineWebQualityFilter,
}
JSON_LINES = (
    ("quality/c4_demo", "text"),
    ("quality/dclm_human_quality_half", "text"),
    ("storybooks-en/stories", "text"),
    ("neardup/docs", "text"),
    ("langid/udhr_40_languages_half", "text"),
    ("embedded-registry-text/factbook", "text"),
    ("toxicity/davidson_tweets", "tweet"),
)


def documents(target_mb: float) -> list[str]:
    """Books and documentation, about so many megabytes: every k-th, so that all of both are spread over it."""
    texts: list[str] = []
    for path in [*sorted(DATA.glob("books-standardebooks/books-*.parquet")), *DATA.glob("peps/*.parquet")]:
        texts += pyarrow.parquet.read_table(path).column("text").to_pylist()
    step = max(1, round(megabytes(texts) / target_mb))
    return texts[step // 2 :: step]


def mixed(every: int) -> list[str]:
    """Web pages, stories, tweets, forty languages: every k-th text of each."""
    texts = []
    for name, field in JSON_LINES:
        with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            texts += [json.loads(line)[field] for line in file][::every]
    return texts


def megabytes(texts: Iterable[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def ours(texts: list[str], names: list[str]) -> list[bool]:
    """Whether each text stays. The words met before are forgotten, so that no run profits from another."""
    word_pieces.forget()
    rules = build(names, {})
    return [broken is None for batch in in_batches(texts) for broken in judge(batch, rules)]


def theirs(texts: list[str], names: list[str]) -> list[bool]:
    filters = [FILTERS[name]() for name in names]
    kept = []
    for number, text in enumerate(texts):
        results = [judged.filter(Document(text=text, id=str(number))) for judged in filters]
        kept.append(all(result is True or (isinstance(result, tuple) and result[0]) for result in results))
    return kept


def compare(label: str, texts: list[str], runs: int) -> None:
    size = megabytes(texts)
    print(f"\n{label}: {len(texts)} documents, {size:.1f} MB; medians of {runs} paired runs")
    print(f"{'filter':45} {'datatrove':>10} {'ours':>8} {'ratio':>6}  equal different")
    for names in [*([name] for name in FILTERS), list(FILTERS)]:
        pairs = [
            (seconds(lambda n=names: theirs(texts, n)), seconds(lambda n=names: ours(texts, n))) for _ in range(runs)
        ]
        ratio = statistics.median(slow / fast for slow, fast in pairs)
        slow, fast = (size / statistics.median(side) for side in zip(*pairs, strict=True))
        decided = list(zip(theirs(texts, names), ours(texts, names), strict=True))
        different = [place for place, (one, other) in enumerate(decided) if one != other]
        equal = len(texts) - len(different)
        print(f"{'+'.join(names):45} {slow:8.3f} {fast:8.2f} {ratio:6.0f}x {equal:6} {len(different):9}")
        for place in different:
            values = [
                (o.name, o.value, o.least, o.most) for o in explain(texts[place], build(names, {})) if o.is_broken
            ]
            print(f"    {place}: datatrove keeps: {decided[place][0]}; broken here: {values}; {texts[place][:60]!r}")


def speed(label: str, texts: list[str], runs: int) -> None:
    size = megabytes(texts)
    for names in (["basic"], list(FILTERS), ["basic", *FILTERS], ["code"]):
        took = statistics.median(seconds(lambda n=names: ours(texts, n)) for _ in range(runs))
        rates = f"{size / took:5.1f} MB/s {1e6 * took / len(texts):7.1f} us a text"
        print(f"{label:14} {'+'.join(names):56} {size:5.1f} MB {rates}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference-mb", type=float, default=4)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    explain("Warm up: tables are made once.", build(["basic", *FILTERS, "code"], {}))
    GopherQualityFilter().filter(Document(text="Warm up.", id="0"))
    compare("books and documentation", documents(asked.reference_mb), asked.runs)
    compare("web, stories, tweets, languages", mixed(every=20), asked.runs)
    print("\nours alone, words cut anew in each run")
    tweets = [text for text in mixed(every=1) if len(text) < 200]
    speed("books, peps", documents(50), asked.runs)
    speed("short texts", tweets, asked.runs)
    speed("5 words", [" ".join(text.split()[:5]) for text in tweets], asked.runs)


if __name__ == "__main__":
    main()
