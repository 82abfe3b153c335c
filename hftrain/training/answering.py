"""What supervised fine-tuning trains, and what it is measured by."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Trainer

from hftrain.artifacts import write_json
from hftrain.corpus.splits import conversations_of, take_bytes, texts_of
from hftrain.errors import ConfigError, DataError
from hftrain.models.generation import Answer, answer_prompts
from hftrain.models.loading import context_tokens, load_causal_lm, save_model
from hftrain.models.scoring import score_answers, score_texts
from hftrain.runtime import is_main_process, log
from hftrain.tokens.chat import END_OF_TURN, START_OF_TURN, Messages, encode_prompt, prompt_of, that_fit
from hftrain.tokens.lens import IGNORED, Row
from hftrain.training.abstaining import declines, outcomes
from hftrain.training.answer_packing import AnswerPacking, PackedCollator, check_packing, pack_answers
from hftrain.training.answer_rows import AnswerRows

TEMPERATURE = 0.7
"""At which answers are sampled; that of ``hftrain chat``."""
USUAL_SHARE = 0.99
TEXT_ROW_TOKENS = 1024
"""Longest window in which held-out documents are scored."""


def row_limit(model: PreTrainedModel, given: int | None) -> int:
    """How long a row may be: what was asked for, or the model's context.

    Raises:
        ConfigError: Longer rows were asked for than the model's context holds.
    """
    return checked_limit(context_tokens(model), given)


def checked_limit(context: int | None, given: int | None) -> int:
    """The same from the context itself; None where the model's type sets none.

    Raises:
        ConfigError: Longer rows were asked for than the context holds, or nobody says how long they may be.
    """
    if given is None and context is None:
        raise ConfigError("sft.max_row_tokens: not set, and this model type states no context. Set it.")
    if given is not None and context is not None and given > context:
        raise ConfigError(
            f"sft.max_row_tokens: {given}, but the model's context is {context}. Rows must fit it. "
            f"Set at most {context}, or pretrain with longer rows (pretrain.row_tokens)."
        )
    return given if given is not None else int(context or 0)


def learner_of(config: Any, base: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> torch.nn.Module:
    """What is trained of a base: the model itself, or an adapter beside it, which may be rounded.

    With an adapter the marks of turns are learned too, unless it says itself what it learns of the tables: a base that
    never saw them would never end an answer.

    Raises:
        ConfigError: peft or bitsandbytes cannot serve this model so.
    """
    if not config.adapter:
        return model
    from hftrain.models.adapters import rows_of_tokens, with_adapter  # peft takes a second to import

    if config.quantize_base is not None:
        from hftrain.models.quantized_base import load_quantized_base

        model = load_quantized_base(base, config.quantize_base)
    settings = dict(config.adapter)
    if not settings.keys() & {"trainable_token_indices", "modules_to_save"}:
        marks = tokenizer.convert_tokens_to_ids([START_OF_TURN, END_OF_TURN])
        settings["trainable_token_indices"] = rows_of_tokens(model, marks)
    return with_adapter(model, settings, section="sft")


def training_set(
    config: Any, model: PreTrainedModel, rows: Sequence[Row], pad_id: int, *, max_row_tokens: int
) -> tuple[Dataset, PackedCollator | None, AnswerPacking | None]:
    """The rows as the trainer reads them, packed if that was asked for.

    Raises:
        ConfigError: The model would let packed conversations see each other.
    """
    if not config.packing:
        return Dataset.from_list(list(rows)), None, None
    check_packing(model)
    packed, account = pack_answers(rows, row_tokens=max_row_tokens)
    if is_main_process():
        log.info(
            "sft: %d conversations packed into %d rows of %d tokens, %.1f %% of them padding",
            account.conversations, account.rows, account.row_tokens,
            100 * account.padding_tokens / (account.rows * account.row_tokens),
        )  # fmt: skip
    return Dataset.from_list(packed), PackedCollator(pad_id), account


def longest_answer(rows: Sequence[Row], *, max_row_tokens: int) -> int:
    """Tokens that `USUAL_SHARE` of the rows' longest answers have at most; no more than half a row."""
    lengths = sorted(
        max(len(list(run)) for learned, run in groupby(row["labels"], lambda label: label != IGNORED) if learned)
        for row in rows
    )
    return max(1, min(lengths[math.ceil(USUAL_SHARE * len(lengths)) - 1], max_row_tokens // 2))


class AnswerWatch:
    """Held-out conversations, documents and questions, and what a model makes of them."""

    def __init__(
        self,
        config: Any,
        tokenizer: PreTrainedTokenizerFast,
        corpus: Path,
        learned: AnswerRows,
        *,
        context: int,
    ) -> None:
        """Keep the first held-out conversations whose prompts leave room for an answer, as many as are asked for.

        Which those are depends on the model's context alone, not on how long a row may be that is learned.

        Raises:
            DataError: None does.
        """
        self.config, self.tokenizer = config, tokenizer
        self.new_tokens = config.new_tokens or longest_answer(learned.rows, max_row_tokens=context)
        found = conversations_of(corpus, "heldout")
        room = context - self.new_tokens
        self.asked = learned.asked.that_fit(tokenizer, max_prompt_tokens=room)
        fitting = [
            talk
            for talk in that_fit(tokenizer, found, max_tokens=context)
            if any(turn["role"] == "assistant" for turn in talk[1:])
            and len(encode_prompt(tokenizer, prompt_of(talk))) <= room
        ]
        if not fitting:
            raise DataError(
                f"sft: none of {len(found)} held-out conversations leaves room for an answer of {self.new_tokens} "
                f"tokens in {context}. One is needed. Lower sft.new_tokens or raise the context."
            )
        self.conversations = fitting[: config.heldout_conversations]
        self.texts = take_bytes(texts_of(corpus, "heldout"), config.heldout_bytes) if config.heldout_bytes else []

    def score(self, model: PreTrainedModel) -> dict[str, float]:
        """Nats per token of the held-out answers, the share of the model's own that end, and what else was asked for.

        Its own answers are its likeliest tokens, in which a small model repeats itself most easily (Holtzman et al.
        2020, arXiv:1904.09751), and once more sampled, as one talks to it. Bits per byte of held-out documents say
        what was forgotten of the text that the base learned from.
        """
        nats = score_answers(model, self.tokenizer, self.conversations).nats_per_token
        answers = self._answers(model, self.conversations)
        found: dict[str, float] = {
            "heldout_answer_nats": nats,
            "ended_share": _ended(answers),
            "ended_share_sampled": _ended(self._answers(model, self.conversations, temperature=TEMPERATURE)),
        }
        if self.texts:
            window = min(context_tokens(model) or TEXT_ROW_TOKENS, TEXT_ROW_TOKENS)
            score = score_texts(model, self.tokenizer, self.texts, row_tokens=window)
            found["bits_per_byte"] = score.bits_per_byte
        if self.asked.held or self.asked.not_held:
            declined = sum(declines(answer.text, self.config.abstain.answer) for answer in answers)
            found["declined_share"] = declined / len(answers)  # of ordinary requests, which all have answers
            found |= outcomes(
                model, self.tokenizer, self.asked,
                answer=self.config.abstain.answer, new_tokens=self.new_tokens,
            )  # fmt: skip
        return found

    def look(self, model: PreTrainedModel) -> tuple[Mapping[str, float], Sequence[Mapping[str, str]]]:
        """The nats of the held-out answers, and answers to the first prompts."""
        nats = score_answers(model, self.tokenizer, self.conversations).nats_per_token
        some = list({prompt_of(talk)[-1]["content"]: talk for talk in reversed(self.conversations)}.values())[-3:]
        samples = [
            {"prompt": prompt_of(talk)[-1]["content"], "completion": answer.text}
            for talk, answer in zip(some, self._answers(model, some), strict=True)
        ]
        return {"heldout_answer_nats": nats}, samples

    def _answers(
        self, model: PreTrainedModel, conversations: Sequence[Messages], temperature: float = 0
    ) -> list[Answer]:
        prompts = [prompt_of(talk) for talk in conversations]
        made = answer_prompts(
            model, self.tokenizer, prompts, new_tokens=self.new_tokens, temperature=temperature, seed=0
        )
        return [answers[0] for answers in made]


def _ended(answers: Sequence[Answer]) -> float:
    return sum(answer.ended for answer in answers) / len(answers)


def check_batch(trainer: Trainer, tokenizer: PreTrainedTokenizerFast) -> None:
    """Look at a batch as the trainer will see it: the answers' ends are labels there too.

    Raises:
        DataError: Something between the rows and the model lost them.
    """
    collator: Any = trainer.data_collator
    dataset: Any = trainer.train_dataset
    rows = [dataset[index] for index in range(min(8, len(dataset)))]
    labels: torch.Tensor = collator(rows)["labels"]
    if not bool((labels == tokenizer.eos_token_id).any(dim=1).all()):
        raise DataError(
            "sft: in the first batch an answer's end of turn is no label. Every row must teach it. "
            "Check sft.training for options that change the labels."
        )


def publish_chat(
    config: Any,
    trainer: Trainer,
    watch: AnswerWatch,
    learned: AnswerRows,
    packing: AnswerPacking | None,
    *,
    before: Mapping[str, float],
    base: Path,
    out: Path,
) -> None:
    """Write the model, an adapter merged into it and beside it, and what it learned and forgot."""
    if not is_main_process():
        return
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    trained_parameters = sum(each.numel() for each in model.parameters() if each.requires_grad)
    if config.adapter:
        from hftrain.models.adapters import publish_adapter

        model = publish_adapter(model, out, base=load_causal_lm(base) if config.quantize_base is not None else None)
    save_model(model, watch.tokenizer, out)
    after = watch.score(model)
    trained = sum(label != IGNORED for row in learned.rows for label in row["labels"])
    write_json(
        out / "summary.json",
        {
            "train_conversations": len(learned.rows),
            "dropped": learned.labelled.dropped,
            "trained_token_share": trained / sum(len(row["labels"]) for row in learned.rows),
            "trained_parameters": trained_parameters,
            "steps": trainer.state.global_step,
            "heldout_conversations": len(watch.conversations),
            "new_tokens": watch.new_tokens,
            **learned.account,
            **({"packing": dataclasses.asdict(packing)} if packing else {}),
            **{f"{name}_before": value for name, value in before.items() if not name.endswith("_questions")},
            **{f"{name}_after": value for name, value in after.items() if not name.endswith("_questions")},
            **{name: value for name, value in after.items() if name.endswith("_questions")},
        },
    )
