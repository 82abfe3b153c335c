"""By datatrove's executors or on this machine: the same decision for every document."""

import json
from pathlib import Path

import pytest

pytest.importorskip("datatrove", reason="the extra `cluster` is not installed")
pytest.importorskip("spacy", reason="the extra `cluster` is not installed")

import random

import pyarrow.parquet as pq

from hftrain.artifacts import read_manifest
from hftrain.corpus.records import document_id
from hftrain.corpus.settings import DuplicateSettings, ExecutorSettings, OverlapSettings
from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, write_rows
from hftrain.stages.curate import CurateConfig, curate, curate_on_cluster

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def documents() -> list[str]:
    """Books, peps and web text, some of them twice with small changes."""
    drawn = random.Random(3)
    texts = pq.read_table(DATA / "books-standardebooks" / "kids.parquet")["text"].to_pylist()[:60]
    texts += pq.read_table(DATA / "peps" / "peps.parquet")["text"].to_pylist()[:25]
    texts = [text[:6000] for text in texts]
    for text in texts[:40]:
        words = text.split(" ")
        for _ in range(max(1, len(words) // drawn.choice([15, 40, 100]))):
            words[drawn.randrange(len(words))] = "another"
        texts.append(" ".join(words))
    texts += [texts[3].upper(), "Too short.", "", "Write to ann@iki.fi and to bob@iki.fi about the cat of the house."]
    return texts


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="the shared data sets are not beside this checkout")
def test_both_ways_decide_the_same(tmp_path: Path, make_artifact) -> None:
    texts = documents()

    def write(out: Path) -> None:
        rows = [{"id": document_id(text), "text": text, "source": f"s{number % 3}", "license": "MIT", "meta": "{}"}
                for number, text in enumerate(texts)]  # fmt: skip
        write_rows(out / "documents", rows, DOCUMENT_FEATURES)
        write_rows(out / "conversations", [], CONVERSATION_FEATURES)

    raw = make_artifact(tmp_path / "raw", "raw", write)
    (tmp_path / "other.txt").write_text(texts[70])
    (tmp_path / "benchmark.jsonl").write_text(json.dumps({"question": texts[50][500:900]}))
    config = CurateConfig(
        seed=1,
        rules=("basic", "gopher_repetition"),
        duplicates=DuplicateSettings(against=(str(tmp_path / "other.txt"),)),
        overlap=OverlapSettings(against=(str(tmp_path / "benchmark.jsonl"),)),
        executor=ExecutorSettings(kind="local", tasks=3, arguments={"workers": 1}),
    )

    here = curate(config, raw=raw, out=tmp_path / "here" / "corpus")
    there = curate_on_cluster(config, raw=raw, out=tmp_path / "there" / "corpus")

    account = json.loads((there / "funnel.json").read_text())["documents"]
    assert account == json.loads((here / "funnel.json").read_text())["documents"]
    assert {"near_duplicate", "exact_duplicate", "contaminated", "too_few_words"} <= set(account["dropped"])
    assert read_manifest(here)["digest"] == read_manifest(there)["digest"]
