"""corpus + tokenizer -> base."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from hftrain.artifacts import stage
from hftrain.config import StageConfig
from hftrain.errors import ConfigError
from hftrain.models import continuing
from hftrain.stages import OWNED_TRAINING
from hftrain.upstream import set_beside_the_clock


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """What changes the weights; what AdamW takes (learning rate, betas, weight decay) is under ``training``."""

    name: Literal["muon", "adamw"] = "muon"
    """Muon for the matrices and AdamW for the rest, or what ``training.optim`` names (AdamW) for all."""

    matrix_learning_rate: float | None = None
    """Muon's, for matrices. Not set: derived."""

    momentum: float = 0.95
    """Muon's."""


@dataclass(frozen=True, kw_only=True)
class MaskedWordsSettings:
    """How rows are masked where the objective is ``masked_words``."""

    share: float = 0.3
    """Of the tokens, hidden from the model on average."""

    whole_words: bool = False
    """Hide all tokens of a word together."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(StageConfig):
    """What model to train, and how. What is not set follows from ``size``: see ``hftrain.models.sizes``."""

    UPSTREAM: ClassVar[Mapping[str, str]] = {
        "training": "transformers.training_args:TrainingArguments",
        "adapter": "peft:LoraConfig",
    }
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {"training": OWNED_TRAINING}

    size: str | int | None = None
    """The one dial: nano, micro, mini, small, base, or a number of parameters such as 1.3M. Not set: micro."""

    objective: Literal["next_token", "masked_words"] = "next_token"
    """What is predicted: the next token, or tokens that were hidden (an encoder, for search and sorting)."""

    base: str | None = None
    """A model to go on from, with its own tokenizer: a folder, or hub:owner/name@revision. Not set: random weights."""

    adapter: dict[str, Any] = field(default_factory=dict)
    """peft's LoraConfig by its names: a few added matrices are trained and merged at the end. Empty: all weights."""

    model: dict[str, Any] = field(default_factory=dict)
    """``model_type`` and the model's configuration, by transformers' names, over what the size derives."""

    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    """What changes the weights."""

    training: dict[str, Any] = field(default_factory=dict)
    """TrainingArguments by transformers' names, over what the size derives."""

    max_minutes: float | None = None
    """Time for this stage, all of it counted: the schedule is planned so that it ends in time, with its learning rate
    brought down. Not set: as many steps as the size derives, or ``training`` says."""

    row_tokens: int | None = None
    """Tokens in a training row. Not set: derived from the width."""

    packing: Literal["stream", "whole"] = "stream"
    """Rows cut from one stream of documents (nothing wasted), or documents kept whole where they fit (padding)."""

    document_masking: bool = False
    """Let no token attend to another document of its row; slower."""

    masked_words: MaskedWordsSettings = field(default_factory=MaskedWordsSettings)
    """How rows are masked, for that objective."""

    heldout_bytes: int = 200_000
    """How much held-out text the bits per byte are measured on, in UTF-8 bytes."""

    look_every_steps: int = 100
    """How often, while training, held-out text is scored and samples are taken, in steps."""

    look_bytes: int = 40_000
    """How much of the held-out text is read at each look, in UTF-8 bytes."""

    sample_prompts: tuple[str, ...] = ("Returns the", "This class", "If the file does not exist,")
    """How texts begin that the model goes on with at each look."""

    def outside(self) -> dict[str, str]:
        """The base, by its digest or revision."""
        return continuing.outside_of_base(self.base) if self.base is not None else {}

    def problems(self) -> list[str]:
        """Settings that contradict each other."""
        found = continuing.problems_of_base(self.base) if self.base is not None else []
        if self.base is not None and (self.size is not None or self.model):
            wrong = "size" if self.size is not None else "model"
            found.append(
                f"{wrong}: is set, but the base has a shape of its own. One of them is needed. Remove {wrong}."
            )
        found += [
            f"{name}: {value}. At least 1 is needed. Raise it, or remove it to get the default."
            for name in ("row_tokens", "heldout_bytes", "look_every_steps", "look_bytes")
            if (value := getattr(self, name)) is not None and value < 1
        ]
        if self.size is not None:
            found += _size_problems(self.size)
        if self.max_minutes is not None:
            found += set_beside_the_clock(self.training)
            if self.max_minutes <= 0:
                found.append(f"max_minutes: {self.max_minutes:g}. More than 0 is needed. Raise it.")
        if self.objective == "masked_words" and self.document_masking:
            found.append("document_masking: true. An encoder's rows take none. Remove it.")
        return found


def _size_problems(size: str | int) -> list[str]:
    from hftrain.models.sizes import parameters_asked

    try:
        parameters_asked(size)
    except ConfigError as problem:
        return [str(problem)]
    return []


@stage(makes="base", reads=("corpus", "tokenizer"), every_process=True)
def pretrain(config: PretrainConfig, *, corpus: Path, tokenizer: Path, out: Path) -> None:
    """Train a language model; score it on held-out text before and after."""
    began = time.monotonic()
    from hftrain.training.loop import run_trainer
    from hftrain.training.pretraining import pretraining_rows, pretraining_trainer, publish_base
    from hftrain.training.starting import start
    from hftrain.training.watching import watch_for

    begun = start(config, corpus, tokenizer, out, began=began)
    rows, packing = pretraining_rows(config, begun, corpus, out)
    watch = watch_for(config, begun.tokenizer, corpus, row_tokens=begun.row_tokens)
    trainer = pretraining_trainer(config, begun, rows, watch, out)
    run_trainer(trainer, out, description="pretrain")
    publish_base(config, begun, trainer, watch, rows, packing, out=out)
