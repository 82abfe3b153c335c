"""PPO over several seeds, and its speed beside TRL's unmodified PPOTrainer: what docs/results.md and lab.md say of it.

    python tests/bench/ppo.py seeds --runs runs/seeds/tiny-1 runs/seeds/tiny-2 --seeds 5
    python tests/bench/ppo.py speed --runs runs/seeds/tiny-1 --pairs 3

Runs hold a chat model, a reward model and a corpus. Seeds go round over the runs. ``speed`` trains the same models
with the same arguments, prompts and number of answers by either class, in turns in one process.
"""

import argparse
import os
import random
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy
import torch
from datasets import Dataset
from transformers import PrinterCallback

from hftrain.alignment.heldout import compare
from hftrain.alignment.ppo import PPOTrainer, ppo_arguments
from hftrain.alignment.ppo_rollout import Models, Sampling
from hftrain.alignment.ppo_start import ppo_trainer
from hftrain.alignment.prompts import read_prompts
from hftrain.alignment.reward import load_reward_model
from hftrain.artifacts import read_json
from hftrain.config import load_section
from hftrain.models.loading import load_causal_lm
from hftrain.stages.ppo import PPOStageConfig, ppo
from hftrain.tokens.chat import load_tokenizer

MOVED = (
    ("reward", "heldout_reward", ".2f"),
    ("entropy", "entropy", ".2f"),
    ("tokens", "answer_tokens", ".1f"),
    ("ended", "ended_share", ".0%"),
    ("distinct-1", "distinct_1", ".2f"),
    ("distinct-2", "distinct_2", ".2f"),
    ("repetition", "repetition", ".1%"),
    ("same answer", "same_answer_share", ".1%"),
)
INPUTS = ("chat", "reward", "corpus")


def seeds(config: PPOStageConfig, runs: list[Path], count: int) -> None:
    """Train once a seed and print what moved on held-out prompts."""
    print("| seed, run | KL |", " | ".join(name for name, _, _ in MOVED), "| 95 % of the gain | updates | seconds |")
    print("|---" * (len(MOVED) + 5) + "|")
    for seed in range(1, count + 1):
        run = runs[(seed - 1) % len(runs)]
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            out = ppo(replace(config, seed=seed), **{name: run / name for name in INPUTS}, out=Path(folder) / "policy")
            seconds, found = time.monotonic() - began, read_json(out / "summary.json")
        columns = [
            f"{format(found[f'{key}_before'], form)} → {format(found[f'{key}_after'], form)}" for _, key, form in MOVED
        ]
        low, high = found["heldout_reward_gain_interval"]
        print(f"| {seed}, {run.name} | {found['heldout_kl']:.2f} |", " | ".join(columns), end=" ")
        print(f"| {low:+.2f} to {high:+.2f} | {found['updates']} | {seconds:.0f} |", flush=True)


def set_seed(seed: int) -> None:
    """Begin every stream anew."""
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def theirs(config: PPOStageConfig, run: Path, tokenizer: Any, prompts: list[list[int]], args: Any) -> Any:
    """TRL's own class with the same models, arguments and prompts."""
    tokenizer.padding_side = "left"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PPOTrainer(
            args=args,
            processing_class=tokenizer,
            model=load_causal_lm(run / "chat"),
            ref_model=load_causal_lm(run / "chat"),
            reward_model=load_reward_model(run / "reward"),
            value_model=load_reward_model(run / "reward"),
            train_dataset=Dataset.from_dict({"input_ids": prompts}),
        )


def speed(config: PPOStageConfig, runs: list[Path], pairs: int) -> None:
    """Train by either class in turns and print how fast they were, and what the policies are worth on held-out prompts.

    Of processor time other programs on the machine take none; with one thread and an idle machine it is the clock's.
    """
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    print("| pair, run | TRL, answers/s | ours | ratio | TRL, answers/processor s | ours | ratio |", end=" ")
    print("reward before | TRL | ours | KL, TRL | ours |\n" + "|---" * 12 + "|")
    ratios, processor_ratios = [], []
    for pair in range(1, pairs + 1):
        run = runs[(pair - 1) % len(runs)]
        tokenizer = load_tokenizer(run / "chat")
        prompts = read_prompts(
            run / "corpus",
            tokenizer,
            max_prompt_tokens=config.max_prompt_tokens,
            heldout_limit=config.heldout_prompts,
            seed=pair,
        )
        found: dict[str, tuple[float, float, dict[str, Any]]] = {}
        for name in ("TRL", "ours") if pair % 2 else ("ours", "TRL"):
            set_seed(pair)
            with tempfile.TemporaryDirectory() as folder:
                training = {**config.training, "save_strategy": "no"}
                args = ppo_arguments(training, Path(folder), new_tokens=config.new_tokens, seed=pair)
                if name == "TRL":
                    trainer = theirs(config, run, tokenizer, prompts.train, args)
                else:
                    folders = (run / "chat", run / "reward")
                    trainer = ppo_trainer(args, *folders, tokenizer, prompts=prompts.train, callbacks=[])
                trainer.remove_callback(PrinterCallback)
                began, began_processor = time.monotonic(), time.process_time()
                trainer.train()
                answers = args.num_total_batches * args.batch_size
                rate = answers / (time.monotonic() - began)
                processor_rate = answers / (time.process_time() - began_processor)
            how = Sampling(config.new_tokens, 1.0, tokenizer.eos_token_id, tokenizer.pad_token_id, 64)
            models = Models(trainer.policy_model, trainer.ref_model, trainer.reward_model)
            found[name] = (
                rate,
                processor_rate,
                compare(models, prompts.heldout, how, answers_per_prompt=config.heldout_answers, seed=pair),
            )
        (slow, slow_processor, their_worth), (fast, fast_processor, our_worth) = found["TRL"], found["ours"]
        ratios.append(fast / slow)
        processor_ratios.append(fast_processor / slow_processor)
        rewards = (our_worth["heldout_reward_before"], their_worth["heldout_reward_after"])
        print(f"| {pair}, {run.name} | {slow:.1f} | {fast:.1f} | {ratios[-1]:.2f}", end=" | ")
        print(f"{slow_processor:.1f} | {fast_processor:.1f} | {processor_ratios[-1]:.2f}", end=" | ")
        print(" | ".join(f"{value:.2f}" for value in (*rewards, our_worth["heldout_reward_after"])), end=" | ")
        print(f"{their_worth['heldout_kl']:.2f} | {our_worth['heldout_kl']:.2f} |", flush=True)
    print(f"median ratio {median(ratios):.2f}, of processor time {median(processor_ratios):.2f};", end=" ")
    print(f"load {os.getloadavg()[0]:.1f}")


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("seeds", "speed"))
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="ppo.KEY=VALUE")
    given = parser.parse_args()
    config = load_section(PPOStageConfig, "ppo", None, given.set)
    if given.what == "seeds":
        seeds(config, given.runs, given.seeds)
    else:
        speed(config, given.runs, given.pairs)


if __name__ == "__main__":
    main()
