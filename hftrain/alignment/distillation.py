"""The second part of two ways to distil, by TRL: on the student's own answers, and across tokenizers.

A student that knows nothing writes nothing that its teacher could mend: it learns from text first
(`hftrain.training.distillation`), unless it is a base that knows something already.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import Trainer
from trl import DistillationConfig, DistillationTrainer
from trl.experimental.gold import GOLDConfig, GOLDTrainer

from hftrain.alignment.group_policy import ByEpoch
from hftrain.corpus.splits import conversations_of
from hftrain.errors import ConfigError, DataError
from hftrain.models.training_step import lighten
from hftrain.tokens.chat import Messages, encode_conversation, encode_prompt, prompt_of
from hftrain.training.arguments import training_arguments
from hftrain.training.callbacks import LookEvery
from hftrain.training.distillation_models import Begun
from hftrain.training.distillation_watch import StudentWatch

NOT_REPEATED = ("step_time",)
"""What TRL logs that no two runs have in common."""

UNCOUNTED = {"include_num_input_tokens_seen": "no"}
"""Prompts reach upstream's counter as text, which it warns of at each step."""


class OnPolicyDistillation(DistillationTrainer):
    """TRL's trainer: exact tokens, exact resume, and a log that says nothing of the clock."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Leave out how long steps took."""
        for name in NOT_REPEATED:
            self._metrics["train"].pop(name, None)
        super().log(logs, start_time)

    def _tokenize_prompts(self, prompts: list[Messages]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """As `hftrain.tokens.chat` reads them: a special token that someone typed stays text."""
        return [encode_prompt(self._tokenizer, prompt) for prompt in prompts], None, {}

    def _get_train_sampler(self, dataset: Any = None) -> ByEpoch:
        return _by_epoch(self, super()._get_train_sampler(dataset))


class CrossTokenizerDistillation(GOLDTrainer):
    """TRL's trainer, which goes on exactly where it was killed."""

    def _get_train_sampler(self, dataset: Any = None) -> ByEpoch:
        return _by_epoch(self, super()._get_train_sampler(dataset))


def _by_epoch(trainer: Any, upstream: Any) -> ByEpoch:
    return ByEpoch(upstream, seed=trainer.args.seed, epoch=lambda: int(trainer.state.epoch or 0))


def on_policy_trainer(config: Any, begun: Begun, student: Any, watch: StudentWatch, corpus: Path, out: Path) -> Trainer:
    """The student answers, and learns what its teacher would have said at each token of its answer.

    Raises:
        ConfigError: Upstream refuses an argument.
        DataError: No prompt leaves room for an answer.
    """
    given = {
        "max_completion_length": watch.new_tokens,
        "generation_kwargs": {"suppress_tokens": [begun.tokenizer.pad_token_id]},  # padding is no word
        **UNCOUNTED,
        **config.on_policy,
    }
    args = training_arguments(DistillationConfig, given, out, seed=config.seed or 0, section="distill")
    room = begun.row_tokens - int(args.max_completion_length or 0)
    prompts = [
        prompt_of(talk)
        for talk in conversations_of(corpus, "train")
        if _has_answer(talk) and len(encode_prompt(begun.tokenizer, prompt_of(talk))) <= room
    ]
    if not prompts:
        longest = args.max_completion_length
        raise DataError(
            f"{corpus / 'conversations' / 'train'}: no prompt leaves room for an answer of {longest} tokens in "
            f"{begun.row_tokens}. One is needed. Lower distill.on_policy.max_completion_length."
        )
    lighten(student)
    begun.tokenizer.padding_side = "left"
    return OnPolicyDistillation(
        student.train(),
        teacher_model=begun.teacher,
        args=args,
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
        processing_class=begun.tokenizer,
        callbacks=[LookEvery(watch.look, every_steps=config.look_every_steps, scratch=out / "scratch")],
    )


def cross_tokenizer_trainer(
    config: Any, begun: Begun, student: Any, watch: StudentWatch, corpus: Path, out: Path
) -> Trainer:
    """Logits over other tokens than the student's: TRL's GOLD, where both split a text at the same bytes.

    Raises:
        ConfigError: Upstream refuses an argument, or the tokenizers are the same.
        DataError: No conversation fits.

    Source: Patiño et al. 2025, https://huggingface.co/spaces/HuggingFaceH4/on-policy-distillation.
    """
    if begun.has_same_tokens:
        raise ConfigError(
            "distill.method: cross_tokenizer, but teacher and student write text in the same tokens. Logits can be "
            "compared as they are. Set it to logits or to on_policy."
        )
    folder = out / "scratch" / "teacher_tokenizer"
    begun.teacher_tokenizer.save_pretrained(folder)  # upstream reads it from a folder alone
    given = {
        **UNCOUNTED,
        "max_length": begun.row_tokens,
        "max_completion_length": min(watch.new_tokens, begun.row_tokens - 1),
        **config.cross_tokenizer,
        "use_uld_loss": True,
        "teacher_tokenizer_name_or_path": str(folder),
    }
    args = training_arguments(GOLDConfig, given, out, seed=config.seed or 0, section="distill")
    talks = [talk for talk in conversations_of(corpus, "train") if _fits(talk, begun)]
    if not talks:
        raise DataError(
            f"{corpus / 'conversations' / 'train'}: no conversation that ends in an answer has at most "
            f"{begun.row_tokens} tokens. One is needed. Raise distill.row_tokens."
        )
    return CrossTokenizerDistillation(
        student.train(),
        teacher_model=begun.teacher,
        args=args,
        train_dataset=Dataset.from_list([{"messages": talk} for talk in talks]),
        processing_class=begun.tokenizer,
        callbacks=[LookEvery(watch.look, every_steps=config.look_every_steps, scratch=out / "scratch")],
    )


def _has_answer(talk: Messages) -> bool:
    return any(message["role"] == "assistant" for message in talk[1:])


def _fits(talk: Messages, begun: Begun) -> bool:
    ends_well = len(talk) > 1 and talk[-1]["role"] == "assistant"
    lengths: Sequence[int] = [
        len(encode_conversation(tokenizer, talk)[0]) for tokenizer in (begun.tokenizer, begun.teacher_tokenizer)
    ]
    return ends_well and max(lengths) <= begun.row_tokens
