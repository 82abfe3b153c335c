import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest

from hftrain.corpus import docstrings
from hftrain.corpus.gathering import Gathering, check_found, summary_of
from hftrain.errors import DataError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def tales(tmp_path: Path) -> Path:
    """A folder of two texts and three rows, one of them empty."""
    folder = tmp_path / "tales"
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "fox.txt").write_text("The fox and the grapes.")
    (folder / "bear.md").write_text("# The bear")
    rows = [{"text": "One.", "title": "First"}, {"text": ""}, {"text": "Two.", "license": "MIT"}]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_folder_gives_its_documents_in_order_each_with_its_file(tales: Path) -> None:
    gathering = Gathering(license="CC0-1.0")

    rows = list(gathering.documents([str(tales)]))

    assert [(row["source"], row["text"], row["license"]) for row in rows] == [
        ("tales/bear.md", "# The bear", "CC0-1.0"),
        ("tales/old/fox.txt", "The fox and the grapes.", "CC0-1.0"),
        ("tales/rows.jsonl", "One.", "CC0-1.0"),
        ("tales/rows.jsonl", "Two.", "MIT"),
    ]
    assert [(source.name, source.documents, source.empty) for source in gathering.sources] == [
        ("tales/bear.md", 1, 0),
        ("tales/old/fox.txt", 1, 0),
        ("tales/rows.jsonl", 2, 1),
    ]


def test_another_text_column_reads_text_files_too(tales: Path) -> None:
    (tales / "rows.jsonl").write_text('{"body": "One."}\n')
    rows = list(Gathering(text_column="body").documents([str(tales)]))
    assert [row["text"] for row in rows] == ["# The bear", "The fox and the grapes.", "One."]


def test_what_cannot_be_read_is_recorded_and_the_rest_goes_on(tales: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tales / "a_latin.txt").write_bytes("Zwölf".encode("latin-1"))
    (tales / "b_broken.parquet").write_bytes(b"no parquet")
    (tales / "c_cut.txt.gz").write_bytes(gzip.compress(b"Once upon a time." * 99)[:-9])
    (tales / "d_lines.jsonl").write_text('{"text": "Three."}\n{"text":\n{"text": "Four."}\n')
    gathering = Gathering()

    rows = list(gathering.documents([str(tales)]))

    reasons = {source.name: source.unreadable for source in gathering.sources if source.unreadable}
    assert list(reasons) == [
        "tales/a_latin.txt",
        "tales/b_broken.parquet",
        "tales/c_cut.txt.gz",
        "tales/d_lines.jsonl",
    ]
    assert "not UTF-8" in str(reasons["tales/a_latin.txt"]) and "line 2" in str(reasons["tales/d_lines.jsonl"])
    assert [row["text"] for row in rows if row["source"] == "tales/d_lines.jsonl"] == ["Three.", "Four."]
    assert len(rows) == 6 and "a_latin.txt" in caplog.text


def test_a_row_of_the_wrong_shape_stops_with_file_row_and_field(tales: Path) -> None:
    (tales / "rows.jsonl").write_text('{"text": "One."}\n{"txt": "Two."}\n')
    with pytest.raises(DataError, match=r"tales/rows.jsonl, row 2: no field 'text', only txt"):
        list(Gathering().documents([str(tales)]))
    with pytest.raises(DataError, match=r"rows.jsonl, row 1: fields text are no conversation"):
        list(Gathering().conversations([str(tales / "rows.jsonl")]))


def test_a_moved_folder_gives_the_same_rows(tales: Path, tmp_path: Path) -> None:
    before = list(Gathering().documents([str(tales)]))
    moved = tmp_path / "elsewhere" / "tales"
    moved.parent.mkdir()
    tales.rename(moved)
    assert list(Gathering().documents([str(moved)])) == before


def test_every_file_of_a_mixed_folder_is_read_or_accounted_for(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    page = "<html><head><title>Fox</title></head><body><p>The fox and the grapes.</p></body></html>"
    (folder / "a.html").write_text(page)
    (folder / "b.epub").write_bytes(b"PK nonsense")
    (folder / "c.txt").write_bytes(b"")
    (folder / "d.txt").write_bytes("Où est passé l'élève français, près du château ?".encode("cp1252"))
    (folder / "e.txt.gz").write_bytes(gzip.compress(b"Once.")[:-4])
    (folder / "f.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nHello.\n")
    (folder / "g.txt").mkdir()
    (folder / "h.jsonl").write_bytes(b'{"text": "One."}\n\xff\n' + b"x" * 100)
    (folder / "i.pdf").write_bytes(b"%PDF-1.4")
    (folder / "\udcff.txt").write_text("A name that is no Unicode.")
    gathering = Gathering()

    rows = list(gathering.documents([str(folder)]))

    assert [(row["source"], row["text"]) for row in rows] == [
        ("mixed/a.html", "The fox and the grapes."),
        ("mixed/d.txt", "Où est passé l'élève français, près du château ?"),
        ("mixed/f.vtt", "Hello."),
        ("mixed/h.jsonl", "One."),
        ("mixed/\ufffd.txt", "A name that is no Unicode."),
    ]
    assert json.loads(str(rows[0]["meta"])) == {"title": "Fox"}
    reasons = {source.name[6:]: str(source.unreadable)[:13] for source in gathering.sources if source.unreadable}
    assert reasons == {
        "b.epub": "not EPUB: Fil",
        "c.txt": "empty: 0 byte",
        "e.txt.gz": "gzip stream i",
        "h.jsonl": "line 2 is not",
        "i.pdf": "not PDF: Stre",
    }
    assert [source.encoding for source in gathering.sources if source.name == "mixed/d.txt"] == ["cp1252"]
    assert len(gathering.sources) == 9


def test_a_tree_of_code_is_one_source_of_its_files(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "LICENSE").write_text("Mozilla Public License Version 2.0")
    (project / "fox.py").write_text("fox = 1\n")
    (project / "wolf.c").write_text("// SPDX-License-Identifier: MIT\nint wolf;\n")
    (project / "empty.py").write_text("")
    gathering = Gathering(license="unstated")

    rows = list(gathering.documents([f"code:{project}"]))

    assert [(row["source"], row["license"], json.loads(str(row["meta"]))) for row in rows] == [
        ("project", "MPL-2.0", {"language": "python", "path": "fox.py"}),
        ("project", "MIT", {"language": "c", "path": "wolf.c"}),
    ]
    (source,) = gathering.sources
    assert (source.documents, source.empty, dict(source.passed_over)) == (2, 1, {"no source code by its name": 1})
    assert str(source.sha256).startswith("sha256:") and source.bytes == 50


def test_rows_nested_too_deeply_are_counted(tales: Path) -> None:
    deep = [f'{{"text": "One.", "x": {"[" * depth}{"]" * depth}}}\n' for depth in range(600, 1000)]
    (tales / "rows.jsonl").write_text("".join(deep) + '{"text": "Two."}\n')
    gathering = Gathering()
    rows = list(gathering.documents([str(tales / "rows.jsonl")]))
    (source,) = gathering.sources
    assert rows[-1]["text"] == "Two." and source.documents + source.broken == 401


def test_installed_docs_name_package_module_and_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    packages = {"ftfy": "ftfy", "no_such_module": "no-such-module"}
    monkeypatch.setattr(docstrings, "PACKAGES", packages)
    gathering = Gathering()

    rows = list(gathering.documents(["installed-docs"]))

    fix_text = next(row for row in rows if json.loads(str(row["meta"]))["module"] == "ftfy.fix_text")
    assert "unicode" in str(fix_text["text"]).lower() and ">>>" not in str(fix_text["text"])
    assert (fix_text["source"], fix_text["license"]) == ("installed-docs/ftfy", "Apache-2.0")
    assert [source.unreadable for source in gathering.sources] == [None, "not installed"]
    assert gathering.sources[0].version and gathering.sources[0].documents == len(rows) > 30


def test_one_package_can_be_read_alone() -> None:
    gathering = Gathering()
    rows = list(gathering.documents(["installed-docs/yaml"]))
    assert {row["source"] for row in rows} == {"installed-docs/yaml"}
    assert [source.name for source in gathering.sources] == ["installed-docs/yaml"]


def test_chatterbot_conversations_are_counted_by_file() -> None:
    gathering = Gathering()
    rows = list(gathering.conversations(["chatterbot"]))
    assert len(rows) == sum(source.documents for source in gathering.sources) > 1500
    assert {row["license"] for row in rows} == {docstrings.package_license("chatterbot-corpus")}
    assert all(str(row["source"]).startswith("chatterbot/") for row in rows)


def test_a_hub_data_set_is_streamed_at_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def load_dataset(*names: object, **settings: object) -> Iterator[dict[str, str]]:
        asked.append((names, settings))
        return ({"text": f"Row {number}."} for number in range(1000))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)

    rows = list(Gathering().documents([f"hub:ann/tales@{COMMIT}:en:test[:3]"]))

    assert [row["text"] for row in rows] == ["Row 0.", "Row 1.", "Row 2."]
    assert rows[0]["source"] == "ann/tales"
    assert asked == [(("ann/tales", "en"), {"split": "test", "revision": COMMIT, "streaming": True})]


def test_a_data_set_out_of_reach_says_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*names: object, **settings: object) -> None:
        raise ConnectionError("offline mode is enabled")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match="cannot be read: offline mode") as refusal:
        list(Gathering().documents([f"hub:ann/tales@{COMMIT}"]))
    assert "HF_HUB_OFFLINE" in str(refusal.value)


def test_an_empty_harvest_says_what_was_looked_at(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text(" ")
    (tmp_path / "latin.txt").write_bytes(b"\xff\xff")
    gathering = Gathering()
    found = len(list(gathering.documents([str(tmp_path)])))
    with pytest.raises(DataError, match="collect: 0 documents in .*looked at 2 sources") as refusal:
        check_found("documents", found, [str(tmp_path)], gathering.sources)
    assert "no text in it (1 empty" in str(refusal.value) and "not UTF-8" in str(refusal.value)


def test_the_summary_counts_rows_read_and_not_read(tales: Path) -> None:
    (tales / "latin.txt").write_bytes(b"\xff\xff")
    gathering = Gathering()
    list(gathering.documents([str(tales)]))
    assert summary_of(gathering.sources, 3, 0) == {
        "documents": 3,
        "documents_read": 4,
        "conversations": 0,
        "conversations_read": 0,
        "sources": 4,
        "unreadable_sources": 1,
        "empty_rows": 1,
        "broken_rows": 0,
        "passed_over": 0,
    }
