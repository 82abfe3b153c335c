"""policy + tokenizer + corpus -> student."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from hftrain.artifacts import stage
from hftrain.config import StageConfig
from hftrain.models import continuing
from hftrain.stages import OWNED_TRAINING
from hftrain.upstream import set_beside_the_clock

# What the models and the rows of this stage settle already.
TEACHER_IS_OURS = frozenset(
    {
        "chat_template_kwargs",
        "log_completions",
        "max_length",
        "model_init_kwargs",
        "packing",
        "remove_unused_columns",
        "teacher_model_init_kwargs",
        "teacher_model_name_or_path",
        "teacher_model_revision",
        "teacher_tokenizer_name_or_path",
        "trust_remote_code",
        "use_uld_loss",
        "use_vllm",
    }
)


@dataclass(frozen=True, kw_only=True)
class TargetSettings:
    """How much of what is learned is the teacher's, and how its shares are compared with the student's."""

    alpha: float = 0.5
    """The teacher's weight in answers, from 0 to 1; the rest is the next token's."""

    document_alpha: float = 0.0
    """The same in documents. A teacher that was trained to chat knows documents less well than it did: raise this for
    one that knows them better than the student will."""

    beta: float = 0.0
    """Which divergence: 0 is KL(teacher | student), 1 KL(student | teacher), between them Jensen-Shannon's."""

    temperature: float = 1.0
    """Of both before they are compared; above 1, unlikely tokens count more."""

    top_k: int | None = None
    """So many of the teacher's likeliest tokens count at each place. Not set: all."""


@dataclass(frozen=True, kw_only=True)
class WrittenSettings:
    """What the teacher writes for the student to read, where the method is ``text``."""

    answers_per_prompt: int = 2
    """Answers to each prompt of the corpus; those that do not end by themselves are left out."""

    answer_tokens: int = 48
    """Longest answer, in tokens."""

    documents: int = 256
    """Documents of the corpus that the teacher goes on with from their first words."""

    document_tokens: int = 96
    """How far, in tokens."""

    temperature: float = 0.7
    """Of the teacher's sampling; 0 for the likeliest token each time."""


@dataclass(frozen=True, kw_only=True)
class DistillConfig(StageConfig):
    """How a small model learns from a larger one."""

    UPSTREAM: ClassVar[Mapping[str, str]] = {
        "training": "transformers.training_args:TrainingArguments",
        "on_policy": "trl.trainer.distillation_config:DistillationConfig",
        "cross_tokenizer": "trl.experimental.gold.gold_config:GOLDConfig",
    }
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {
        "training": OWNED_TRAINING | {"remove_unused_columns"},
        "on_policy": OWNED_TRAINING | TEACHER_IS_OURS,
        "cross_tokenizer": OWNED_TRAINING | TEACHER_IS_OURS,
    }

    method: Literal["logits", "text", "on_policy", "cross_tokenizer"] = "logits"
    """What of the teacher is learned: its logits on the corpus; text that it writes, in whatever tokens; its logits on
    the student's own answers, once the student has learned from the corpus; or its logits over other tokens."""

    teacher: str | None = None
    """A model in the policy's place: a folder, or hub:owner/name@revision. Not set: the run's policy."""

    size: str | int | None = None
    """The student's: nano, micro, mini, small, base, or a number of parameters such as 1.3M. Not set: nano."""

    model: dict[str, Any] = field(default_factory=dict)
    """The student's ``model_type`` and configuration, by transformers' names, over what the size derives."""

    base: str | None = None
    """A student that is there already, with its own tokenizer: a folder, or hub:owner/name@revision."""

    start_from_teacher: bool | None = None
    """Let a new student begin with the layers, heads, neurons and directions of its teacher that matter most. Not set:
    where they fit into it. They do where the model type, the size of heads and the tokens are the same."""

    target: TargetSettings = field(default_factory=TargetSettings)
    """What is learned of the teacher's logits."""

    written: WrittenSettings = field(default_factory=WrittenSettings)
    """What the teacher writes, for the method ``text``."""

    conversation_share: float = 0.2
    """Of the rows, those of conversations, whose answers are learned; the others are documents."""

    optimizer: Literal["muon", "adamw"] = "muon"
    """Muon for the matrices and AdamW for the rest, or AdamW for all."""

    matrix_learning_rate: float | None = None
    """Muon's. Not set: pretraining's."""

    training: dict[str, Any] = field(default_factory=dict)
    """TrainingArguments by transformers' names, over what is derived from the student's size; 1,500 steps."""

    max_minutes: float | None = None
    """Time for all but TRL's part, everything counted. Not set: as many steps as ``training`` says."""

    on_policy: dict[str, Any] = field(
        default_factory=lambda: {
            "max_steps": 100,
            "per_device_train_batch_size": 16,
            "learning_rate": 3e-4,
            "max_completion_length": 32,
        }
    )
    """DistillationConfig by TRL's names, for that method."""

    cross_tokenizer: dict[str, Any] = field(
        default_factory=lambda: {
            "max_steps": 100,
            "per_device_train_batch_size": 8,
            "learning_rate": 3e-4,
            "lmbda": 0.0,
            "uld_token_merge_strategy": "bayesian",
            "uld_crossentropy_weight": 1.0,
        }
    )
    """GOLDConfig by TRL's names, for that method; ``lmbda`` is the share of steps on the student's own answers."""

    row_tokens: int | None = None
    """Tokens in a row. Not set: the teacher's context, up to 1,024."""

    heldout_bytes: int = 100_000
    """How much held-out text teacher and student are measured on, in UTF-8 bytes."""

    heldout_conversations: int = 200
    """How many held-out conversations they are measured on."""

    new_tokens: int = 48
    """Longest answer when measuring, in tokens; one that is not over by then counts as not ended."""

    look_every_steps: int = 250
    """How often, while training, the student is measured and sampled, in steps."""

    look_bytes: int = 20_000
    """How much of the held-out text is read at each look, in UTF-8 bytes."""

    def outside(self) -> dict[str, str]:
        """Teacher and student, where they are named, by digest or revision."""
        named = [entry for entry in (self.teacher, self.base) if entry is not None]
        return {name: digest for entry in named for name, digest in continuing.outside_of_base(entry).items()}

    def problems(self) -> list[str]:
        """Values that cannot be, and settings that contradict each other."""
        found = continuing.problems_of_base(self.base) if self.base is not None else []
        if self.teacher is not None:
            found += [f"teacher{each.removeprefix('base')}" for each in continuing.problems_of_base(self.teacher)]
        found += [
            f"{name}: {value}. {needed}. Change it or remove it to get the default."
            for name, value, holds, needed in self._ranges()
            if not holds
        ]
        for name, is_set in (
            ("size", self.size is not None),
            ("model", bool(self.model)),
            ("start_from_teacher", bool(self.start_from_teacher)),
        ):
            if self.base is not None and is_set:
                found.append(
                    f"{name}: is set, but the base is a student that is there already. One of them is needed. Remove "
                    f"{name}, or base."
                )
        if self.method == "text" and self.conversation_share == 0:
            found.append(
                "conversation_share: 0, but what the teacher writes shares its rows with conversations. More than 0 is "
                "needed. Raise it, or take another method."
            )
        if self.max_minutes is not None:
            found += set_beside_the_clock(self.training)
        return found

    def _ranges(self) -> list[tuple[str, Any, bool, str]]:
        target, written = self.target, self.written
        shares = {
            "target.alpha": target.alpha,
            "target.document_alpha": target.document_alpha,
            "target.beta": target.beta,
        }
        return [
            *((name, value, 0 <= value <= 1, "From 0 to 1 is needed") for name, value in shares.items()),
            ("target.temperature", target.temperature, target.temperature > 0, "More than 0 is needed"),
            ("target.top_k", target.top_k, target.top_k is None or target.top_k >= 1, "1 or more is needed"),
            (
                "target.beta",
                target.beta,
                target.top_k is None or target.beta < 1,
                "With top_k less than 1 is needed: the student has tokens that the teacher then has not",
            ),
            ("conversation_share", self.conversation_share, 0 <= self.conversation_share < 1, "From 0 to less than 1"),
            ("max_minutes", self.max_minutes, self.max_minutes is None or self.max_minutes > 0, "More than 0"),
            ("new_tokens", self.new_tokens, self.new_tokens >= 1, "1 or more is needed"),
            ("heldout_conversations", self.heldout_conversations, self.heldout_conversations >= 1, "1 or more"),
            ("written.temperature", written.temperature, written.temperature >= 0, "0 or more is needed"),
            ("look_every_steps", self.look_every_steps, self.look_every_steps >= 1, "1 or more is needed"),
        ]


@stage(makes="student", reads=("policy", "tokenizer", "corpus"), every_process=True)
def distill(config: DistillConfig, *, policy: Path, tokenizer: Path, corpus: Path, out: Path) -> None:
    """Teach a smaller model what a larger one knows, and measure both on what neither was trained on."""
    began = time.monotonic()
    from hftrain.alignment.distillation_parts import first_folder, learn
    from hftrain.training.distillation_models import begin
    from hftrain.training.distillation_watch import StudentWatch, publish_student

    begun = begin(config, policy, tokenizer, corpus, first_folder(config, out), began=began)
    watch = StudentWatch(
        begun,
        corpus,
        heldout_bytes=config.heldout_bytes,
        look_bytes=config.look_bytes,
        conversations=config.heldout_conversations,
        new_tokens=config.new_tokens,
    )
    trainer, counts = learn(config, begun, watch, corpus, out)
    publish_student(config, begun, trainer, watch, counts, out)
