from pathlib import Path
from typing import Any

import pytest

from hftrain.artifacts import stage, write_json
from hftrain.config import StageConfig
from hftrain.report.closing import closing_json, closing_lines, telling_number


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two artifacts."""

    @stage(makes="base", uses_torch=False)
    def pretrain(config: StageConfig, *, out: Path) -> None:
        write_json(out / "summary.json", {"heldout_bits_per_byte_after": 1.5584, "steps": 10})

    @stage(makes="chat", reads=("base",), uses_torch=False)
    def sft(config: StageConfig, *, base: Path, out: Path) -> None:
        write_json(out / "summary.json", {"heldout_answer_nats_after": "none"})

    base = pretrain(StageConfig(), out=tmp_path / "base")
    sft(StageConfig(), base=base, out=tmp_path / "chat")
    return tmp_path


def test_a_flow_ends_with_a_line_for_each_artifact_and_what_to_do_next(run: Path) -> None:
    lines = list(closing_lines(run, run / "report.html", frozenset({"chat"})))
    assert lines[0] == f"{run.as_posix()}:"
    assert lines[1].split()[0] == "base"
    assert lines[1].endswith("1.558 bits per held-out byte  (was up to date)")
    assert lines[2].split()[0] == "chat"
    assert "up to date" not in lines[2]
    assert lines[4] == f"Look:  {run.as_posix()}/report.html"
    assert [line.split()[0] for line in lines[5:]] == ["Talk:", "Serve:", "Trace:"]
    assert lines[-1].endswith("/chat")


def test_the_same_is_there_for_programs(run: Path) -> None:
    said: dict[str, Any] = closing_json(run, run / "report.html", frozenset({"base", "chat"}))
    assert list(said["artifacts"]) == ["base", "chat"]
    assert said["artifacts"]["base"]["summary"]["steps"] == 10
    assert said["artifacts"]["base"]["digest"].startswith("sha256:")


def test_a_number_that_is_none_is_not_told(run: Path) -> None:
    assert telling_number(run / "chat") == ""
