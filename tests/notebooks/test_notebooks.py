"""The notebooks tell their story in few plain lines, and what they show belongs to the code that stands beside it."""

import ast
import base64
import importlib.util
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

from hftrain.config import load_config
from hftrain.stages.flow import FlowConfig

ROOT = Path(__file__).parents[2]
HERE = ROOT / "notebooks"
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))
STORIES = {
    *("01_corpus", "02_tokenizer", "03_pretrain", "04_sft"),
    *("05_preferences_reward", "06_ppo", "07_evaluate_export", "08_serve_feedback"),
}
MOST_CODE_LINES, MOST_BYTES = 80, 600_000
WIDEST_INCHES, SMALLEST_POINTS = 6.4, 9
NAMES_OF_A_PLOT = {"title", "xlabel", "ylabel"}

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def style() -> dict[str, str]:
    lines = (HERE / "plain.mplstyle").read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_notebooks", HERE / "run.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hold_the_laws(path: Path, runner: ModuleType) -> None:
    """Outputs are of this code, whole, quiet, of no machine, and legible on a phone."""
    notebook, text = nbformat.read(path, as_version=4), path.read_text(encoding="utf-8")
    assert notebook.metadata.hftrain.code == runner.digest_of(notebook), f"{path.name}: run `make notebooks`"
    assert len(text.encode()) < MOST_BYTES
    assert not re.search(rf"{re.escape(str(ROOT))}|{re.escape(str(Path.home()))}/|/tmp/|site-packages", text)
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert not [each for each in outputs if each.output_type == "error" or each.get("name") == "stderr"]
    pictures = [base64.b64decode(each.data["image/png"]) for each in outputs if "image/png" in each.get("data", {})]
    assert len(pictures) >= 2
    for picture in pictures:
        width, _ = struct.unpack(">II", picture[16:24])
        assert width <= WIDEST_INCHES * float(style()["figure.dpi"])


def test_each_stage_has_its_story() -> None:
    assert {path.stem for path in NOTEBOOKS} >= STORIES


@each_notebook
def test_a_notebook_calls_and_looks_and_defines_nothing(path: Path) -> None:
    tree = ast.parse("\n".join(cell.source for cell in code_cells(path)))
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    assert not [node for node in ast.walk(tree) if isinstance(node, definitions)]
    assert sum(isinstance(node, ast.Lambda) for node in ast.walk(tree)) <= 1


@each_notebook
def test_a_notebook_has_few_lines_of_code(path: Path) -> None:
    lines = [line.strip() for cell in code_cells(path) for line in cell.source.splitlines()]
    assert len([line for line in lines if line and not line.startswith("#")]) <= MOST_CODE_LINES


@each_notebook
def test_kept_outputs_are_of_the_present_code_and_of_no_machine(path: Path, runner: ModuleType) -> None:
    hold_the_laws(path, runner)


def test_outputs_of_other_code_are_told(runner: ModuleType) -> None:
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    before = runner.digest_of(notebook)
    next(cell for cell in notebook.cells if cell.cell_type == "markdown").source += " More words."
    assert runner.digest_of(notebook) == before
    next(cell for cell in notebook.cells if cell.cell_type == "code").source += "\nprint()"
    assert runner.digest_of(notebook) != before


@each_notebook
def test_every_plot_says_what_it_shows_and_in_which_units(path: Path) -> None:
    for cell in code_cells(path):
        calls = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
        named = [
            {keyword.arg for keyword in call.keywords}
            for call in calls
            if isinstance(call.func, ast.Attribute) and call.func.attr == "set"
        ]
        if any(isinstance(call.func, ast.Attribute) and call.func.attr == "subplots" for call in calls):
            assert named and all(names >= NAMES_OF_A_PLOT for names in named), cell.source
        assert not [keyword for call in calls for keyword in call.keywords if keyword.arg == "fontsize"]


def test_no_letter_of_a_picture_is_too_small() -> None:
    sizes = {name: value for name, value in style().items() if name.endswith("size") and name != "figure.figsize"}
    assert {"font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "legend.fontsize"} <= set(sizes)
    assert min(map(float, sizes.values())) >= SMALLEST_POINTS


@each_notebook
def test_a_notebook_explains_asks_and_leads_on(path: Path) -> None:
    prose = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    linked = re.findall(r"\]\(([^)#]+\.ipynb)\)", prose)
    assert linked and all((HERE / name).is_file() for name in linked)
    if not path.stem.startswith("00"):
        assert "**To try.**" in prose


def test_the_settings_of_all_notebooks_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    settings = (HERE / "settings.txt").read_text(encoding="utf-8").split()
    config = load_config(FlowConfig, ROOT / "recipes" / "configs" / "smoke.yaml", settings)
    assert config.evaluate_model.problems() == []


def test_pairs_of_the_word_order_task_have_the_same_words_in_another_order() -> None:
    rows = [json.loads(line) for line in (HERE / "word_order.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        good, bad = (re.findall(r"\w+", row[name]) for name in ("good", "bad"))
        assert sorted(good) == sorted(bad) and good != bad
    assert len(rows) >= 50


def test_a_warning_is_not_kept_and_a_widget_becomes_words(runner: ModuleType) -> None:
    noise = nbformat.v4.new_output("stream", name="stderr", text="FutureWarning: soon\n")
    assert not runner.is_of_a_stage(noise)
    with pytest.raises(ValueError, match=r"(?s)x\.ipynb: a cell wrote to stderr.*FutureWarning"):
        runner.clean(noise, "x.ipynb")
    assert runner.is_of_a_stage(nbformat.v4.new_output("stream", name="stderr", text="reward_model: few pairs\n"))

    widget = nbformat.v4.new_output("display_data", data={runner.WIDGET: {"model_id": "1"}, "text/plain": "HBox()"})
    runner.clean(widget, "x.ipynb")
    assert list(widget.data) == ["text/plain"] and "a widget" in widget.data["text/plain"]


def test_a_text_that_was_printed_in_pieces_is_kept_as_one(runner: ModuleType) -> None:
    pieces = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in ("one ", "text")]
    picture = nbformat.v4.new_output("display_data", data={"text/plain": "picture"})
    whole = runner.joined([*pieces, picture, nbformat.v4.new_output("stream", name="stdout", text="more")])
    assert [each.get("text") for each in whole] == ["one text", None, "more"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_notebooks_run_in_order_from_nothing(tmp_path: Path, runner: ModuleType) -> None:
    into = tmp_path / "notebooks"
    command = [sys.executable, HERE / "run.py", "--run-dir", tmp_path / "run", "--into", into]
    subprocess.run(command, check=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}, timeout=840)

    assert [path.name for path in sorted(into.glob("*.ipynb"))] == [path.name for path in NOTEBOOKS]
    for path in sorted(into.glob("*.ipynb")):
        hold_the_laws(path, runner)
    assert (tmp_path / "run" / "report.html").is_file()
