"""What preferences, a reward model, the policy that a flow names and its student will take, run on a piece of it."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hftrain.artifacts import write_jsonl
from hftrain.stages import best_of_n, collect_preferences, distill, dpo, grpo, kto, reward_model, rloo
from hftrain.stages.costs import (
    ARTIFACTS,
    LOGGED,
    STEPS,
    Line,
    Ran,
    around,
    batch_of,
    few_steps,
    grown,
    steps_of,
    training_line,
)
from hftrain.stages.probing import CHARS_PER_TOKEN, Probe

PAIRS: dict[str, tuple[Callable[..., Any], int]] = {"dpo": (dpo.dpo, 1), "kto": (kto.kto, 2)}
"""The stages that learn from pairs, and the rows that they make of one."""
GROUPS: dict[str, Callable[..., Any]] = {"grpo": grpo.grpo, "rloo": rloo.rloo}
PROBED_PROMPTS = 48
MOST_RANKED = 400
"""Pairs of the corpus's own answers that a reward model is probed with."""


def preferences(probe: Probe) -> Line:
    """Ask a few prompts; write pairs of the corpus's own answers for what follows."""
    from hftrain.alignment.asking import HELDOUT_PROMPTS_SHARE

    given = probe.flow.collect_preferences
    known = Ran(probe.at("curate")).summary
    asked = sum(
        min(known[f"conversations_{split}"], math.inf if given.prompts is None else given.prompts * share)
        for split, share in (("train", 1), ("heldout", HELDOUT_PROMPTS_SHARE))
    )
    ran = Ran(_ranked(probe, MOST_RANKED, probe.at("collect_preferences")))
    per_prompt = 0.0 if given.rankings else _asking_seconds_per_prompt(probe)
    seconds = ran.seconds + asked * per_prompt
    disk = ranked_bytes(ran, probe.expected_pairs() * (1 + HELDOUT_PROMPTS_SHARE), asked * given.answers_per_prompt)
    counted = f"{asked:,.0f} prompts of {per_prompt:.3f} s"
    return ran.line("collect_preferences", seconds, counted, disk_bytes=disk)


def reward(probe: Probe) -> Line:
    """A few steps on many pairs and on a quarter of them, for what is scored and compared with each pair."""
    from hftrain.alignment.asking import HELDOUT_PROMPTS_SHARE

    given = probe.flow.reward_model
    config = dataclasses.replace(given, training=few_steps(given.training), max_dropped_share=0.99)
    few = _ranked(probe, MOST_RANKED // 4, probe.folder / "few_preferences")
    many, made = probe.at("collect_preferences"), ARTIFACTS["reward_model"]
    cold, small, ran = (  # the first loads the libraries
        Ran(reward_model.reward_model(config, chat=probe.at("sft"), preferences=pairs, out=probe.folder / name))
        for pairs, name in ((few, "cold_reward"), (few, "few_reward"), (many, made))
    )
    expected = probe.expected_pairs()
    all_pairs = expected * (1 + HELDOUT_PROMPTS_SHARE)
    whole = grown((_pairs_of(small), around(small)), (_pairs_of(ran), around(ran)), all_pairs)
    more = whole - around(ran) + max(0.0, around(cold) - around(small))
    of = f"{batch_of(given.training)} of {expected:,.0f} pairs"
    return training_line(ran, "reward_model", steps_of(given.training, expected), None, of, more)


def _ranked(probe: Probe, most: int, out: Path) -> Path:
    """Pairs of the corpus's answer and another prompt's, at most so many: of prompts as the run draws them."""
    from hftrain.alignment.preferences import draw, read_questions
    from hftrain.corpus.splits import conversations_of

    given = probe.flow.collect_preferences
    longest = CHARS_PER_TOKEN * given.new_tokens
    questions = read_questions(conversations_of(probe.at("curate"), "train"), []).train
    drawn, _ = draw(questions, most, seed=0, fits=lambda question: len(question.references[0]) <= longest)
    said = [question.references[0] for question in drawn]
    rows = [
        {"prompt": question.prompt, "chosen": said[place], "rejected": said[place - 1]}
        for place, question in enumerate(drawn)
        if said[place] != said[place - 1]
    ]
    ranked = probe.folder / f"{out.name}.jsonl"
    write_jsonl(ranked, rows)
    config = dataclasses.replace(given, rankings=ranked, minimum_margin=0.0, check_against=None)
    return collect_preferences.collect_preferences(config, chat=probe.at("sft"), corpus=probe.at("curate"), out=out)


def ranked_bytes(ran: Ran, pairs: float, answers: float) -> float:
    """On disk, with so many pairs and answers in place of the probe's, of which each pair has two of its own."""
    probed = max(1, int(ran.summary["pairs_train"] + ran.summary["pairs_heldout"]))
    of_pairs, of_answers = ran.bytes_below("train/", "heldout/"), ran.bytes_below("answers.jsonl")
    rest = ran.disk_bytes - of_pairs - of_answers
    return of_pairs * pairs / probed + of_answers * answers / (2 * probed) + rest


def _asking_seconds_per_prompt(probe: Probe) -> float:
    import time

    from hftrain.alignment.asking import HELDOUT_PROMPTS_SHARE, ask_model

    given, began = probe.flow.collect_preferences, time.monotonic()
    is_free = given.judge != "openai"  # a plan makes no requests
    judge, options = (given.judge, given.judge_options) if is_free else ("concise", {})
    ask_model(
        probe.at("sft"), probe.at("curate"), prompts=PROBED_PROMPTS, answers_per_prompt=given.answers_per_prompt,
        new_tokens=given.new_tokens, temperature=given.temperature, judge=judge, options=options, seed=0,
    )  # fmt: skip
    return (time.monotonic() - began) / (PROBED_PROMPTS * (1 + HELDOUT_PROMPTS_SHARE))


def _pairs_of(ran: Ran) -> int:
    return int(ran.summary["train_pairs"] + ran.summary["heldout_pairs"])


def policy(probe: Probe) -> Line:
    """The line of the stage that makes the flow's policy."""
    name = probe.flow.policy
    if name in PAIRS:
        return _from_pairs(probe, name)
    if name in GROUPS:
        return _from_groups(probe, name)
    return _best_of_n(probe) if name == "best_of_n" else probe.ppo()


def student(probe: Probe) -> Line:
    """A few steps, and the looks before and after them."""
    from hftrain.training.distillation_models import USUAL_STEPS

    given = probe.flow.distill
    config = dataclasses.replace(given, training=few_steps(given.training), max_minutes=None, look_every_steps=STEPS)
    inputs = {"policy": probe.at("ppo"), "tokenizer": probe.at("train_tokenizer"), "corpus": probe.at("curate")}
    ran = Ran(distill.distill(config, **inputs, out=probe.at("distill")))
    steps = int(given.training.get("max_steps", USUAL_STEPS))
    line = training_line(ran, "distill", steps, given.look_every_steps, "rows of documents and conversations")
    if given.max_minutes is None:
        return line
    return dataclasses.replace(line, seconds=given.max_minutes * 60, counted="distill.max_minutes")


def _from_pairs(probe: Probe, name: str) -> Line:
    """A few steps on the pairs that there are."""
    make, rows_of_a_pair = PAIRS[name]
    given: Any = getattr(probe.flow, name)
    config = _fewer(given, max_dropped_share=0.99, look_every_steps=STEPS)
    inputs = {"chat": probe.at("sft"), "preferences": probe.at("collect_preferences"), "corpus": probe.at("curate")}
    ran = Ran(make(config, **inputs, out=probe.at("ppo")))
    steps = steps_of(given.training, rows_of_a_pair * probe.expected_pairs())
    return training_line(ran, name, steps, given.look_every_steps, f"{batch_of(given.training)} rows")


def _from_groups(probe: Probe, name: str) -> Line:
    """A few steps of a whole batch of answers."""
    given: Any = getattr(probe.flow, name)
    few = _fewer(given, look_every_steps=STEPS, new_tokens=probe.answer_tokens(given.new_tokens))
    ran = Ran(GROUPS[name](few, **_rewarded(probe), out=probe.at("ppo")))
    answers = probe.known("conversations_train") * int(given.training.get("num_generations", 8))
    steps = steps_of(given.training, answers)
    return training_line(ran, name, steps, given.look_every_steps, f"{batch_of(given.training)} answers")


def _best_of_n(probe: Probe) -> Line:
    """All answers, which are most of it, and a few steps on the best."""
    given = probe.flow.best_of_n
    ran = Ran(best_of_n.best_of_n(_fewer(given, look_every_steps=STEPS), **_rewarded(probe), out=probe.at("ppo")))
    picked = probe.known("conversations_train") / max(1e-9, 1 - given.sft_share)
    steps = steps_of(given.training, picked)
    return training_line(ran, "best_of_n", steps, given.look_every_steps, "answers, picked and known")


def _rewarded(probe: Probe) -> dict[str, Any]:
    return {"chat": probe.at("sft"), "reward": probe.at("reward_model"), "corpus": probe.at("curate")}


def _fewer(given: Any, **more: Any) -> Any:
    """The same stage for a few steps; what is measured around them stays as it is."""
    return dataclasses.replace(given, training=few_steps(given.training) | {"save_steps": LOGGED}, **more)
