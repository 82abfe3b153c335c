"""How a model of a known size is trained: tokens to read, rows a step, learning rates, warm-up and decay.

Each value comes from a rule with its source; what is given instead is kept, and what hangs on it follows.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hftrain.errors import ConfigError

TOKENS_PER_PARAMETER = 20
"""Hoffmann et al. 2022 (Chinchilla), arXiv:2203.15556."""

MOST_EPOCHS = 4
"""Up to here a repeated text is worth almost a new one. Muennighoff et al. 2023, arXiv:2305.16264."""

BATCH_TOKENS_COEFFICIENT, BATCH_TOKENS_EXPONENT = 0.2920, 0.3271
"""Tokens a step = coefficient * FLOPs ** exponent. DeepSeek LLM (Bi et al. 2024), arXiv:2401.02954, section 3.1."""

LEARNING_RATE_COEFFICIENT, LEARNING_RATE_EXPONENT = 0.3118, -0.1250
"""AdamW's learning rate = coefficient * FLOPs ** exponent. The same source."""

MATRIX_LEARNING_RATE = 0.01
"""Muon's, for matrices; it needs no other with width. Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/,
take 0.02; half of it learned more here (docs/lab.md)."""

TABLE_LEARNING_RATE = 0.02
"""AdamW's for tables and norms beside Muon; half of it costs 1% of the bits (docs/lab.md)."""

MUON_BATCH_SHARE = 1 / 3
"""Of AdamW's batch; measured here (docs/lab.md): at a few million tokens a third of it learns more."""

LARGEST_DEVICE_BATCH_TOKENS = 16_384
"""What one device takes at a time: the logits of a batch stay below about 2 GB. More tokens a step are accumulated."""

FEWEST_BATCH_ROWS = 4

WARMUP_SHARE = 0.05
"""Of the steps."""

DECAY_SHARE = 0.4
"""Of the steps, at the end of warm-up, stable, decay. Hägele et al. 2024, arXiv:2405.18392: 20% reaches a cosine, more
is better still; in short runs 40% learned more than 70% here."""

GPT3 = "GPT-3's (Brown et al. 2020, arXiv:2005.14165, appendix B)"

LAST_RATE_SHARE = 0.02
"""Learning rate at the last step, as a share of the highest."""

STEADY_TRAINING: Mapping[str, Any] = {
    "lr_scheduler_type": "warmup_stable_decay",
    "weight_decay": 0.1,
    "adam_beta1": 0.9,
    "adam_beta2": 0.95,
    "max_grad_norm": 1.0,
}
"""What no size changes. GPT-3 (Brown et al. 2020), arXiv:2005.14165, appendix B."""

BESIDE_MUON: Mapping[str, Any] = {"weight_decay": 0.01, "adam_beta1": 0.8}
"""What is otherwise with Muon; measured here (docs/lab.md)."""


@dataclass(frozen=True)
class Budget:
    """Training arguments by name, the tokens that their steps read, and the rule of each."""

    training: Mapping[str, Any]
    train_tokens: int
    rules: Mapping[str, str]


def plan_training(
    parameters: int,
    *,
    row_tokens: int,
    corpus_tokens: int | None,
    given: Mapping[str, Any],
    process_count: int = 1,
    optimizer: str = "muon",
) -> Budget:
    """The training that a model of so many parameters deserves, around the arguments that are given.

    Args:
        parameters: Of the model, its table included.
        row_tokens: Tokens in a row.
        corpus_tokens: Tokens of the training text; None where it is not known, and does not cap the budget.
        given: TrainingArguments by name that are settled.
        process_count: Processes that share the rows of a step.
        optimizer: ``muon`` or ``adamw``: the first wants smaller batches, and other rates for what is no matrix.

    Raises:
        ConfigError: No step is asked for, or epochs of a corpus whose size is not known.
    """
    tokens, budget_rule = _budget(corpus_tokens, parameters, given)
    steps = given.get("max_steps")
    rows = batch_rows(parameters, row_tokens, tokens=tokens, steps=steps, optimizer=optimizer)
    device_rows, accumulated = _per_device(max(1, rows // process_count), row_tokens, given)
    batch_tokens = device_rows * accumulated * process_count * row_tokens
    steps = steps or max(1, tokens // batch_tokens)
    flops = 6 * parameters * steps * batch_tokens
    planned = {
        **STEADY_TRAINING,
        **(BESIDE_MUON if optimizer == "muon" else {}),
        "max_steps": steps,
        "per_device_train_batch_size": device_rows,
        "gradient_accumulation_steps": accumulated,
        "learning_rate": TABLE_LEARNING_RATE
        if optimizer == "muon"
        else float(f"{LEARNING_RATE_COEFFICIENT * flops**LEARNING_RATE_EXPONENT:.2g}"),
    }
    training = planned | dict(given) | _schedule(steps, given)
    return Budget(training, steps * batch_tokens, {"train_tokens": budget_rule, **_training_rules(flops, optimizer)})


def _budget(corpus_tokens: int | None, parameters: int, given: Mapping[str, Any]) -> tuple[int, str]:
    """How many tokens to read where no number of steps says so, and why."""
    if "max_steps" in given:
        if given["max_steps"] < 1:
            raise ConfigError(f"pretrain.training.max_steps: {given['max_steps']}. At least 1 is needed. Raise it.")
        return 0, "max_steps by the tokens of a step"
    if "num_train_epochs" in given:
        if corpus_tokens is None:
            raise ConfigError(
                f"pretrain.training.num_train_epochs: {given['num_train_epochs']}, but the size of the corpus is "
                "not known. A number of steps is needed. Set max_steps."
            )
        return round(given["num_train_epochs"] * corpus_tokens), "num_train_epochs of the corpus"
    wished = TOKENS_PER_PARAMETER * parameters
    rule = f"{TOKENS_PER_PARAMETER} a parameter (Hoffmann et al. 2022, arXiv:2203.15556)"
    if corpus_tokens is not None and MOST_EPOCHS * corpus_tokens < wished:
        cap = f"{MOST_EPOCHS} passes over {corpus_tokens:,} (Muennighoff et al. 2023, arXiv:2305.16264)"
        return MOST_EPOCHS * corpus_tokens, f"{rule} would be {wished:,}; at most {cap}"
    return wished, rule


def batch_rows(
    parameters: int, row_tokens: int, *, tokens: int, steps: int | None = None, optimizer: str = "muon"
) -> int:
    """Rows a step, the power of two nearest to the rule, at least `FEWEST_BATCH_ROWS`.

    B = c C^e with C = 6 N D FLOPs for N parameters and D tokens. Where steps S are settled, D = S B, and so
    B = (c (6 N S)^e)^(1 / (1 - e)).
    """
    coefficient, exponent = _batch_coefficient(optimizer), BATCH_TOKENS_EXPONENT
    if steps is not None:
        wished = (coefficient * (6 * parameters * steps) ** exponent) ** (1 / (1 - exponent))
    else:
        wished = coefficient * (6 * parameters * tokens) ** exponent
    return max(FEWEST_BATCH_ROWS, int(2 ** round(math.log2(max(1.0, wished / row_tokens)))))


def _batch_coefficient(optimizer: str) -> float:
    return BATCH_TOKENS_COEFFICIENT * (MUON_BATCH_SHARE if optimizer == "muon" else 1)


def _per_device(rows: int, row_tokens: int, given: Mapping[str, Any]) -> tuple[int, int]:
    """Rows a device takes at a time, and how many times it does so before a step."""
    device_rows, accumulated = given.get("per_device_train_batch_size"), given.get("gradient_accumulation_steps")
    if device_rows is not None:
        return device_rows, accumulated or 1
    if accumulated is not None:
        return max(1, rows // accumulated), accumulated
    most = max(1, LARGEST_DEVICE_BATCH_TOKENS // row_tokens)
    largest = int(2 ** math.floor(math.log2(most)))
    return min(rows, largest), max(1, rows // largest)


def _schedule(steps: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """Warm-up and decay for so many steps; a schedule of another kind brings its own settings."""
    decay = round(DECAY_SHARE * steps)
    asked = given.get("warmup_steps", min(round(WARMUP_SHARE * steps), steps - decay))
    warmup = asked if asked >= 1 else math.ceil(asked * steps)
    schedule: dict[str, Any] = {"warmup_steps": asked}
    if given.get("lr_scheduler_type", "warmup_stable_decay") == "warmup_stable_decay":
        num_decay_steps = min(decay, max(0, steps - warmup))
        own = {"num_decay_steps": num_decay_steps, "decay_type": "linear", "min_lr_ratio": LAST_RATE_SHARE}
        schedule["lr_scheduler_kwargs"] = own | dict(given.get("lr_scheduler_kwargs") or {})
    return schedule


def _training_rules(flops: float, optimizer: str) -> dict[str, str]:
    deepseek = f"at {flops:.1e} FLOPs, 6 a parameter and token (DeepSeek LLM, arXiv:2401.02954, section 3.1)"
    beside_muon = "beside Muon, whatever the size: measured here" if optimizer == "muon" else ""
    batch = f"{BATCH_TOKENS_COEFFICIENT} C^{BATCH_TOKENS_EXPONENT} tokens a step"
    if optimizer == "muon":
        batch, rate = f"{MUON_BATCH_SHARE:.2f} of {batch}", f"AdamW's {beside_muon}"
    else:
        rate = f"{LEARNING_RATE_COEFFICIENT} C^{LEARNING_RATE_EXPONENT} {deepseek}"
    return {
        "max_steps": "the tokens by those of a step",
        "per_device_train_batch_size": f"{batch} {deepseek}",
        "gradient_accumulation_steps": f"at most {LARGEST_DEVICE_BATCH_TOKENS:,} tokens at a time on a device",
        "learning_rate": rate,
        "matrix_learning_rate": "half of Jordan et al. 2024, kellerjordan.github.io/posts/muon: measured here",
        "lr_scheduler_type": "warm-up, stable, decay (Hägele et al. 2024, arXiv:2405.18392)",
        "lr_scheduler_kwargs": f"the last {DECAY_SHARE:.0%} of the steps decay, to {LAST_RATE_SHARE:.0%} (the same)",
        "warmup_steps": f"{WARMUP_SHARE:.0%} of the steps",
        "weight_decay": beside_muon or GPT3,
        "adam_beta1": beside_muon or GPT3,
        "adam_beta2": GPT3,
        "max_grad_norm": GPT3,
    }
