import json
from pathlib import Path

from hftrain.corpus.accounts import Source, digest_of_files, digest_or_reason


def test_an_account_keeps_the_first_reason_and_every_count() -> None:
    source = Source("tales.jsonl", "documents")
    source.count_broken("line 2 is not JSON")
    source.count_broken("line 5 is not JSON")
    source.pass_over("binary")
    source.pass_over("binary", 2)
    row = source.as_row()
    assert (row["broken"], row["unreadable"], row["passed_over"]) == (2, "line 2 is not JSON", {"binary": 3})
    assert json.loads(json.dumps(row)) == row


def test_a_name_that_is_no_unicode_can_be_written_all_the_same() -> None:
    row = Source("tales/\udcff.txt", "documents", unreadable="\udcfe: no").as_row()
    assert (row["name"], row["unreadable"]) == ("tales/\ufffd.txt", "\ufffd: no")


def test_a_file_that_cannot_be_read_has_its_reason_for_a_digest(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Once.")
    paths = [tmp_path / "a.txt", tmp_path / "gone.txt"]
    assert digest_or_reason(paths[1]) == "unreadable: No such file or directory"
    before = digest_of_files(paths, tmp_path)
    (tmp_path / "gone.txt").write_text("")
    assert before.startswith("sha256:") and digest_of_files(paths, tmp_path) != before
