from pathlib import Path
from typing import Any

import pytest

from hftrain.config import load_config
from hftrain.files import write_json
from hftrain.stages import planning
from hftrain.stages.costs import ARTIFACTS, Line, Ran, grown, recorded
from hftrain.stages.flow import FlowConfig
from hftrain.stages.probing import Probe, batch_of, few_steps, steps_of
from hftrain.stages.probing_policies import ranked_bytes

SMOKE = Path(__file__).parents[2] / "recipes" / "configs" / "smoke.yaml"


def test_steps_by_hand() -> None:
    training = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "num_train_epochs": 3}
    assert batch_of(training) == 8
    assert steps_of(training, rows=100) == 38  # 300 / 8, the last one short
    assert steps_of(training | {"max_steps": 7}, rows=100) == 7


def test_a_few_steps_keep_what_a_step_costs_and_end_early() -> None:
    given = {"max_steps": 900, "warmup_steps": 50, "learning_rate": 0.5, "optim": "adafactor", "warmup_ratio": 1}
    few = few_steps(given)
    assert (few["optim"], few["learning_rate"], few["max_steps"]) == ("adafactor", 0.5, 6)
    assert "warmup_steps" not in few


def test_a_policys_answers_cost_what_lies_between_the_corpuss_and_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(FlowConfig(), Path())

    monkeypatch.setattr(probe, "answered", lambda: iter([("", "x" * 33), ("", "x" * 330)]))
    assert probe.answer_tokens(32) == 27  # of 10 and 32, 21; of 21 and 32, 26.5
    monkeypatch.setattr(probe, "answered", lambda: iter([]))
    assert probe.answer_tokens(32) == 32


def test_a_finished_stage_is_compared_with_what_it_took(
    make_artifact: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(tmp_path / "base", "base", lambda out: (out / "x").write_bytes(b"x" * 2**20))
    assert set(recorded(tmp_path)) == {"pretrain"}
    monkeypatch.setattr(planning, "recorded", lambda _: {"pretrain": Line("pretrain", 100.0, 2**30, 2**20, "")})
    lines = [Line("pretrain", 110.0, 2**29, 2**21, "11 steps of 10 s"), Line("sft", 60.0, 2**28, 2**20, "")]
    monkeypatch.setattr(planning, "plan", lambda flow, folder: lines)
    header, pretrain, sft, total = planning.plan_lines(FlowConfig(), tmp_path)
    assert pretrain.split()[:8] == ["pretrain", "1.83", "512", "2", "1.67", "+10%", "-50%", "+100%"]
    assert sft.split() == ["sft", "1.00", "256", "1"]
    assert total.split() == ["in", "all", "2.83", "512", "3"]


def test_what_two_parts_cost_says_what_the_whole_costs() -> None:
    assert grown((1, 10.0), (4, 16.0), 16) == 40.0  # two a part, eight beside them
    assert grown((1, 10.0), (4, 9.0), 16) == 9.0
    assert grown((5, 10.0), (5, 10.0), 50) == 10.0


def test_preferences_take_disk_by_their_pairs_and_by_their_answers(make_artifact: Any, tmp_path: Path) -> None:
    def write(out: Path) -> None:
        for name, size in (("train/data.arrow", 800), ("heldout/data.arrow", 200), ("answers.jsonl", 600)):
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_bytes(b"x" * size)
        write_json(out / "summary.json", {"pairs_heldout": 2, "pairs_train": 8})

    make_artifact(tmp_path / "preferences", "preferences", write)
    ran = Ran(tmp_path / "preferences")

    # 100 bytes a pair, 30 an answer, of which ten pairs have twenty; the summary stays.
    assert ranked_bytes(ran, pairs=50, answers=200) == 50 * 100 + 200 * 30 + (ran.disk_bytes - 1600)


@pytest.mark.slow
def test_every_stage_of_a_flow_is_probed(tmp_path: Path) -> None:
    lines = planning.plan(load_config(FlowConfig, SMOKE), tmp_path)
    assert [line.stage for line in lines] == [*ARTIFACTS, "report"]
    assert all(line.seconds > 0 for line in lines)
    assert all(line.memory_bytes > 50e6 for line in lines[:-1])
