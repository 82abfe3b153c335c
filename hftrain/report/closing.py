"""What is said when a flow ends: what each stage took, its one telling number, and where to look."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hftrain.artifacts import read_json, read_manifest
from hftrain.lineage import artifacts_of
from hftrain.report.numbers import duration, size_in_bytes

TELLING = {
    "raw": ("documents", "documents", "{:,}"),
    "corpus": ("documents_kept", "documents kept", "{:,}"),
    "tokenizer": ("tokens", "tokens", "{:,}"),
    "base": ("heldout_bits_per_byte_after", "bits per held-out byte", "{:.3f}"),
    "chat": ("heldout_answer_nats_after", "nats a token of held-out answers", "{:.3f}"),
    "preferences": ("pairs_train", "pairs to learn from", "{:,}"),
    "reward": ("heldout_accuracy_after", "of held-out pairs in the right order", "{:.0%}"),
    "policy": ("heldout_reward_after", "mean reward of held-out answers", "{:.2f}"),
    "student": ("heldout_bits_per_byte_after", "bits per held-out byte", "{:.3f}"),
}
"""Kind of artifact -> the number of its summary that says most, in words, and how it is written."""


MODELS = ("base", "chat", "reward", "policy", "student")


def closing_lines(run_dir: Path, page: Path, made: frozenset[str]) -> Iterator[str]:
    """The lines: a stage each, then what to do next.

    Args:
        run_dir: The run's folder.
        page: Its page.
        made: Names of the artifacts that were made just now; the others were up to date.
    """
    folders = _own(run_dir)
    yield f"{run_dir.as_posix()}:"
    seconds = 0.0
    for folder in folders:
        manifest = read_manifest(folder)
        seconds += manifest["seconds"]
        bytes_held = sum(each["bytes"] for each in manifest["files"].values())
        before = "" if folder.name in made else "  (was up to date)"
        told = telling_number(folder)
        yield (
            f"  {folder.name:12}{duration(manifest['seconds']):>10}{size_in_bytes(bytes_held):>12}  "
            f"{told}{before}".rstrip()
        )
    yield f"  {'in all':12}{duration(seconds):>10}"
    program = _program()
    yield f"Look:  {page.as_posix()}"
    if (run_dir / "policy").is_dir() or (run_dir / "chat").is_dir():
        yield f"Talk:  {program} chat {run_dir.as_posix()}"
        yield f"Serve: {program} serve {run_dir.as_posix()}"
    models = [folder for folder in folders if folder.name in MODELS]
    yield f"Trace: {program} trace {(models or folders)[-1].as_posix()}"


def closing_json(run_dir: Path, page: Path, made: frozenset[str]) -> dict[str, Any]:
    """The same as plain values: each artifact's stage, digest, seconds and summary."""
    stages = {}
    for folder in _own(run_dir):
        manifest = read_manifest(folder)
        stages[folder.name] = {
            "stage": manifest["stage"],
            "digest": manifest["digest"],
            "seconds": manifest["seconds"],
            "made_now": folder.name in made,
            "summary": _summary(folder),
        }
    return {"run": run_dir.as_posix(), "page": page.as_posix(), "artifacts": stages}


def telling_number(folder: Path) -> str:
    """The number that says most of an artifact, in words; nothing where its summary has none of them."""
    name, words, form = TELLING.get(folder.name, ("", "", ""))
    value = _summary(folder).get(name)
    return f"{form.format(value)} {words}" if isinstance(value, int | float) else ""


def _own(run_dir: Path) -> list[Path]:
    """The artifacts of the flow; those of cycles and adapters are another's."""
    return [folder for folder in artifacts_of(run_dir) if folder.parent == run_dir]


def _summary(folder: Path) -> Mapping[str, Any]:
    path = folder / "summary.json"
    found: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    return found


def _program() -> str:
    """How ``hftrain`` is started here: by its name, or beside the Python that runs."""
    beside = Path(sys.executable).with_name("hftrain")
    here = Path.cwd()
    return beside.relative_to(here).as_posix() if beside.is_file() and beside.is_relative_to(here) else "hftrain"
