"""Files, settings, commands and modules that a page names are there."""

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hftrain.commands import console_parser
from hftrain.documentation import Setting, settings_of
from hftrain.stages.flow import FlowConfig
from hftrain.upstream import fields_of

ROOT = Path(__file__).parents[2]
SECTIONS = {each.name for each in fields(FlowConfig)}
SETTING = re.compile(r"([a-z_]+)((?:\.[\w\[\]*]+)+)(?:[=:].*)?")
PLACE = re.compile(r"(?:recipes|hftrain|tests|docs|notebooks)/[\w./*-]*")
MODULE = re.compile(r"hftrain(?:\.\w+)+")
FILE = re.compile(r"\.(py|html|jsonl?|ya?ml|md|ipynb|arrow|safetensors|gguf)$")
MADE_LATER = ("docs/_build",)


@cache
def known_settings() -> dict[str, Setting]:
    return {each.name: each for each in settings_of(FlowConfig)}


def is_setting(name: str) -> bool:
    """Whether a dotted name is one: a field, an argument of upstream's under one, a name of a mapping."""
    known = known_settings()
    if name in known:
        return True
    parts = name.split(".")
    for depth in range(len(parts) - 1, 1, -1):
        above, below = ".".join(parts[:depth]), parts[depth]
        if (setting := known.get(above)) is not None:
            if setting.upstream is not None:
                return below in fields_of(setting.upstream)
            if setting.kind.startswith("mapping"):
                named = ".".join([above, "NAME", *parts[depth + 1 :]])
                return depth + 1 == len(parts) or named in known or "section" not in setting.kind
            if setting.kind.startswith("list of section"):
                return False
    return False


def is_module(name: str) -> bool:
    """Whether a dotted name is a module of ours, or a name that one of them defines."""
    parts = name.split(".")
    for depth in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:depth])
        path = next((each for each in (base.with_suffix(".py"), base / "__init__.py") if each.is_file()), None)
        if path is not None:
            return depth == len(parts) or parts[depth] in _defined(path)
    return False


def _defined(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.ImportFrom):
            names = node.names if isinstance(node, ast.ImportFrom) else []
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            found |= {alias.asname or alias.name for alias in names}
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def unknown_command(words: list[str]) -> str | None:
    """What of ``hftrain NAME --option …`` does not exist."""
    parser = console_parser()
    commands = next(action.choices for action in parser._actions if hasattr(action, "choices") and action.choices)
    options = [word for word in words if word.startswith("--")]
    names = [word for word in words[1:] if not word.startswith("-")]
    if names and names[0] not in commands:
        return f"hftrain {names[0]}"
    known = set(parser._option_string_actions)
    known |= set(commands[names[0]]._option_string_actions) if names else set()
    return next((option for option in options if option.partition("=")[0] not in known), None)


def unknown_in(page: Any) -> Iterator[str]:
    for line, word in page.words:
        where = f"{page.path.name}:{line}: `{word}`"
        if PLACE.fullmatch(word) and not word.startswith(MADE_LATER):
            if not (list(ROOT.glob(word)) if "*" in word else (ROOT / word).exists()):
                yield f"{where} is not there"
        elif MODULE.fullmatch(word):
            if not is_module(word):
                yield f"{where} is no module or name of one"
        elif word.startswith("hftrain "):
            if (unknown := unknown_command(shlex.split(word))) is not None:
                yield f"{where}: {unknown} does not exist"
        elif (found := SETTING.fullmatch(word)) and found[1] in SECTIONS and not FILE.search(word):
            yield from () if is_setting(found[1] + found[2]) else (f"{where} is no setting",)


def test_each_name_is_there(page: Any) -> None:
    assert not list(unknown_in(page))


@pytest.mark.parametrize(
    "word",
    [
        "recipes/nowhere.py",
        "hftrain.nowhere",
        "hftrain.errors.NoSuchError",
        "hftrain nowhere",
        "hftrain serve --nowhere",
        "ppo.kl_bugdet",
        "pretrain.training.learning_rat",
        "curate.mixture.sources.books.wait",
    ],
)
def test_a_name_that_is_not_there_is_found(word: str, as_page: Callable[[str], Any]) -> None:
    assert list(unknown_in(as_page(f"See `{word}`.\n")))


@pytest.mark.parametrize(
    "word",
    [
        "recipes/configs/tiny.yaml",
        "hftrain.errors.DataError",
        "hftrain serve --port",
        "ppo.kl_budget=4",
        "pretrain.training.learning_rate",
        "curate.mixture.sources.books.weight",
        "report.html",
    ],
)
def test_a_name_that_is_there_is_let_pass(word: str, as_page: Callable[[str], Any]) -> None:
    assert not list(unknown_in(as_page(f"See `{word}`.\n")))


def test_each_recipe_has_a_page_that_says_what_it_reads_and_makes(root: Path) -> None:
    wrong = []
    for recipe in sorted((root / "recipes").glob("*.py")):
        if recipe.stem in ("__init__", "full_flow"):
            continue
        page = root / "docs" / "recipes" / f"{recipe.stem}.md"
        said = page.read_text(encoding="utf-8") if page.is_file() else ""
        wrong += [] if reads_and_makes(recipe.read_text(encoding="utf-8")) in said else [page.name]
    assert not wrong


def reads_and_makes(recipe: str) -> str:
    """The line that a recipe's page has, from the recipe's own source."""
    folders = re.findall(r"(\w+)=run_dir / \"([\w.]+)\"", recipe)
    reads = ", ".join(f"`{folder}/`" for keyword, folder in folders if keyword != "out") or "nothing of the run"
    makes = ", ".join(f"`{folder}/`" for keyword, folder in folders if keyword == "out") or "`report.html`"
    return f"Reads {reads}. Makes {makes}."


def test_what_a_recipe_reads_is_taken_from_its_source() -> None:
    source = 'dpo(config, chat=run_dir / "chat", corpus=run_dir / "corpus", out=run_dir / "policy")'
    assert reads_and_makes(source) == "Reads `chat/`, `corpus/`. Makes `policy/`."
