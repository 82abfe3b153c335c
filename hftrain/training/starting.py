"""What pretraining starts from: a model, its tokenizer and arguments, derived from a size or taken from a base."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast, TrainingArguments

from hftrain.artifacts import read_json, write_json
from hftrain.errors import ConfigError
from hftrain.models.budget import MATRIX_LEARNING_RATE, plan_training
from hftrain.models.continuing import load_base
from hftrain.models.loading import context_tokens, new_causal_lm, new_masked_lm, parameter_count
from hftrain.models.masks import with_mask_token
from hftrain.models.room import check_training_fits
from hftrain.models.shapes import NAMES
from hftrain.models.sizes import Derived, derive, estimated_bytes_per_token, laid_over
from hftrain.models.training_step import lighten
from hftrain.runtime import is_main_process, log, process_count
from hftrain.tokens.chat import load_tokenizer
from hftrain.tokens.encoded_corpus import train_text_bytes
from hftrain.training.arguments import training_arguments
from hftrain.training.time_budget import WITHOUT_END_STEPS

DEFAULT_SIZE = "micro"
WARMUP_STEPS = 20
"""Where the clock decides how many steps there are."""

LONGEST_ROW_TOKENS = 1024
"""For a base whose context is longer and where no length of rows is set."""


@dataclass(frozen=True)
class Start:
    """All that a Trainer is made of, but for the rows."""

    model: PreTrainedModel
    """An adapter around it where one was asked for."""
    tokenizer: PreTrainedTokenizerFast
    args: TrainingArguments
    row_tokens: int
    matrix_learning_rate: float
    began: float
    """``time.monotonic()`` when the stage began."""
    warmup_steps: int
    """Where the clock decides, as the next."""
    last_rate_share: float


def start(config: Any, corpus: Path, tokenizer: Path, out: Path, *, began: float) -> Start:
    """Make model and arguments as a ``PretrainConfig`` asks; what was derived is logged and kept in ``derived.json``.

    ``began`` is ``time.monotonic()`` when the stage did.

    Raises:
        ConfigError: Settings contradict each other, or upstream refuses one.
        ArtifactError: The base cannot be read.
    """
    masked = config.objective == "masked_words"
    if config.base is not None:
        limit = config.row_tokens
        model, vocabulary = load_base(config.base, objective=config.objective, row_tokens=limit)
        row_tokens = limit or min(LONGEST_ROW_TOKENS, context_tokens(model) or LONGEST_ROW_TOKENS)
        told = _plan_of(model, config, corpus, row_tokens)
    else:
        vocabulary = load_tokenizer(tokenizer)
        if masked:
            with_mask_token(vocabulary)
        told = _derived(config, corpus, vocabulary, bytes_per_token=_bytes_per_token(tokenizer))
        row_tokens = told["row_tokens"]
        new = new_masked_lm if masked else new_causal_lm
        model = new(told["model"], vocabulary, context_tokens=row_tokens)
        if not masked:
            _begin_even(model)
    training = told["training"]
    if config.max_minutes is not None:  # the clock decides: hftrain.training.time_budget
        training = {**training, "max_steps": WITHOUT_END_STEPS, "lr_scheduler_type": "constant"}
        training.pop("lr_scheduler_kwargs", None)
    args = training_arguments(TrainingArguments, training, out, seed=config.seed or 0, section="pretrain")
    if is_main_process():
        write_json(out / "derived.json", told)
        for line in told["rules"]:
            log.info("pretrain: %s", line)
    if not (masked or args.fsdp or args.deepspeed or config.adapter):
        lighten(model)
    if config.adapter:
        from hftrain.models.adapters import with_adapter  # peft takes a second to import

        model = with_adapter(model, config.adapter)
    matrix_rate = config.optimizer.matrix_learning_rate or told["matrix_learning_rate"]
    kwargs: Mapping[str, Any] = told["training"].get("lr_scheduler_kwargs") or {}
    return Start(
        model=model,
        tokenizer=vocabulary,
        args=args,
        row_tokens=row_tokens,
        matrix_learning_rate=matrix_rate,
        began=began,
        warmup_steps=int(config.training.get("warmup_steps", WARMUP_STEPS)),
        last_rate_share=float(kwargs.get("min_lr_ratio", 0.0)),
    )


def _begin_even(model: PreTrainedModel) -> None:
    """Let an output table of its own begin at zero: every token is as likely at first.

    Source: Yang et al. 2022, arXiv:2203.03466, appendix D.2. A table that is the input's too stays as it is.
    """
    output = model.get_output_embeddings()
    if output is not None and output.weight is not model.get_input_embeddings().weight:
        torch.nn.init.zeros_(output.weight)


def derived_for(config: Any, *, vocab_size: int, train_bytes: int, bytes_per_token: float | None) -> Derived:
    """What a ``PretrainConfig`` without a base stands for, its own settings laid over what its size derives.

    Args:
        config: Its model type, if it names one, must be one of `NAMES`.
        vocab_size: Tokens in the tokenizer.
        train_bytes: UTF-8 bytes of the training text.
        bytes_per_token: Of the tokenizer; None where nobody measured.
    """
    derived = derive(
        config.size or DEFAULT_SIZE,
        vocab_size=config.model.get("vocab_size", vocab_size),
        model_type=config.model.get("model_type"),
        train_bytes=train_bytes,
        bytes_per_token=bytes_per_token,
        objective=config.objective,
        row_tokens=config.row_tokens,
        process_count=process_count(),
        optimizer=config.optimizer.name,
    )
    return laid_over(derived, config.model, config.training, row_tokens=config.row_tokens)


def _derived(
    config: Any, corpus: Path, vocabulary: PreTrainedTokenizerFast, *, bytes_per_token: float | None
) -> dict[str, Any]:
    """Model settings, row length, training arguments and the rules they came from."""
    if config.model.get("model_type", "llama") not in NAMES:
        return _as_given(config, corpus, vocabulary)
    derived = derived_for(
        config,
        vocab_size=len(vocabulary),
        train_bytes=train_text_bytes(corpus),
        bytes_per_token=bytes_per_token,
    )
    check_training_fits(derived)
    return {
        "model": dict(derived.model),
        "row_tokens": derived.row_tokens,
        "training": dict(derived.training),
        "matrix_learning_rate": derived.matrix_learning_rate,
        "rules": derived.lines(),
    }


def _as_given(config: Any, corpus: Path, vocabulary: PreTrainedTokenizerFast) -> dict[str, Any]:
    """A type of model whose shape is not derived: what was given, and a training for its number of parameters."""
    if config.size is not None or config.row_tokens is None:
        raise ConfigError(
            f"pretrain.model.model_type: {config.model['model_type']}. Shapes are derived for {', '.join(NAMES)} "
            "alone. Leave pretrain.size out, describe the model in full and set pretrain.row_tokens, or take one of "
            "those."
        )
    make = new_masked_lm if config.objective == "masked_words" else new_causal_lm
    model = make(config.model, vocabulary, context_tokens=config.row_tokens)
    return _plan_of(model, config, corpus, config.row_tokens) | {"model": dict(config.model)}


def _plan_of(model: PreTrainedModel, config: Any, corpus: Path, row_tokens: int) -> dict[str, Any]:
    """A training for a model that is there."""
    budget = plan_training(
        parameter_count(model),
        row_tokens=row_tokens,
        corpus_tokens=round(train_text_bytes(corpus) / estimated_bytes_per_token(model.config.vocab_size)),
        given=config.training,
        process_count=process_count(),
        optimizer=config.optimizer.name,
    )
    shown = {"train_tokens": budget.train_tokens, "matrix_learning_rate": MATRIX_LEARNING_RATE, **budget.training}
    return {
        "model": {"model_type": model.config.model_type},
        "row_tokens": row_tokens,
        "training": dict(budget.training),
        "matrix_learning_rate": MATRIX_LEARNING_RATE,
        "rules": [f"{name} {shown[name]}: {rule}" for name, rule in budget.rules.items() if name in shown],
    }


def _bytes_per_token(tokenizer: Path) -> float | None:
    """What the tokenizer's report measured on held-out text; None where there is no report."""
    path = tokenizer / "summary.json"
    return read_json(path)["heldout_bytes_per_token"] or None if path.is_file() else None
