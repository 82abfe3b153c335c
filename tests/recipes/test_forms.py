"""Every recipe works in each of the forms that the README names."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.py") if path.name != "__init__.py")


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=300, env={**os.environ, **environment}, check=False
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_importable_and_has_run(recipe: str) -> None:
    assert callable(importlib.import_module(f"recipes.{recipe}").run)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_a_script_and_a_module(recipe: str) -> None:
    config = ("--config", "recipes/configs/smoke.yaml", "--dry-run")
    script = run(sys.executable, f"recipes/{recipe}.py", *config)
    module = run(sys.executable, "-m", f"recipes.{recipe}", *config)
    assert script.returncode == module.returncode == 0, script.stderr + module.stderr
    assert script.stdout == module.stdout
    assert "seed:" in script.stdout


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["train_tokenizer", "full_flow"])
def test_a_recipe_is_launched_by_accelerate(recipe: str) -> None:
    done = run(
        str(Path(sys.executable).parent / "accelerate"), "launch", "--cpu", "--num_processes", "1",
        f"recipes/{recipe}.py", "--config", "recipes/configs/smoke.yaml", "--dry-run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "seed:" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--set", "pretrain.row_token=3"], "did you mean row_tokens?"),
        (["--set", "pretrain.row_tokens=many"], "pretrain.row_tokens: 'many' is text"),
        (["--set", "pretrain.training.learning_rat=1e-3"], "did you mean learning_rate?"),
        (["--set", "pretrain.training.learning_rate=fast"], "pretrain.training.learning_rate: 'fast' is text"),
        (["--set", "pretrain.training.output_dir=x"], "pretrain.training.output_dir"),
        (["--set", "collect.text=[nowhere/]"], "collect.text"),
        (["--set", "ppo.kl_budget=-1"], "ppo.kl_budget: -1"),
    ],
)
def test_a_mistake_is_told_in_one_screen_before_any_work(words: list[str], expected: str, tmp_path: Path) -> None:
    done = run(sys.executable, "recipes/full_flow.py", "--run-dir", str(tmp_path / "run"), *words)
    assert done.returncode == 2
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) < 25
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_repeated_key_is_an_error_with_its_line_and_1e_3_is_a_number(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("pretrain:\n  training:\n    learning_rate: 1e-3\n  row_tokens: 8\n  row_tokens: 9\n")
    done = run(sys.executable, "recipes/full_flow.py", "--config", str(config), "--dry-run")
    assert done.returncode == 2
    assert "row_tokens" in done.stderr and "line 5" in done.stderr
    config.write_text("pretrain:\n  training:\n    learning_rate: 1e-3\n")
    done = run(sys.executable, "recipes/full_flow.py", "--config", str(config), "--dry-run")
    assert "learning_rate: 0.001" in done.stdout


def test_an_empty_corpus_and_one_of_one_document_are_told(tmp_path: Path) -> None:
    for texts in ([], ["A lonely story about the cat that sat on the mat, and of all that it saw from there."]):
        folder = tmp_path / str(len(texts))
        folder.mkdir()
        for number, text in enumerate(texts):
            (folder / f"{number}.txt").write_text(text)
        collected = run(
            sys.executable,
            "recipes/full_flow.py",
            "--run-dir",
            str(tmp_path / "run"),
            "--set",
            f"collect.text=[{folder}]",
        )
        assert collected.returncode == 2, collected.stderr
        assert "error: " in collected.stderr and "Traceback" not in collected.stderr


def test_help_says_what_a_recipe_reads_and_makes() -> None:
    words = run(sys.executable, "recipes/pretrain.py", "--help").stdout.split()
    assert "corpus/ + tokenizer/ -> base/" in " ".join(words)


def test_a_misspelt_section_is_told_by_every_recipe(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("pretrian:\n  row_tokens: 8\n")
    done = run(sys.executable, "recipes/sft.py", "--config", str(config), "--dry-run")
    assert done.returncode == 2
    assert "pretrian" in done.stderr
