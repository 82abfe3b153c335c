import json
from pathlib import Path

import pytest

from hftrain.corpus.survey import survey
from hftrain.errors import DataError

LONG = "A bee lives in a hive of many thousand bees, and each of them has its own work to do."


def rows(path: Path, *values: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("texts")


def test_a_folder_of_documents_alone_is_one_entry(texts: Path) -> None:
    (texts / "deep").mkdir(parents=True)
    (texts / "a.md").write_text(LONG)
    (texts / "deep" / "b.html").write_text(f"<p>{LONG}</p>")
    found = survey([texts])
    assert (found.text, found.conversations, found.rankings) == (("texts",), (), ())
    assert found.files == {".md": 1, ".html": 1}


def test_conversations_and_rankings_are_told_from_rows_of_text_by_what_they_hold(texts: Path) -> None:
    rows(texts / "stories.jsonl", {"text": LONG, "id": "1"})
    rows(texts / "chats.jsonl", {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
    rows(texts / "alpaca" / "more.jsonl", {"instruction": "a", "output": "b"}, {"instruction": "c", "output": "d"})
    rows(texts / "ranked.jsonl", {"prompt": "a", "chosen": "b", "rejected": "c"})
    found = survey([texts])
    assert found.text == ("texts/stories.jsonl",)
    assert found.conversations == ("texts/alpaca", "texts/chats.jsonl")
    assert found.conversation_count == 3
    assert found.rankings == ("texts/ranked.jsonl",)


def test_the_field_that_holds_the_text_is_found_and_tables_with_another_are_left(texts: Path) -> None:
    for name in ("a", "b"):
        rows(texts / f"{name}.jsonl", {"title": "Bees", "body": LONG})
    rows(texts / "c.jsonl", {"story": LONG})
    rows(texts / "d.jsonl", {"year": 1999})
    found = survey([texts])
    assert found.text_column == "body"
    assert found.text == ("texts/a.jsonl", "texts/b.jsonl")
    assert found.left == {
        ".jsonl (its text is in 'story', not in 'body' as elsewhere)": 1,
        ".jsonl (no field of text)": 1,
    }


def test_source_code_beside_notes_is_read_as_a_tree_and_what_nobody_reads_is_counted(texts: Path) -> None:
    (texts / "project").mkdir(parents=True)
    (texts / "project" / "main.py").write_text("print(1)\n")
    (texts / "notes.txt").write_text(LONG)
    (texts / "photo.PNG").write_bytes(b"\x89PNG")
    found = survey([texts])
    assert found.text == ("texts", "code:texts")
    assert found.files == {".txt": 1, "python code": 1}
    assert found.left == {".png": 1}


def test_one_file_will_do(texts: Path) -> None:
    texts.mkdir()
    (texts / "book.txt").write_text(LONG)
    assert survey([texts / "book.txt"]).text == ("texts/book.txt",)


@pytest.mark.parametrize("what", ["missing", "empty"])
def test_nothing_to_read_is_refused(texts: Path, what: str) -> None:
    if what == "empty":
        texts.mkdir()
        (texts / "photo.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match="does not exist" if what == "missing" else "nothing in it can be read"):
        survey([texts])
