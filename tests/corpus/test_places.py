from pathlib import Path

import pytest

from hftrain.corpus.places import (
    CodePlace,
    HubPlace,
    outside_of,
    packages_of,
    parse_code,
    parse_hub,
    path_problems,
    problems_of,
    readable_files,
)
from hftrain.errors import ConfigError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
KINDS = [
    "txt", "md", "html", "htm", "xhtml", "pdf", "epub", "srt", "vtt", "warc", "jsonl", "ndjson", "csv", "parquet", "gz",
    "zst",
]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        (f"hub:ann/tales@{COMMIT}", HubPlace("ann/tales", COMMIT, None, "train", None)),
        (f"hub:tales@{COMMIT}:test", HubPlace("tales", COMMIT, None, "test", None)),
        (f"hub:ann/tales@{COMMIT}:train[:500]", HubPlace("ann/tales", COMMIT, None, "train", 500)),
        (f"hub:ann/tales@{COMMIT}:en-10BT:train", HubPlace("ann/tales", COMMIT, "en-10BT", "train", None)),
    ],
)
def test_a_hub_entry_names_repository_commit_configuration_split_and_rows(entry: str, place: HubPlace) -> None:
    assert parse_hub(entry) == place


@pytest.mark.parametrize("entry", ["hub:ann/tales", "hub:ann/tales@main", f"hub:ann/tales@{COMMIT[:10]}", "hub:"])
def test_a_hub_entry_without_a_full_commit_is_refused(entry: str) -> None:
    with pytest.raises(ConfigError, match="40 hex digits of a commit"):
        parse_hub(entry)


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("code:my/project", CodePlace(Path("my/project"), ())),
        ("code:my/project/?python, Rust", CodePlace(Path("my/project"), ("python", "rust"))),
        ("code:what?/project?c", CodePlace(Path("what?/project"), ("c",))),
    ],
)
def test_a_code_entry_names_a_folder_and_perhaps_languages(entry: str, place: CodePlace) -> None:
    assert parse_code(entry) == place


@pytest.mark.parametrize("entry", ["code:project?pyton", "code:project?", "code:", "code:?python"])
def test_a_code_entry_without_folder_or_with_an_unknown_language_is_refused(entry: str) -> None:
    with pytest.raises(ConfigError, match="Needed: code:FOLDER"):
        parse_code(entry)


def test_a_tree_must_be_a_folder_with_code_in_it(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "a.rs").write_text("fn main() {}")
    entries = [f"code:{tmp_path}/none", f"code:{tmp_path}/project?python", f"code:{tmp_path}/project?cobol"]

    problems = problems_of("collect.text", [*entries, f"code:{tmp_path}/project"], "installed-docs")

    assert len(problems) == 3
    assert "is not a folder" in problems[0] and "holds no source code" in problems[1] and "cobol" in problems[2]
    assert len(problems_of("collect.conversations", [f"code:{tmp_path}/project"], "chatterbot", tables_only=True)) == 1


def test_what_is_read_of_a_tree_lies_outside(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "a.rs").write_text("fn main() {}")
    entries = [f"code:{tmp_path}/project", f"code:{tmp_path}/project?rust"]
    before = outside_of(entries)
    (tmp_path / "project" / "notes.txt").write_text("not code")
    assert outside_of(entries) == before
    (tmp_path / "project" / "a.rs").write_text("fn main() { }")
    after = outside_of(entries)
    assert len(before) == 2 and all(before[name] != after[name] for name in before)


def test_a_folder_is_walked_in_order_without_links_and_hidden_files(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    tales = tmp_path / "tales"
    (tales / "b").mkdir(parents=True)
    (tales / ".git").mkdir()
    for name in ("b/two.md", "a.txt", "c.jsonl.gz", "picture.png", ".hidden.txt", ".git/x.txt", "x.parquet.gz"):
        (tales / name).write_text("Once.")
    (tales / "linked.txt").symlink_to(outside)
    (tales / "linked").symlink_to(tmp_path, target_is_directory=True)

    names = [path.relative_to(tales).as_posix() for path in readable_files(tales)]
    assert names == ["a.txt", "b/two.md", "c.jsonl.gz"]


def test_every_kind_is_found_by_its_name_also_compressed(tmp_path: Path) -> None:
    kinds = [kind for kind in KINDS if kind not in ("gz", "zst")]
    for kind in kinds:
        for name in (f"a.{kind}", f"b.{kind.upper()}", f"c.{kind}.gz", f"d.{kind}.zst", f"e.{kind}.bz2", f"f.{kind}x"):
            (tmp_path / name).write_text("Once.")

    names = [path.name for path in readable_files(tmp_path)]
    tables = [path.name for path in readable_files(tmp_path, tables_only=True)]

    assert len(names) == 4 * 13 + 2 and {name[0] for name in names} == set("abcd")
    assert len(tables) == 4 * 3 + 2


def test_beside_tables_a_readme_is_not_part_of_the_data(tmp_path: Path) -> None:
    for name in ("data/rows.jsonl", "data/README.md", "data/SOURCE.txt", "data/sourcerer.txt", "notes/README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")

    names = [path.relative_to(tmp_path).as_posix() for path in readable_files(tmp_path)]
    assert names == ["data/rows.jsonl", "data/sourcerer.txt", "notes/README.md"]


def test_every_problem_is_told_with_field_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.png").write_bytes(b"")
    entries = ["no/such/place", "hub:ann/tales@main", str(tmp_path / "empty"), str(tmp_path / "picture.png")]

    problems = problems_of("collect.text", entries, "installed-docs")

    assert len(problems) == 4
    assert all(problem.startswith("collect.text: ") for problem in problems)
    assert "no/such/place does not exist" in problems[0] and "Mend the path" in problems[0]
    assert "holds nothing readable" in problems[2]
    assert "of a kind that is not read" in problems[3]
    assert all(f".{kind}" in problems[2] and f".{kind}" in problems[3] for kind in KINDS)


def test_files_and_folders_alone_can_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Once.")
    entries = [str(tmp_path / "a.txt"), str(tmp_path), "installed-docs", "code:hftrain", "a.png"]
    problems = path_problems("curate.overlap.against", entries)
    assert len(problems) == 3
    assert problems[0].startswith("curate.overlap.against: installed-docs does not exist")
    assert all("Needed: a file or a folder. Mend the path." in problem for problem in problems)


def test_conversations_do_not_come_from_plain_text(tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_text("Hi")
    problems = problems_of("collect.conversations", [str(tmp_path / "talk.txt")], "chatterbot", tables_only=True)
    assert len(problems) == 1 and ".txt" not in problems[0].split("Needed")[1]


def test_an_embedded_name_is_no_problem_in_its_own_field_only() -> None:
    assert problems_of("collect.text", ["installed-docs"], "installed-docs") == []
    assert len(problems_of("collect.text", ["chatterbot"], "installed-docs")) == 1


def test_one_package_can_be_named_and_an_unknown_one_is_a_problem() -> None:
    assert packages_of("installed-docs/yaml") == {"yaml": "PyYAML"}
    assert len(packages_of("installed-docs")) > 30
    assert problems_of("collect.text", ["installed-docs/yaml"], "installed-docs") == []
    problems = problems_of("collect.text", ["installed-docs/nothing"], "installed-docs")
    assert len(problems) == 1 and "installed-docs/nothing is not one of" in problems[0]


def test_what_lies_outside_is_named_with_its_state(tmp_path: Path) -> None:
    (tmp_path / "tales").mkdir()
    (tmp_path / "tales" / "a.txt").write_text("Once.")
    entries = ["installed-docs", "chatterbot", f"hub:ann/tales@{COMMIT}:test", str(tmp_path / "tales")]

    before = outside_of(entries)
    (tmp_path / "tales" / "a.txt").write_text("Twice.")
    after = outside_of(entries)

    assert before["hub:ann/tales"] == f"{COMMIT}:test"
    assert before["package chatterbot-corpus"][0].isdigit()
    assert {name for name in before if before[name] != after[name]} == {f"{tmp_path.name}/tales"}


def test_two_places_of_one_name_are_both_kept(tmp_path: Path) -> None:
    for parent in ("one", "two"):
        (tmp_path / parent / "x" / "tales").mkdir(parents=True)
        (tmp_path / parent / "x" / "tales" / "a.txt").write_text(parent)
    found = outside_of([str(tmp_path / "one/x/tales"), str(tmp_path / "two/x/tales")])
    assert len(set(found.values())) == 2
