"""A folder of somebody's own files becomes a model that chats, by three commands."""

import argparse as argparse_module
import email
import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hftrain.artifacts import read_json, read_jsonl

HFTRAIN = [sys.executable, "-c", "from hftrain.cli import console; console()"]
QUICK = {
    "pretrain.training.max_steps": "60",
    "pretrain.training.save_steps": "30",
    "pretrain.training.lr_scheduler_kwargs": "{num_decay_steps: 20}",
    "pretrain.look_every_steps": "30",
    "sft.training.num_train_epochs": "3",
    "collect_preferences.prompts": "200",
    "reward_model.training.num_train_epochs": "1",
    "ppo.training.total_episodes": "128",
    "ppo.heldout_prompts": "20",
    "ppo.new_tokens": "24",
    "distill.training.max_steps": "40",
    "export.text_bytes": "4096",
    "export.prompt_count": "2",
    "evaluate_model.heldout_conversations": "20",
    "evaluate_model.new_tokens": "16",
}
"""What makes the second command quick here."""


def write_pdf(path: Path, text: str) -> None:
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    lines = text.splitlines()
    with PdfPages(path) as pages:
        for first in range(0, len(lines), 45):
            page = Figure(figsize=(8.3, 11.7))
            page.text(0.08, 0.95, "\n".join(lines[first : first + 45]), va="top", fontsize=9, parse_math=False)
            pages.savefig(page)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Notes, a page, a PDF, code and a few chats, made of what Python carries."""
    folder = tmp_path / "my_texts"
    (folder / "notes").mkdir(parents=True)
    for module in (argparse_module, inspect, json, shutil, subprocess):
        (folder / "notes" / f"{module.__name__}.md").write_text(f"# {module.__name__}\n\n{inspect.getdoc(module)}\n")
    (folder / "page.html").write_text(
        "<html><body><article><h1>Exit codes</h1><p>"
        + (inspect.getdoc(subprocess.run) or "").replace("\n\n", "</p><p>")
        + "</p></article></body></html>"
    )
    write_pdf(folder / "paper.pdf", inspect.getdoc(argparse_module) or "")
    shutil.copytree(Path(email.__file__).parent, folder / "project", ignore=shutil.ignore_patterns("__pycache__"))
    talks = [("What is argparse?", "It reads a command line."), ("And json?", "It reads and writes JSON.")]
    with (folder / "chats.jsonl").open("w") as file:
        for asked, answered in talks:
            file.write(json.dumps({"prompt": asked, "completion": answered}) + "\n")
    (folder / "photo.jpg").write_bytes(b"\xff\xd8")
    return folder


@pytest.mark.slow
def test_a_folder_of_files_becomes_a_model_that_chats_by_three_commands(texts: Path, tmp_path: Path) -> None:
    def done(*command: str, given: str = "") -> str:
        ran = subprocess.run(
            command, cwd=tmp_path, input=given, capture_output=True, text=True, timeout=900, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    said = done(*HFTRAIN, "init", "my-model", "--from", "my_texts", "--minutes", "0.5", "--no-plan")
    assert "read: 1 .html, 1 .jsonl of conversations, 5 .md, 1 .pdf" in said
    assert "not read: 1 .jpg" in said
    assert said.splitlines()[-1] == "Next: python my-model/recipes/full_flow.py --config my-model/my-model.yaml"

    changes = [word for key, value in QUICK.items() for word in ("--set", f"{key}={value}")]
    made = done(
        sys.executable, "my-model/recipes/full_flow.py", "--config", "my-model/my-model.yaml", "--json", *changes
    )
    assert set(json.loads(made)["artifacts"]) >= {"raw", "corpus", "base", "chat", "policy", "export", "evaluation"}
    run = tmp_path / "runs" / "my-model"
    read = {row["name"]: row["documents"] for row in read_jsonl(run / "raw" / "sources.jsonl")}
    assert read["paper.pdf"] == read["page.html"] == 1
    assert read["my_texts"] > 10
    base = read_json(run / "base" / "summary.json")
    assert base["heldout_bits_per_byte_after"] < base["heldout_bits_per_byte_before"] / 1.2
    page = (run / "report.html").read_text()
    assert "Pretraining" in page and "Formats" in page

    answer = done(*HFTRAIN, "chat", "runs/my-model", "--temperature", "0", given="What is json?\n")
    assert "chat:" in answer or "policy:" in answer
