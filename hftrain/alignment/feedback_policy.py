"""A policy that learns from thumbs: answers that were liked or not, each alone."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.alignment.feedback_folder import THUMBS
from hftrain.alignment.feedback_mixing import old_pairs
from hftrain.alignment.policy_measures import asked_of, publish_policy, shown_answers
from hftrain.alignment.preference_policy import answer_log_probs
from hftrain.alignment.reward_rows import EncodedCounts
from hftrain.alignment.unpaired import with_strangers
from hftrain.artifacts import SCRATCH
from hftrain.corpus.storage import each_row, read_rows
from hftrain.errors import DataError
from hftrain.models.loading import context_tokens, load_causal_lm
from hftrain.runtime import is_main_process
from hftrain.tokens.chat import encode_conversation, encode_prompt
from hftrain.training.answering import checked_limit
from hftrain.training.arguments import training_arguments
from hftrain.training.callbacks import LookEvery
from hftrain.training.loop import run_trainer

Row = Mapping[str, Any]


def train_on_thumbs(
    trainer_class: Any,
    arguments_class: Any,
    config: Any,
    ours: Mapping[str, Any],
    *,
    start: Path,
    feedback: Path,
    preferences: Path | None,
    corpus: Path,
    out: Path,
) -> None:
    """Train the model in ``start``, itself as the reference, and publish it with what it learned.

    Args:
        trainer_class: TRL's KTOTrainer behind `TokenRows`.
        arguments_class: Its arguments.
        config: The stage's section.
        ours: Arguments that the stage sets itself.
        start: The model that it starts from.
        feedback: The thumbs.
        preferences: Old pairs, of which some answers are learned again; None where the run has none.
        corpus: The prompts that it is measured on.
        out: Where the policy goes.
    """
    seed, name = config.seed or 0, config.SECTION
    tokenizer, prompts = asked_of(config, start, None, corpus)
    args = training_arguments(arguments_class, {**config.training, **ours}, out, seed=seed, section=name)
    model, reference = load_causal_lm(start), load_causal_lm(start)
    limit = checked_limit(context_tokens(model), config.max_row_tokens)
    rows = read_thumbs(config, tokenizer, feedback, preferences, limit=limit)
    train = [*rows.new, *rows.old]
    random.Random(seed).shuffle(train)
    watch = ThumbWatch(reference, rows.heldout, beta=args.beta, pad_token=tokenizer.pad_token_id)
    answer = shown_answers(tokenizer, prompts, new_tokens=config.new_tokens)
    trainer = trainer_class(
        model=model,
        ref_model=reference,
        args=args,
        train_dataset=Dataset.from_list(with_strangers(train, args.per_device_train_batch_size, limit)),
        processing_class=tokenizer,
        callbacks=[
            LookEvery(
                lambda policy: (watch.numbers(policy), answer(policy)),
                every_steps=config.look_every_steps,
                scratch=out / SCRATCH,
            )
        ],
    )
    run_trainer(trainer, out, description=name)
    if is_main_process():
        policy = trainer.accelerator.unwrap_model(trainer.model)
        told = {"steps": trainer.state.global_step, **rows.counts(), **watch.numbers(policy)}
        publish_policy(policy, tokenizer, config, chat=start, reward=None, prompts=prompts, told=told, out=out)


@dataclass(frozen=True)
class ThumbRows:
    """Answers as token ids: rows of ``prompt_ids``, ``completion_ids`` and ``label``."""

    new: list[Row]
    heldout: list[Row]
    old: list[Row]
    """Of the run's old pairs, to be learned again."""
    too_long: int

    def counts(self) -> dict[str, int]:
        """What a summary tells of them."""
        return {
            "train_thumbs": len(self.new),
            "train_thumbs_up": sum(row["label"] for row in self.new),
            "train_old_answers": len(self.old),
            "heldout_thumbs": len(self.heldout),
            "dropped_too_long": self.too_long,
        }


def read_thumbs(
    config: Any, tokenizer: PreTrainedTokenizerFast, feedback: Path, preferences: Path | None, *, limit: int
) -> ThumbRows:
    """Both splits of the thumbs, and old answers beside them; rows of more than ``limit`` tokens are left out.

    Raises:
        DataError: None is left, or too large a share is too long.
    """
    counts, name = EncodedCounts(), config.SECTION
    new, heldout = (
        _encoded(each_row(read_rows(feedback / THUMBS / split)), tokenizer, limit, counts)
        for split in ("train", "heldout")
    )
    pairs = old_pairs(preferences, "train", len(new) // 2, config.old_share, config.seed or 0)  # of two answers each
    old = _encoded(_answers_of(pairs), tokenizer, limit, counts)
    if not new or counts.dropped_share > config.max_dropped_share:
        raise DataError(
            f"feedback/{THUMBS}: {counts.kept} answers are left, {counts.too_long} pass {limit} tokens; the longest "
            f"row has {counts.longest_tokens}. One at least is needed, and at most a share of "
            f"{config.max_dropped_share} may be left out. Collect more, or raise {name}.max_row_tokens (up to the "
            f"model's context) or {name}.max_dropped_share."
        )
    return ThumbRows(new, heldout, old, counts.too_long)


class ThumbWatch:
    """Held-out answers with thumbs, and how well a policy tells those that were liked from those that were not.

    The implicit reward of an answer is beta * (log pi - log pi_ref), pi_ref the model that the policy came from.
    Source: Ethayarajh et al. 2024, arXiv:2402.01306.
    """

    def __init__(self, reference: PreTrainedModel, rows: Sequence[Row], *, beta: float, pad_token: int) -> None:
        """Score the answers by ``reference`` once."""
        self.beta, self.pad_token = beta, pad_token
        self.rows = [(row["prompt_ids"], row["completion_ids"]) for row in rows]
        self.is_liked = torch.tensor([bool(row["label"]) for row in rows], dtype=torch.bool)
        self.reference = self._log_probs(reference)

    def numbers(self, policy: PreTrainedModel) -> dict[str, float]:
        """The chance that a liked answer's implicit reward is above that of one that was not (a tie counts half).

        Nothing where either kind is missing. The share of all pairs of the two is the area under the ROC curve.
        """
        if not self.is_liked.any() or self.is_liked.all():
            return {}
        implicit = self.beta * (self._log_probs(policy) - self.reference)
        liked, others = implicit[self.is_liked], implicit[~self.is_liked]
        above = (liked[:, None] > others).double() + 0.5 * (liked[:, None] == others).double()
        return {
            "heldout_thumb_accuracy": above.mean().item(),
            "heldout_margin": (liked.mean() - others.mean()).item(),
        }

    def _log_probs(self, model: PreTrainedModel) -> torch.Tensor:
        return answer_log_probs(model, self.rows, self.pad_token) if self.rows else torch.empty(0)


def _answers_of(pairs: Sequence[Row]) -> list[Row]:
    return [
        {"prompt": pair["prompt"], "completion": pair[which], "label": which == "chosen"}
        for pair in pairs
        for which in ("chosen", "rejected")
    ]


def _encoded(rows: Any, tokenizer: PreTrainedTokenizerFast, limit: int, counts: EncodedCounts) -> list[Row]:
    """Rows of ``prompt_ids``, ``completion_ids`` and ``label``; too long ones are left out and counted."""
    made: list[Row] = []
    for row in rows:
        prompt = encode_prompt(tokenizer, row["prompt"])
        whole = encode_conversation(tokenizer, [*row["prompt"], *row["completion"]])[0]
        counts.longest_tokens = max(counts.longest_tokens, len(whole))
        if len(whole) > limit:
            counts.too_long += 1
            continue
        counts.kept += 1
        made.append({"prompt_ids": prompt, "completion_ids": whole[len(prompt) :], "label": row["label"]})
    return made
