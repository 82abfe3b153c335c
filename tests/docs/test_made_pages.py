"""The pages that are made from the code say what the code says today."""

import ast
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest

from hftrain.config import StageConfig
from hftrain.documentation import field_texts, settings_of
from hftrain.stages.flow import FlowConfig


def test_pages_that_are_made_are_up_to_date(root: Path, make_pages: ModuleType) -> None:
    made = make_pages.pages()
    assert set(made) == set((root / "docs" / "reference").glob("*.md"))
    old = [path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    assert not old, "run: python docs/make_pages.py"


def test_every_setting_has_a_text_and_every_class_of_upstream_a_page(make_pages: ModuleType) -> None:
    settings = list(settings_of(FlowConfig))
    assert [each.name for each in settings if not each.text] == []
    passed = {each.upstream for each in settings if each.upstream}
    assert passed == set(make_pages.UPSTREAM_PAGES)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part."""

    size: int = 3
    """How large,
    in ``parts``."""


@dataclass(frozen=True, kw_only=True)
class Whole(StageConfig):
    """A whole."""

    parts: dict[str, Part] = field(default_factory=dict)
    kind: Literal["a", "b"] | None = None
    """Which."""


def test_a_setting_says_its_place_type_default_and_text() -> None:
    found = {each.name: each for each in settings_of(Whole, ("whole",))}
    assert list(found) == ["whole.seed", "whole.parts", "whole.parts.NAME.size", "whole.kind"]
    size = found["whole.parts.NAME.size"]
    assert (size.kind, size.default, size.text) == ("whole number", 3, "How large, in `parts`.")
    assert found["whole.kind"].kind == "`a`, `b` or null"
    assert found["whole.parts"].text == "A part."


def test_a_field_s_text_is_that_of_the_nearest_class() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Nearer(Part):
        size: int = 4
        """Larger."""

    assert field_texts(Nearer) == {"size": "Larger."}


def test_a_setting_that_changes_changes_the_page(make_pages: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    before = make_pages.configuration_page()
    real = make_pages.settings_of

    def other(kind: type[Any]) -> Any:
        for each in real(kind):
            yield each if each.name != "ppo.kl_budget" else type(each)(each.keys, each.kind, 11.0, each.text)

    monkeypatch.setattr(make_pages, "settings_of", other)
    assert make_pages.configuration_page() != before


def test_a_message_shows_where_its_values_go(make_pages: ModuleType) -> None:
    tree = ast.parse('raise DataError(f"{path}: {len(rows)} rows. " + f"At least {self.least} are needed.")')
    assert list(make_pages._raised(tree)) == [("DataError", "‹path›: ‹len› rows. At least ‹least› are needed.")]


def test_a_message_shows_the_text_of_a_name_that_it_is_made_of(make_pages: ModuleType) -> None:
    tree = ast.parse('what = f"{near} is no key."\ngiven.tell(keys, f"here: {what} Mend it.")')
    assert list(make_pages._raised(tree)) == [("ConfigError", "here: ‹near› is no key. Mend it.")]
