"""Who teaches whom: a teacher, a student with its tokenizer and arguments, and what the student begins with."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast, TrainingArguments

from hftrain.artifacts import write_json
from hftrain.errors import ConfigError
from hftrain.models.budget import MATRIX_LEARNING_RATE, plan_training
from hftrain.models.continuing import load_base
from hftrain.models.loading import context_tokens, load_causal_lm, new_causal_lm, parameter_count
from hftrain.models.shapes import NAMES
from hftrain.models.sizes import derive, estimated_bytes_per_token, laid_over
from hftrain.models.training_step import lighten
from hftrain.runtime import is_main_process, log
from hftrain.tokens.chat import load_tokenizer
from hftrain.tokens.encoded_corpus import train_text_bytes
from hftrain.training.arguments import training_arguments
from hftrain.training.distillation_start import start_from_teacher, start_problems
from hftrain.training.rows import check_document_masking
from hftrain.training.time_budget import WITHOUT_END_STEPS

USUAL_SIZE = "nano"
USUAL_STEPS = 1500
LONGEST_ROW_TOKENS = 1024
WARMUP_STEPS = 20
"""Where the clock decides how many steps there are."""

LAST_RATE_SHARE = 0.02
START_ROWS = 16
"""Rows of documents that show what of a teacher matters."""


@dataclass(frozen=True)
class Begun:
    """All that a training is made of, but for the rows."""

    teacher: PreTrainedModel
    teacher_tokenizer: PreTrainedTokenizerFast
    student: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    """The student's."""
    has_same_tokens: bool
    """Whether both tokenizers give every text the same ids."""
    starts_from_teacher: bool
    args: TrainingArguments
    row_tokens: int
    matrix_learning_rate: float
    began: float
    """``time.monotonic()`` when the stage did."""
    warmup_steps: int
    """Where the clock decides."""


def begin(config: Any, policy: Path, tokenizer: Path, corpus: Path, out: Path, *, began: float) -> Begun:
    """Load the teacher, make the student and plan its training, as a ``DistillConfig`` asks.

    Raises:
        ConfigError: Settings contradict each other or the models; the message says which.
        ArtifactError: A model cannot be read.
    """
    if config.teacher is None:
        teacher, teacher_tokenizer = load_causal_lm(policy), load_tokenizer(policy)
    else:
        teacher, teacher_tokenizer = load_base(config.teacher)
    with _named_distill():
        student, vocabulary, row_tokens = _student(config, tokenizer, teacher)
    context = context_tokens(teacher)
    if context is not None and row_tokens > context:
        raise ConfigError(
            f"distill.row_tokens: {row_tokens}, but the teacher's context is {context}. Rows that it can read are "
            "needed. Lower it."
        )
    same = teacher_tokenizer.get_vocab() == vocabulary.get_vocab()
    _check_tokens(config, teacher, student, same=same)
    starts = _starts(config, teacher, student, same=same)
    for model, name in ((teacher, "teacher"), (student, "student")):
        _check_rows(config, model, name)
    lighten(teacher)
    args, matrix_rate = _arguments(config, student, corpus, out, row_tokens)
    log.info(
        "distill: %s parameters learn from %s%s", f"{parameter_count(student):,}", f"{parameter_count(teacher):,}",
        ", whose weights they begin with" if starts else "",
    )  # fmt: skip
    return Begun(
        teacher=teacher.eval().requires_grad_(False),
        teacher_tokenizer=teacher_tokenizer,
        student=student.train(),
        tokenizer=vocabulary,
        has_same_tokens=same,
        starts_from_teacher=starts,
        args=args,
        row_tokens=row_tokens,
        matrix_learning_rate=matrix_rate,
        began=began,
        warmup_steps=int(config.training.get("warmup_steps", WARMUP_STEPS)),
    )


def give_start(begun: Begun, input_ids: torch.Tensor, out: Path) -> None:
    """Let the student begin with the teacher's weights, if it is to; what it took is in ``start.json``."""
    if begun.starts_from_teacher:
        taken = start_from_teacher(begun.teacher, begun.student, input_ids.to(begun.teacher.device))
        if is_main_process():
            write_json(out / "start.json", dataclasses.asdict(taken))


def _student(
    config: Any, tokenizer: Path, teacher: PreTrainedModel
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, int]:
    """The student with what it is before anything is learned, its tokenizer, and the length of rows."""
    longest = min(LONGEST_ROW_TOKENS, context_tokens(teacher) or LONGEST_ROW_TOKENS)
    if config.base is not None:
        student, vocabulary = load_base(config.base, row_tokens=config.row_tokens)
        return student, vocabulary, config.row_tokens or min(longest, context_tokens(student) or longest)
    vocabulary, row_tokens = load_tokenizer(tokenizer), config.row_tokens or longest
    settings = _settings(config, teacher, len(vocabulary), row_tokens)
    return new_causal_lm(settings, vocabulary, context_tokens=row_tokens), vocabulary, row_tokens


def _settings(config: Any, teacher: PreTrainedModel, vocab_size: int, row_tokens: int) -> Mapping[str, Any]:
    """The student's configuration by upstream's names: derived for its size, of its teacher's type if possible."""
    its_type = teacher.config.model_type
    model_type = config.model.get("model_type", its_type if its_type in NAMES else "llama")
    alike: dict[str, Any] = {}
    if model_type == its_type and getattr(teacher.config, "rope_parameters", None):
        alike["rope_parameters"] = teacher.config.rope_parameters
    if model_type not in NAMES:
        if config.size is not None:
            raise ConfigError(
                f"distill.model.model_type: {model_type}. Shapes are derived for {', '.join(NAMES)} alone. Leave "
                "distill.size out and describe the model in full, or take one of those."
            )
        return {**alike, **config.model}
    derived = derive(
        config.size or USUAL_SIZE,
        vocab_size=config.model.get("vocab_size", vocab_size),
        model_type=model_type,
        row_tokens=row_tokens,
    )
    return {**alike, **laid_over(derived, config.model, {}, row_tokens=row_tokens).model}


def _check_tokens(config: Any, teacher: PreTrainedModel, student: PreTrainedModel, *, same: bool) -> None:
    if config.method in ("logits", "on_policy") and not same:
        raise ConfigError(
            f"distill.method: {config.method}, but teacher and student write text in different tokens. The teacher's "
            "logits mean something else then. Set it to text or to cross_tokenizer."
        )
    theirs, its = teacher.config.vocab_size, student.config.vocab_size
    if config.method in ("logits", "on_policy") and theirs != its:
        raise ConfigError(
            f"distill.model.vocab_size: the student's table has {its} tokens, the teacher's {theirs}. As many are "
            f"needed. Set it to {theirs}."
        )


def _starts(config: Any, teacher: PreTrainedModel, student: PreTrainedModel, *, same: bool) -> bool:
    """Whether the student begins with its teacher's weights.

    Raises:
        ConfigError: It is to, and cannot.
    """
    if config.base is not None or config.start_from_teacher is False:
        return False
    problems = start_problems(teacher, student) if same else ["teacher and student write text in different tokens"]
    if config.start_from_teacher and problems:
        raise ConfigError(
            f"distill.start_from_teacher: true, but {'; '.join(problems)}. A student that its teacher's weights fit "
            "into is needed. Change distill.size or distill.model, or set it to false."
        )
    return not problems


def _check_rows(config: Any, model: PreTrainedModel, name: str) -> None:
    """Conversations share rows: a model that would let them see each other is refused."""
    if config.conversation_share == 0:
        return
    try:
        check_document_masking(model)
    except ConfigError as problem:
        raise ConfigError(
            f"distill.conversation_share: {config.conversation_share:g}, but the {name}, a {model.config.model_type}, "
            "lets tokens attend to the conversation before theirs in a row. A model that transformers masks by "
            "position_ids is needed. Set it to 0, or take llama or qwen3."
        ) from problem


def _arguments(
    config: Any, student: PreTrainedModel, corpus: Path, out: Path, row_tokens: int
) -> tuple[TrainingArguments, float]:
    """TrainingArguments around what is given, and Muon's rate."""
    given = dict(config.training)
    if not {"max_steps", "num_train_epochs"} & given.keys():
        given["max_steps"] = USUAL_STEPS
    corpus_tokens = round(train_text_bytes(corpus) / estimated_bytes_per_token(student.config.vocab_size))
    with _named_distill():
        budget = plan_training(
            parameter_count(student),
            row_tokens=row_tokens,
            corpus_tokens=corpus_tokens,
            given=given,
            optimizer=config.optimizer,
        )
    training = {**budget.training, "remove_unused_columns": False}
    if config.max_minutes is not None:  # the clock decides: hftrain.training.time_budget
        training |= {"max_steps": WITHOUT_END_STEPS, "lr_scheduler_type": "constant"}
        training.pop("lr_scheduler_kwargs", None)
    args = training_arguments(TrainingArguments, training, out, seed=config.seed or 0, section="distill")
    return args, config.matrix_learning_rate or MATRIX_LEARNING_RATE


@contextlib.contextmanager
def _named_distill() -> Iterator[None]:
    """Let messages of what pretraining shares with this stage name this stage's settings."""
    try:
        yield
    except ConfigError as problem:
        raise ConfigError(str(problem).replace("pretrain.", "distill.")) from problem
