"""Recipes are thin, shadow nothing, come in an order that works, and stand in the README."""

import ast
import importlib.metadata
import re
import sys
from pathlib import Path

LOGIC = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.Lambda, ast.IfExp, ast.comprehension, ast.ClassDef)


def test_recipes_are_thin(recipe_paths: list[Path]) -> None:
    assert len(recipe_paths) >= 12
    for path in recipe_paths:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        assert len(text.splitlines()) <= 60, path
        body = [node for node in tree.body if not _starts_main(node)]
        logic = [node for part in body for node in ast.walk(part) if isinstance(node, LOGIC)]
        assert not logic, f"{path} decides something"
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert functions == ["run"], path


def _starts_main(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "__main__" in ast.dump(node.test)


def test_recipe_names_shadow_no_module(recipe_paths: list[Path]) -> None:
    installed = set(importlib.metadata.packages_distributions()) | set(sys.stdlib_module_names)
    assert not {path.stem for path in recipe_paths} & (installed - {"recipes"})


def test_the_flow_makes_before_it_reads(root: Path) -> None:
    flow = (root / "recipes" / "full_flow.py").read_text(encoding="utf-8")
    made = set()
    calls = re.findall(r"^    (?:return )?(\w+)(?:\[config\.policy\])?\.run\(", flow, re.MULTILINE)
    for name in [{"POLICIES": "ppo"}.get(call, call) for call in calls]:
        recipe = (root / "recipes" / f"{name}.py").read_text(encoding="utf-8")
        folders = re.findall(r"(\w+)=run_dir / \"([\w.]+)\"", recipe)
        missing = {folder for keyword, folder in folders if keyword != "out"} - made
        assert not missing, f"{name} reads {missing} before it is made"
        made |= {folder for keyword, folder in folders if keyword == "out"}
    assert {"raw", "corpus", "tokenizer", "base", "chat", "preferences", "reward", "policy", "export"} <= made


def test_every_recipe_and_preset_is_in_the_readme(root: Path, recipe_paths: list[Path]) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    presets = sorted((root / "recipes" / "configs").glob("*.yaml"))
    missing = [path.name for path in [*recipe_paths, *presets] if path.name not in readme]
    assert not missing
