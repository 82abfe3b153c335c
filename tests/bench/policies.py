"""The ways to train a policy, on the same chat model, preferences and reward model, each in a process of its own.

    python tests/bench/policies.py RUN [RUN ...] [--methods ppo,dpo] [--set dpo.training.beta=0.05]

A RUN is the folder of a finished run: corpus, chat, preferences, reward. Each method runs at its defaults, which are
meant to take about as long; the table says what each spent. The reward model of the run measures them all on the same
held-out prompts with the same seed, PPO's and DPO's alike. Times are CPU seconds of the stage with one thread, its own
measuring included; memory is the most that its process held.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
METHODS = {
    "ppo": "PPOStageConfig",
    "rloo": "RLOOStageConfig",
    "grpo": "GRPOStageConfig",
    "dpo": "DPOStageConfig",
    "kto": "KTOStageConfig",
    "best_of_n": "BestOfNConfig",
}
COLUMNS = (
    ("reward", "heldout_reward_after", "{:+.2f}"),
    ("gain", "heldout_reward_gain", "{:+.2f}"),
    ("KL", "heldout_kl", "{:.2f}"),
    ("ended", "ended_share_after", "{:.0%}"),
    ("tokens", "answer_tokens_after", "{:.1f}"),
    ("distinct-2", "distinct_2_after", "{:.3f}"),
    ("repetition", "repetition_after", "{:.3f}"),
    ("same", "same_answer_share_after", "{:.3f}"),
    ("answers", "episodes", "{:,.0f}"),
    ("CPU s", "cpu_seconds", "{:.0f}"),
    ("MB", "peak_megabytes", "{:,.0f}"),
)
"""Heading, number, and how it is written. ``tokens`` is the mean answer; ``same`` the share of a prompt's answers that
are one text; ``answers`` what was written to learn from (of DPO and KTO, what the preferences took)."""


def main() -> None:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--set", action="append", default=[], help="section.key=value")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", action="store_true")
    given = parser.parse_args()
    if given.child:
        print(json.dumps(one(given.runs[0], given.methods, given.set, given.seed)))
        return
    print("run".ljust(10), "method".ljust(10), *(heading.rjust(10) for heading, *_ in COLUMNS))
    for run in given.runs:
        for place, method in enumerate(given.methods.split(",")):
            found = in_a_process(run, method, given.set, given.seed)
            if place == 0:
                before = {
                    name: found.get(name.replace("_after", "_before")) for _, name, _ in COLUMNS if "_after" in name
                }
                show(run.name, "chat", before)
            show(run.name, method, found)
        print(f"load {os.getloadavg()[0]:.1f}")


def show(run: str, method: str, found: dict[str, Any]) -> None:
    """One line of the table."""
    cells = [form.format(found[name]) if found.get(name) is not None else "" for _, name, form in COLUMNS]
    print(run.ljust(10), method.ljust(10), *(cell.rjust(10) for cell in cells), flush=True)


def in_a_process(run: Path, method: str, settings: list[str], seed: int) -> dict[str, Any]:
    """What `one` found, in a process of its own with one thread."""
    mine = [f"--set={each}" for each in settings if each.startswith(method + ".")]
    words = [sys.executable, __file__, str(run), "--methods", method, "--child", "--seed", str(seed), *mine]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def one(run: Path, method: str, settings: list[str], seed: int) -> dict[str, Any]:
    """Train by one method into a folder that is thrown away, and measure it by the run's reward model."""
    import importlib

    from hftrain.artifacts import read_json
    from hftrain.config import load_section
    from hftrain.runtime import peak_memory_bytes

    module = importlib.import_module(f"hftrain.stages.{method}")
    config = load_section(getattr(module, METHODS[method]), method, None, [f"seed={seed}", *settings])
    kinds = ("chat", "preferences", "corpus") if method in ("dpo", "kto") else ("chat", "reward", "corpus")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "policy"
        began = time.process_time()
        getattr(module, method)(config, **{kind: run / kind for kind in kinds}, out=out)
        spent = {"cpu_seconds": time.process_time() - began, "peak_megabytes": (peak_memory_bytes() or 0) / 1e6}
        summary = read_json(out / "summary.json")
        if method in ("dpo", "kto"):
            summary["episodes"] = read_json(run / "preferences" / "summary.json").get("answers")
        return {**summary, **measured(run, out, seed), **spent}


def measured(run: Path, policy: Path, seed: int) -> dict[str, Any]:
    """The numbers of any policy by the run's reward model."""
    from hftrain.alignment.heldout import compare
    from hftrain.alignment.ppo_rollout import Models
    from hftrain.alignment.ppo_sampling import Sampling
    from hftrain.alignment.prompts import read_prompts
    from hftrain.alignment.reward import load_reward_model
    from hftrain.models.loading import load_causal_lm
    from hftrain.tokens.chat import load_tokenizer

    tokenizer = load_tokenizer(run / "chat")
    prompts = read_prompts(run / "corpus", tokenizer, max_prompt_tokens=48, heldout_limit=200, seed=seed)
    how = Sampling(
        new_tokens=32,
        temperature=1.0,
        end_token=tokenizer.eos_token_id,
        pad_token=tokenizer.pad_token_id,
        batch_rows=64,
    )
    models = Models(load_causal_lm(policy), load_causal_lm(run / "chat"), load_reward_model(run / "reward"))
    return compare(models, prompts.heldout, how, answers_per_prompt=4, seed=seed)


if __name__ == "__main__":
    main()
