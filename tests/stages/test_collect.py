import gzip
import json
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from hftrain.artifacts import read_manifest
from hftrain.corpus import docstrings
from hftrain.errors import ConfigError, DataError
from hftrain.stages.collect import CollectConfig, collect


def tales(folder: Path, count: int = 40) -> Path:
    """A folder of as many tales, and one file of as many talks."""
    folder.mkdir()
    rows = [{"text": f"Once there were {number} cats.", "title": f"Tale {number}"} for number in range(count)]
    (folder / "tales.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def talks(path: Path) -> Path:
    rows = [{"prompt": f"What is {number}?", "completion": "A number."} for number in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def config(tmp_path: Path, **settings: object) -> CollectConfig:
    given = {"text": (str(tmp_path / "tales"),), "conversations": (str(tmp_path / "talks.jsonl"),), "seed": 1}
    return CollectConfig(**(given | settings))  # type: ignore[arg-type]


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """``tales/`` and ``talks.jsonl`` under one folder."""
    tales(tmp_path / "tales")
    talks(tmp_path / "talks.jsonl")
    return tmp_path


def test_raw_holds_documents_conversations_and_their_sources(places: Path) -> None:
    raw = collect(config(places, license="CC0-1.0"), out=places / "run" / "raw")

    documents = datasets.load_from_disk(str(raw / "documents"))
    conversations = datasets.load_from_disk(str(raw / "conversations"))
    sources = [json.loads(line) for line in (raw / "sources.jsonl").read_text().splitlines()]
    assert documents[0]["text"] == "Once there were 0 cats."
    assert documents[0]["source"] == "tales/tales.jsonl" and documents[0]["license"] == "CC0-1.0"
    assert conversations[0]["messages"][1] == {"role": "assistant", "content": "A number."}
    assert [(source["name"], source["documents"]) for source in sources] == [
        ("tales/tales.jsonl", 40),
        ("talks.jsonl", 20),
    ]
    assert json.loads((raw / "summary.json").read_text())["documents"] == len(documents) == 40


def test_two_runs_are_byte_identical_and_the_second_of_one_is_skipped(places: Path) -> None:
    one, two = (collect(config(places), out=places / name / "raw") for name in ("one", "two"))
    assert read_manifest(one)["digest"] == read_manifest(two)["digest"]

    made = (one / "manifest.json").stat().st_mtime_ns
    collect(config(places), out=one)
    assert (one / "manifest.json").stat().st_mtime_ns == made


def test_a_changed_file_makes_the_artifact_anew(places: Path) -> None:
    raw = collect(config(places), out=places / "raw")
    (places / "tales" / "new.txt").write_text("One tale more.")
    collect(config(places), out=raw)
    assert len(datasets.load_from_disk(str(raw / "documents"))) == 41


def test_code_and_compressed_files_are_read_and_what_is_not_is_accounted_for(places: Path) -> None:
    project = places / "project"
    project.mkdir()
    (project / "cat.py").write_text("# SPDX-License-Identifier: MIT\ncats = 3\n")
    (project / "yarn.lock").write_text("")
    (places / "tales" / "old.txt.gz").write_bytes(gzip.compress(b"An old tale."))
    (places / "tales" / "lost.epub").write_bytes(b"PK nonsense")
    text = (str(places / "tales"), f"code:{project}")

    raw = collect(config(places, text=text), out=places / "raw")

    rows = {row["source"]: row for row in datasets.load_from_disk(str(raw / "documents"))}
    sources = {row["name"]: row for row in map(json.loads, (raw / "sources.jsonl").read_text().splitlines())}
    assert rows["tales/old.txt.gz"]["text"] == "An old tale."
    assert rows["project"]["license"] == "MIT"
    assert json.loads(rows["project"]["meta"]) == {"language": "python", "path": "cat.py"}
    assert sources["project"]["passed_over"] == {"lock file": 1}
    assert sources["tales/lost.epub"]["unreadable"].startswith("not EPUB")
    assert sources["tales/old.txt.gz"]["encoding"] == "utf-8"
    made = (raw / "manifest.json").stat().st_mtime_ns
    collect(config(places, text=text), out=raw)
    assert (raw / "manifest.json").stat().st_mtime_ns == made


def test_a_limit_keeps_a_stable_sample(places: Path) -> None:
    everything = collect(config(places), out=places / "all" / "raw")
    some = collect(config(places, max_documents=10, max_conversations=5), out=places / "some" / "raw")

    ids = list(datasets.load_from_disk(str(everything / "documents"))["id"])
    kept = list(datasets.load_from_disk(str(some / "documents"))["id"])
    assert kept == [row_id for row_id in ids if row_id in sorted(ids)[:10]]
    assert len(datasets.load_from_disk(str(some / "conversations"))) == 5


def test_the_embedded_default_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docstrings, "PACKAGES", {"ftfy": "ftfy", "yaml": "PyYAML"})
    raw = collect(CollectConfig(seed=1, max_conversations=30), out=tmp_path / "raw")

    sources = set(datasets.load_from_disk(str(raw / "documents"))["source"])
    assert sources == {"installed-docs/ftfy", "installed-docs/yaml"}
    assert read_manifest(raw)["outside"].keys() == {"installed-docs", "package chatterbot-corpus"}


def test_no_conversations_may_be_asked_for(places: Path) -> None:
    raw = collect(config(places, conversations=()), out=places / "raw")
    assert len(datasets.load_from_disk(str(raw / "conversations"))) == 0


def test_all_problems_are_told_before_any_work(places: Path) -> None:
    wrong = config(places, text=("nowhere", "hub:ann/tales@main"), max_documents=0)
    with pytest.raises(ConfigError) as refusal:
        collect(wrong, out=places / "raw")
    assert len(str(refusal.value).split("\n")) == 3
    assert not (places / "raw.partial").exists()


def test_no_place_at_all_is_a_problem(places: Path) -> None:
    assert "At least one place" in config(places, text=()).problems()[0]


def test_places_without_text_are_refused_and_publish_nothing(places: Path) -> None:
    (places / "tales" / "tales.jsonl").write_text('{"text": ""}\n')
    with pytest.raises(DataError, match="collect: 0 documents"):
        collect(config(places), out=places / "raw")
    assert not (places / "raw").exists()


def test_importing_the_stage_is_light() -> None:
    script = "import sys, hftrain.stages.collect, hftrain.stages.curate as c; from hftrain.stages.collect import *; "
    script += "CollectConfig().problems(), CollectConfig().outside(), c.CurateConfig().problems(); "
    script += "print([name for name in ('torch', 'datasets', 'pyarrow', 'numpy', 'ftfy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.slow
def test_the_whole_default_is_a_corpus_of_tens_of_thousands_of_texts(tmp_path: Path) -> None:
    raw = collect(CollectConfig(seed=1), out=tmp_path / "raw")
    summary = json.loads((raw / "summary.json").read_text())
    assert summary["documents"] > 40_000 and summary["conversations"] > 1_500
    assert summary["unreadable_sources"] == 0
