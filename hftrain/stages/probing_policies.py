"""What the policy of a flow and its student will take, by the stage that the flow names, run on a piece of its work."""

import dataclasses
from collections.abc import Callable
from typing import Any

from hftrain.stages import best_of_n, distill, dpo, grpo, kto, rloo
from hftrain.stages.costs import LOGGED, STEPS, Line, Ran, batch_of, few_steps, steps_of, training_line
from hftrain.stages.probing import Probe

PAIRS: dict[str, tuple[Callable[..., Any], int]] = {"dpo": (dpo.dpo, 1), "kto": (kto.kto, 2)}
"""The stages that learn from pairs, and the rows that they make of one."""
GROUPS: dict[str, Callable[..., Any]] = {"grpo": grpo.grpo, "rloo": rloo.rloo}


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
