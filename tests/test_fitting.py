from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import pytest

from hftrain.fitting import Fitter
from hftrain.given import Given, scalar


@dataclass(frozen=True, kw_only=True)
class Shape:
    layers: int = 2
    width: int = 64


def fit(kind: Any, value: Any) -> tuple[Any, list[str]]:
    given = Given("test")
    fitted = Fitter(given).fit(kind, value, ("part", "key"))
    return fitted, [what for _, what in given.problems]


@pytest.mark.parametrize(
    ("kind", "value", "fitted"),
    [
        (float, 3, 3.0),
        (float, scalar("1e-3"), 0.001),
        (int, scalar("2e5"), 200_000),
        (int | None, scalar("2e5"), 200_000),
        (Any, scalar("2e5"), 200_000.0),
        (float | int, 3, 3),
        (int | str, "3", "3"),
        (bool | str, True, True),
        (str | None, None, None),
        (Optional[int], 3, 3),  # noqa: UP045
        (Path, "a/b", Path("a/b")),
        (Path | None, None, None),
        (Literal["fast", "exact"], "fast", "fast"),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[float, float], [1, 2], (1.0, 2.0)),
        (tuple[tuple[str, ...], ...], [["a"], []], (("a",), ())),
        (list[str], ["a"], ["a"]),
        (Sequence[str], ["a"], ("a",)),
        (dict, {"a": [1]}, {"a": [1]}),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (Mapping[str, Any], None, {}),
        (Shape, {"width": 8}, Shape(width=8)),
        (Shape | None, None, None),
        (str | dict[str, int], {"a": 1}, {"a": 1}),
        (str | list[int], [1], [1]),
    ],
)
def test_a_value_that_fits_gets_the_declared_type(kind, value, fitted):
    found, problems = fit(kind, value)

    assert problems == []
    assert found == fitted
    assert type(found) is type(fitted)


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        (int, "abc", "'abc' is text. A whole number is needed. Write for example key: 100."),
        (int, "1_000", "'1_000' is text. A whole number is needed. Write key: 1000."),
        (int, "10,000", "'10,000' is text. A whole number is needed. Write key: 10000."),
        (int, 1.0, "1.0 is a number. A whole number is needed. Write key: 1."),
        (int, scalar("1e-3"), "0.001 is a number. A whole number is needed."),
        (int, True, "true is a boolean. A whole number is needed."),
        (float, False, "false is a boolean. A number is needed. Write for example key: 1e-3."),
        (float | int, "x", "'x' is text. A number is needed."),
        (int, None, "null stands for not set. A whole number is needed."),
        (bool, "yes", "'yes' is text. True or false is needed. Write key: true."),
        (bool, "off", "'off' is text. True or false is needed. Write key: false."),
        (bool, 1, "1 is a whole number. True or false is needed."),
        (str, 3, "3 is a whole number. Text is needed. Put it in quotes."),
        (str | None, True, "true is a boolean. Text or null is needed. Put it in quotes."),
        (Path, "", "'' is text. A path is needed. Write for example key: folder/name."),
        (Literal["fast", "exact"], "exat", "'exat' is text. One of fast, exact is needed. "),
        (Literal[False, "x"], 0, "0 is a whole number. One of false, x is needed. "),
        (tuple[int, ...], 3, "3 is a whole number. A list is needed. Write for example key: [100]"),
        (tuple[int, int], [1], "a list with 1 entries is given. A list of 2 is needed."),
        (dict[str, Any], [1], "a list with 1 entries is given. A mapping of names to values is"),
        (Shape, 3, "3 is a whole number. A mapping of names to values is needed."),
        (str, "x" * 99, None),
        (int, "x" * 99, f"'{'x' * 57}...' is text."),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_what_to_write(kind, value, problem):
    _, problems = fit(kind, value)

    if problem is None:
        assert problems == []
    else:
        assert len(problems) == 1
        assert problems[0].startswith(f"part.key: {problem}")


@pytest.mark.parametrize(
    ("kind", "value", "where"),
    [
        (tuple[int, ...], [1, "a"], "part.key[1]: "),
        (dict[str, float], {"a": 1, "b": "c"}, "part.key.b: "),
        (dict[str, float] | str, {"b": "c"}, "part.key.b: "),
        (tuple[int, ...] | None, [None], "part.key[0]: "),
        (Shape, {"width": "wide"}, "part.key.width: "),
        (Shape | None, {"widht": 3}, "part.key.widht: unknown key; did you mean width?"),
    ],
)
def test_a_problem_inside_a_container_names_the_item(kind, value, where):
    _, problems = fit(kind, value)

    assert len(problems) == 1
    assert problems[0].startswith(where)


def test_a_nested_dataclass_keeps_the_defaults_of_the_section_around_it():
    @dataclass(frozen=True, kw_only=True)
    class Section:
        shape: Shape = field(default_factory=lambda: Shape(layers=9))

    section = Fitter(Given("test")).instance(Section, {"shape": {"width": 8}}, (), None)

    assert section == Section(shape=Shape(layers=9, width=8))


def test_a_mapping_is_laid_over_its_default_and_a_list_replaces_it():
    section_type = make_dataclass(
        "Section",
        [
            ("weights", dict[str, float], field(default_factory=lambda: {"a": 1.0, "b": 2.0})),
            ("rules", tuple[str, ...], ("x", "y")),
        ],
    )

    section = Fitter(Given("test")).instance(section_type, {"weights": {"b": 3}, "rules": ["z"]}, (), None)

    assert section == section_type(weights={"a": 1.0, "b": 3.0}, rules=("z",))


def test_a_field_without_default_must_be_given():
    section_type = make_dataclass("Section", [("rows", int)])
    given = Given("test")

    Fitter(given).instance(section_type, {}, (), None)

    assert [what for _, what in given.problems] == [
        "rows: is missing. A whole number is needed. Write for example rows: 100."
    ]


@pytest.mark.parametrize("kind", [complex, dict[int, str], set[str]])
def test_a_type_that_yaml_cannot_hold_is_a_mistake_of_the_programmer(kind):
    with pytest.raises(TypeError, match="a configuration cannot hold"):
        fit(kind, {})
