"""base + corpus -> chat."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from hftrain.artifacts import stage
from hftrain.config import StageConfig
from hftrain.corpus.settings import MixtureSettings
from hftrain.stages import OWNED_TRAINING

# What is trained on is decided by the rows, which are checked; upstream's own ways to decide it would not be.
ROWS_DECIDE = frozenset(
    {"max_length", "packing", "padding_free", "assistant_only_loss", "completion_only_loss", "dataset_kwargs"}
)


@dataclass(frozen=True, kw_only=True)
class AbstainSettings:
    """Teaching to decline what the corpus does not hold; see ``hftrain.training.abstaining``."""

    questions: tuple[str, ...] = ()
    """Files and folders of short questions: rows of ``question`` and ``answer``, or conversations of one request and
    one answer. None given: nothing is taught."""

    answer: str = "I don't know."
    """What is answered to a question that no training document answers."""

    share: float = 0.1
    """Of the rows that are trained on, how many decline; up to as many questions that are held are answered."""


@dataclass(frozen=True, kw_only=True)
class SFTStageConfig(StageConfig):
    """How a base model learns to answer."""

    UPSTREAM: ClassVar[Mapping[str, str]] = {
        "training": "trl.trainer.sft_config:SFTConfig",
        "adapter": "peft:LoraConfig",
    }
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {"training": OWNED_TRAINING | ROWS_DECIDE}

    training: dict[str, Any] = field(
        default_factory=lambda: {
            "num_train_epochs": 3,
            "per_device_train_batch_size": 16,
            "learning_rate": 1e-3,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 20,
        }
    )
    """SFTConfig, by TRL's names."""

    adapter: dict[str, Any] = field(default_factory=dict)
    """peft's LoraConfig by its names, such as ``r: 8`` and ``use_dora: true``: a few added matrices are trained, merged
    at the end, and kept alone in ``adapter/`` too. The marks of turns are learned beside them, unless
    ``trainable_token_indices`` or ``modules_to_save`` says what is. Empty: all weights are trained."""

    quantize_base: Literal["nf4", "int8"] | None = None
    """Round the base by bitsandbytes while an adapter is trained (QLoRA): less memory, slower. The adapter is merged
    into the base as it was."""

    packing: bool = False
    """Lay several conversations into a row, none of which sees another: fewer rows and less padding."""

    mixture: MixtureSettings = field(default_factory=MixtureSettings)
    """How much of each source is trained on, in the words of ``curate.mixture``; tokens are those of the rows."""

    abstain: AbstainSettings = field(default_factory=AbstainSettings)
    """Teaching to decline what the corpus does not hold."""

    max_row_tokens: int | None = None
    """Longer conversations are left out and counted, not cut. Not set: the model's context."""

    max_dropped_share: float = 0.05
    """The stage refuses when a larger share of the conversations would be left out."""

    heldout_conversations: int = 200
    """How many held-out conversations the answers are measured on."""

    heldout_bytes: int = 50_000
    """How much of the held-out documents is scored before and after, to see what was forgotten, in UTF-8 bytes."""

    look_every_steps: int = 50
    """How often, while training, held-out answers are measured and sampled, in steps."""

    new_tokens: int | None = None
    """Longest answer when sampling, in tokens; one that is not over by then counts as not ended. Not set: what 99 of
    100 answers that are learned have at most, and no more than half a row."""

    def outside(self) -> dict[str, str]:
        """Digests of the questions' files."""
        from hftrain.corpus import places

        return places.outside_of(self.abstain.questions)

    def problems(self) -> list[str]:
        """Settings that contradict each other, and files that do not exist."""
        from hftrain.corpus.places import path_problems

        found = path_problems("abstain.questions", self.abstain.questions)
        if self.mixture.bytes_per_token != MixtureSettings().bytes_per_token:
            found.append(
                "mixture.bytes_per_token: is set, but the tokens of conversations are counted themselves. Remove it."
            )
        if self.quantize_base is not None and not self.adapter:
            found.append(
                f"quantize_base: {self.quantize_base}, but rounded weights cannot be trained. An adapter beside them "
                "is needed. Set sft.adapter, such as {r: 8}."
            )
        if self.quantize_base == "int8" and self.adapter.get("use_dora"):
            found.append(
                "quantize_base: int8, with adapter.use_dora: true. peft 0.21 and bitsandbytes 0.50 lose the scales of "
                "rounded weights together. Set quantize_base to nf4, or use_dora to false."
            )
        if self.adapter and self.training.get("loss_type", "nll") != "nll":
            found.append(
                f"training.loss_type: {self.training['loss_type']}, with an adapter. TRL's other losses read the "
                "output table past the rows of it that an adapter learns. Set it to nll, or remove it."
            )
        found += [
            f"{name}: {value}. At least 1 is needed. Raise it, or remove it to get the default."
            for name in ("max_row_tokens", "heldout_conversations", "heldout_bytes", "look_every_steps", "new_tokens")
            if (value := getattr(self, name)) is not None and value < 1
        ]
        if not 0 <= self.max_dropped_share < 1:
            found.append(
                f"max_dropped_share: {self.max_dropped_share}. A share from 0 to below 1 is needed. Change it."
            )
        if not 0 < self.abstain.share < 0.5:
            found.append(f"abstain.share: {self.abstain.share}. A share above 0 and below 0.5 is needed. Change it.")
        if not self.abstain.answer.strip():
            found.append("abstain.answer: empty. Some words are needed. Write for example I don't know.")
        return found


@stage(makes="chat", reads=("base", "corpus"), every_process=True)
def sft(config: SFTStageConfig, *, base: Path, corpus: Path, out: Path) -> None:
    """Train a base model to answer: loss on assistants' words and their end of turn alone."""
    from trl import SFTConfig, SFTTrainer

    from hftrain.models.loading import context_tokens, load_causal_lm
    from hftrain.models.quantized_base import train_in_fp32
    from hftrain.tokens.chat import load_tokenizer
    from hftrain.training.answer_rows import check_and_show, rows_to_learn, talks_of
    from hftrain.training.answering import (
        AnswerWatch,
        check_batch,
        learner_of,
        publish_chat,
        row_limit,
        training_set,
    )
    from hftrain.training.arguments import training_arguments
    from hftrain.training.callbacks import LookEvery
    from hftrain.training.loop import run_trainer

    ours: dict[str, Any] = {"max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}}
    if config.adapter:
        ours["loss_type"] = "nll"
    args = training_arguments(SFTConfig, config.training | ours, out, seed=config.seed or 0, section="sft")
    tokenizer, model = load_tokenizer(base), load_causal_lm(base)
    limit = row_limit(model, config.max_row_tokens)
    learned = rows_to_learn(config, tokenizer, talks_of(corpus), corpus, max_row_tokens=limit)
    check_and_show(tokenizer, learned, max_dropped_share=config.max_dropped_share, out=out)
    rows, collator, packing = training_set(config, model, learned.rows, tokenizer.pad_token_id, max_row_tokens=limit)
    watch = AnswerWatch(config, tokenizer, corpus, learned, context=context_tokens(model) or limit)
    before = watch.score(model)
    learner = learner_of(config, base, model, tokenizer)
    del model  # beside a rounded base it would take the memory that was saved
    trainer = SFTTrainer(
        learner,
        args,
        data_collator=collator,
        train_dataset=rows,
        processing_class=tokenizer,
        callbacks=[LookEvery(watch.look, every_steps=config.look_every_steps, scratch=out / "scratch")],
    )
    train_in_fp32(trainer.model)
    check_batch(trainer, tokenizer)
    run_trainer(trainer, out, description="sft")
    publish_chat(config, trainer, watch, learned, packing, before=before, base=base, out=out)
