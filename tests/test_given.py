from pathlib import Path

import pytest

from hftrain.errors import ConfigError
from hftrain.given import LARGEST_FILE_BYTES, Exponent, Given, lay_over, read, scalar


def read_text(folder: Path, text: str, *overrides: str) -> Given:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    given = read(path)
    lay_over(given, overrides)
    return given


def told(given: Given) -> list[str]:
    return [where + what for (_, where), what in given.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-2.5e+3", -2500.0),
        ("+12", 12),
        ("0", 0),
        ("null", None),
        ("~", None),
        ("true", True),
        ("False", False),
    ],
)
def test_a_scalar_is_read_by_the_core_schema(text, value):
    assert scalar(text) == value
    assert isinstance(scalar(text), type(value))


@pytest.mark.parametrize(
    "text",
    ["yes", "no", "on", "off", "1_000", "007", "0x1F", "0o17", "12:30", "2024-01-01", "1e", "e5"]
    + [".", "+", "1.2.3", "tRUE"],
)
def test_what_older_yaml_would_turn_into_another_value_stays_text(text):
    assert scalar(text) == text


def test_only_an_exponent_marks_a_number_that_may_be_whole():
    assert isinstance(scalar("2e5"), Exponent)
    assert not isinstance(scalar("200000.0"), Exponent)


def test_quotes_make_text(tmp_path):
    given = read_text(tmp_path, """a: "1e-3"\nb: 'true'\nc: 1e-3\n""")

    assert given.values == {"a": "1e-3", "b": "true", "c": 0.001}


def test_each_value_knows_its_line(tmp_path):
    given = read_text(tmp_path, "seed: 1\n\npretrain:\n  rows: 3\n  rules:\n    - a\n    - b\n")

    assert given.place(("pretrain", "rows")) == (4, "line 4: ")
    assert given.place(("pretrain", "rules", "[1]")) == (7, "line 7: ")
    assert given.place(("pretrain", "rules", "[1]", "deeper")) == (7, "line 7: ")


def test_a_repeated_key_is_told_with_both_lines(tmp_path):
    given = read_text(tmp_path, "sft:\n  rows: 3\n  epochs: 1\n  rows: 4\n")

    assert told(given) == ["line 4: sft.rows: written twice; first on line 2. One value is needed. Keep one."]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: &x 1\nb: *x\n", "line 2: b: *x is an alias. Plain values are needed. Write it out."),
        ("a: .inf\n", "line 1: a: .inf is not finite. A finite number is needed."),
        ("a: [1, .NaN]\n", "line 1: a[1]: .NaN is not finite. A finite number is needed."),
        (f"a: {'9' * 400}\n", f"line 1: a: {'9' * 400} is not finite. A finite number is needed."),
        ("a: 1e999\n", "line 1: a: 1e999 is not finite. A finite number is needed."),
        ("? [1, 2]\n: 3\n", "line 1: 'a list or mapping' cannot be a key. A plain name is needed."),
        ("a:\n  <<: {b: 1}\n", "line 2: a: '<<' cannot be a key. A plain name is needed."),
        ("!!int a: 1\n", "line 1: 'a' cannot be a key. A plain name is needed."),
    ],
)
def test_what_is_not_a_plain_value_is_refused(tmp_path, text, what):
    assert told(read_text(tmp_path, text)) == [what]


def test_a_tag_runs_nothing_and_is_refused(tmp_path):
    mark = tmp_path / "made"
    given = read_text(tmp_path, f"a: !!python/object/apply:os.mkdir ['{mark}']\n")

    assert len(told(given)) == 1
    assert told(given)[0].startswith("line 1: a: the tag tag:yaml.org,2002:python/object/apply")
    assert given.values == {}
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\nb: [1, 2\n", "line 3: not YAML"),
        ("a: 1\n\tb: 2\n", "line 2: not YAML"),
        ("a: 1\nb: 2: 3\n", "line 2: not YAML"),
        ("a: 1\n---\nb: 2\n", "line 2: not YAML"),
        ("a: 1\nb: \x07\n", "line 2: not YAML"),
        ("- a\n- b\n", "line 1: the file is not a mapping"),
        ("just text\n", "line 1: the file is not a mapping"),
    ],
)
def test_what_is_not_a_mapping_in_yaml_is_told_with_its_line(tmp_path, text, where):
    (only,) = told(read_text(tmp_path, text))

    assert only.startswith(where)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "\ufeff# marked\n", "null\n"])
def test_an_empty_file_departs_from_nothing(tmp_path, text):
    given = read_text(tmp_path, text)

    assert (given.values, given.problems) == ({}, [])


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path):
    (tmp_path / "tiny.yaml").write_text("seed: 1\n")

    with pytest.raises(ConfigError, match=r"tiny.yml: no such file\. .* Did you mean .*/tiny.yaml?"):
        read(tmp_path / "tiny.yml")
    with pytest.raises(ConfigError, match=r"no such file\. A configuration in YAML is needed\.$"):
        read(tmp_path / "nowhere" / "tiny.yaml")


def test_a_folder_or_bytes_in_place_of_a_file_is_an_error(tmp_path):
    (tmp_path / "weights.yaml").write_bytes(b"\xff\xfe\x00")

    for path in (tmp_path, tmp_path / "weights.yaml"):
        with pytest.raises(ConfigError, match="cannot be read"):
            read(path)


def test_an_override_goes_over_the_file_and_the_last_one_wins(tmp_path):
    given = read_text(tmp_path, "sft:\n  rows: 3\n", "sft.rows=4", "sft.rows=5", "ppo.training.kl=1e-2")

    assert given.values == {"sft": {"rows": 5}, "ppo": {"training": {"kl": 0.01}}}
    assert given.place(("sft", "rows"))[1] == "--set "
    assert given.place(("sft",))[1] == "line 1: "


def test_no_line_is_left_of_what_an_override_replaced(tmp_path):
    given = read_text(tmp_path, "sft:\n  rules: [a, b]\n", "sft.rules=[1]")

    assert given.place(("sft", "rules", "[0]"))[1] == "--set "
    assert given.place(("sft", "rules", "[1]"))[1] == "--set "


def test_an_override_may_hold_equals_signs_and_lists(tmp_path):
    given = read_text(tmp_path, "", "a.text=x=1", "a.rules=[x, 2]")

    assert given.values == {"a": {"text": "x=1", "rules": ["x", 2]}}


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("rows", "--set 'rows' has no key and value. Write --set section.key=value."),
        ("sft..rows=1", "--set 'sft..rows=1' has no key and value."),
        ("=1", "--set '=1' has no key and value."),
        ("sft.rows=", "--set sft.rows: no value. Write null for not set"),
        ("sft.rows=[1", "--set sft.rows: not YAML"),
        ("sft.rows=.nan", "--set sft.rows: .nan is not finite"),
        ("seed.rows=1", "--set seed.rows: seed is 7, which has no keys. Set it as a whole."),
    ],
)
def test_a_malformed_override_is_told(tmp_path, override, what):
    (only,) = told(read_text(tmp_path, "seed: 7\n", override))

    assert only.startswith(what)


def test_a_file_that_cannot_be_a_configuration_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log.yaml"
    path.write_bytes(b"#" * (LARGEST_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="more than 10,000,000 bytes"):
        read(path)


def test_brackets_without_end_are_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("a: " + "[" * 5000)
    given = read(path)
    with pytest.raises(ConfigError, match="line 1: not YAML: nested too deeply"):
        given.raise_problems()


def test_of_very_many_problems_thirty_are_shown_and_all_counted() -> None:
    given = read(None)
    for number in range(1000):
        given.tell((f"k{number}",), "unknown")
    with pytest.raises(ConfigError) as refusal:
        given.raise_problems()
    lines = str(refusal.value).splitlines()
    assert (lines[0], len(lines), lines[-1].strip()) == ("configuration: 1000 problems.", 32, "and 970 more")
