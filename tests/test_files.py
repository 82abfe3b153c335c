from pathlib import Path

import pytest

from hftrain.errors import ArtifactError
from hftrain.files import digest_file, digest_folder, read_json, read_jsonl, write_json, write_jsonl


def test_json_is_written_with_sorted_keys_and_without_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": "é"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "a": "é",\n "b": 1\n}\n'
    with pytest.raises(ValueError, match="nan"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == {"a": "é", "b": 1}


def test_json_lines_split_on_newlines_alone(tmp_path: Path) -> None:
    rows = [{"text": "one\u2028two\u0085three"}, {"text": "four\nfive"}]
    assert write_jsonl(tmp_path / "rows.jsonl", rows) == 2
    assert read_jsonl(tmp_path / "rows.jsonl") == rows


def test_a_cut_json_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"a": ')
    with pytest.raises(ArtifactError, match=r"cut.json: is not JSON"):
        read_json(tmp_path / "cut.json")


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_text("abc")
    assert digest_file(tmp_path / "abc") == ("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


def test_the_digest_of_a_folder_holds_names_and_contents_and_follows_no_link(tmp_path: Path) -> None:
    digests = set()
    for name, text in (("a", "x"), ("a", "y"), ("b", "x")):
        folder = tmp_path / (name + text)
        folder.mkdir()
        (folder / name).write_text(text)
        digests.add(digest_folder(folder))
    assert len(digests) == 3
    (tmp_path / "ax" / "link").symlink_to("/etc/hostname")
    assert digest_folder(tmp_path / "ax") in digests
