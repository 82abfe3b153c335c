"""Sizes to live by, light imports, presets that parse, notebooks that define nothing."""

import ast
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

LONGEST_FUNCTION = 65
LONGEST_FILE = 320
HEAVY = ("torch", "transformers", "datasets", "trl", "numpy", "pyarrow", "tokenizers")


def test_functions_and_files_stay_readable(root: Path, package_trees: dict[str, ast.Module]) -> None:
    long = []
    for name, tree in package_trees.items():
        last = max((getattr(node, "end_lineno", 0) or 0 for node in tree.body), default=0)
        if last > LONGEST_FILE:
            long.append(f"{name}: {last} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{name}.{node.name}: {lines} lines")
    assert not long


def test_no_module_is_named_for_nothing(package_trees: dict[str, ast.Module]) -> None:
    words = {name.rpartition(".")[2] for name in package_trees}
    assert not words & {"utils", "util", "common", "helpers", "manager", "core", "misc"}


@pytest.mark.parametrize("module", ["hftrain.cli", "hftrain.stages.flow", "hftrain.lineage"])
def test_import_is_light(module: str) -> None:
    script = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_answers_at_once() -> None:
    seconds = []
    for _ in range(5):
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", "from hftrain.cli import console; console()", "--help"],
                              capture_output=True, text=True, check=True)  # fmt: skip
        seconds.append(time.monotonic() - began)
        assert "hftrain" in done.stdout
    assert min(seconds) < 0.3


def test_presets_parse_strictly(root: Path) -> None:
    from hftrain.config import load_config
    from hftrain.stages.flow import FlowConfig

    presets = sorted((root / "recipes" / "configs").glob("*.yaml"))
    assert {"smoke", "tiny", "gpu", "node"} <= {path.stem for path in presets}
    for path in presets:
        load_config(FlowConfig, path)


def test_notebooks_define_nothing_and_are_short(root: Path) -> None:
    notebooks = sorted((root / "notebooks").glob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = "".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")
        defined = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        assert not defined, path
        assert len([line for line in code.splitlines() if line.strip()]) <= 80, path


def test_nothing_is_unpickled_and_no_foreign_code_is_run(root: Path) -> None:
    wrong = []
    for path in [*(root / "hftrain").rglob("*.py"), *(root / "recipes").rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import) and any(name.name == "pickle" for name in node.names):
                wrong.append(f"{path.name} imports pickle")
            if isinstance(node, ast.Call) and "torch.load" in ast.unparse(node.func):
                safe = any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords)
                wrong += [] if safe else [f"{path.name}:{node.lineno} loads a pickle"]
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code" and ast.unparse(node.value) != "False":
                wrong.append(f"{path.name} trusts remote code")
    assert not wrong
