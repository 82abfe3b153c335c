import json
from pathlib import Path

import pytest

from hftrain.report.parts import Options
from hftrain.report.reading import read_run
from hftrain.report.sections_policy import PLOTS, policy


def rewritten(folder: Path, name: str, rows: list[dict[str, object]]) -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_reward_stands_beside_what_it_cost(life):
    html = policy(read_run(life("tiny", "policy"))["policy"], Options())

    assert "0.41 → 1.52" in html and "gain +1.11" in html
    assert "KL spent, held out" in html and "1.97" in html
    assert "2,560 answers; stopped by total episodes" in html
    assert "Reward against KL" in html


def test_numbers_that_a_method_does_not_have_are_not_shown(life):
    run = life("tiny", "policy")
    (run / "policy" / "summary.json").write_text(json.dumps({"heldout_kl": 0.5, "updates": 12}))
    (run / "policy" / "method.json").write_text('{"method": "dpo"}')
    rewritten(run / "policy", "metrics.jsonl", [{"step": step, "loss": 0.7, "rewards/margins": 0.1} for step in (1, 2)])
    html = policy(read_run(run)["policy"], Options())

    assert "Trained by DPO, on the preferences themselves." in html
    assert "reward on held-out prompts" not in html and "Reward against KL" not in html and "–" not in html
    assert html.count("<figure") == 2
    assert "Training loss" in html and "Margin of the better answer" in html


def test_held_out_looks_join_the_curves_and_the_rule_is_told(life):
    run = life("tiny", "policy")
    looks = [
        {"step": step, "heldout_objective": 0.1 * step, "heldout_kl": 0.2 * step, "heldout_entropy": 3.0}
        for step in (0, 8, 16)
    ]
    with (run / "policy" / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in looks)
    summary = json.loads((run / "policy" / "summary.json").read_text())
    summary |= {"keep_rule": "the highest of all", "updates": 16, "trained_updates": 40}
    (run / "policy" / "summary.json").write_text(json.dumps(summary))
    html = policy(read_run(run)["policy"], Options())

    assert "Kept is the highest of all." in html
    assert "of 40 made" in html
    assert html.count("held out</") >= 3


@pytest.mark.parametrize(("prices", "shown"), [((0.1, 0.1), False), ((0.1, 0.2), True)])
def test_the_price_of_a_nat_is_drawn_where_it_moves(life, prices, shown):
    run = life("tiny", "policy")
    rewritten(run / "policy", "metrics.jsonl", [{"step": step, "kl_coef": price} for step, price in enumerate(prices)])
    html = policy(read_run(run)["policy"], Options())

    assert ("Price of a nat" in html) is shown


def test_each_number_is_drawn_once():
    names = [name for each in PLOTS for name in each.names]

    assert len(names) == len(set(names))
