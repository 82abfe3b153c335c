"""What supervised fine-tuning is measured by: the nats of held-out answers, and whether answers end by themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Trainer

from hftrain.artifacts import write_json
from hftrain.corpus.splits import conversations_of
from hftrain.errors import ConfigError, DataError
from hftrain.models.generation import answer_prompts
from hftrain.models.loading import context_tokens, save_model
from hftrain.models.scoring import score_answers
from hftrain.runtime import is_main_process, log
from hftrain.tokens.chat import Messages, prompt_of, that_fit
from hftrain.tokens.lens import LabelledRows, as_line, check_labels, label_conversations, show_labels

SHOWN_ROWS = 6


def answer_rows(
    tokenizer: PreTrainedTokenizerFast,
    conversations: Sequence[Messages],
    *,
    max_row_tokens: int,
    max_dropped_share: float,
    out: Path,
) -> tuple[Dataset, LabelledRows]:
    """Checked rows for SFT, some of them shown with their labels and kept in ``label_examples.json``.

    Raises:
        DataError: Training on them would go wrong without a word.
    """
    labelled = label_conversations(tokenizer, conversations, max_row_tokens=max_row_tokens)
    check_labels(tokenizer, labelled, max_dropped_share=max_dropped_share)
    if is_main_process():
        examples = [show_labels(tokenizer, row) for row in labelled.rows[:SHOWN_ROWS]]
        write_json(out / "label_examples.json", [{"tokens": example} for example in examples])
        for example in examples[:2]:
            log.info("sft: trained on what is in ⟦⟧: %s", as_line(example)[:300])
    return Dataset.from_list(labelled.rows), labelled


def row_limit(model: PreTrainedModel, given: int | None) -> int:
    """How long a row may be: what was asked for, or the model's context.

    Raises:
        ConfigError: Longer rows were asked for than the model's context holds.
    """
    context = context_tokens(model)
    if given is None and context is None:
        raise ConfigError("sft.max_row_tokens: not set, and this model type states no context. Set it.")
    if given is not None and context is not None and given > context:
        raise ConfigError(
            f"sft.max_row_tokens: {given}, but the model's context is {context}. Rows must fit it. "
            f"Set at most {context}, or pretrain with longer rows (pretrain.row_tokens)."
        )
    return given if given is not None else int(context or 0)


class AnswerWatch:
    """Held-out conversations, and how a model answers them."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, corpus: Path, *, limit: int, max_row_tokens: int, new_tokens: int
    ) -> None:
        """Keep the first ``limit`` held-out conversations that fit a row.

        Raises:
            DataError: None fits.
        """
        self.tokenizer = tokenizer
        self.new_tokens = new_tokens
        found = conversations_of(corpus, "heldout")
        fitting = that_fit(tokenizer, found, max_tokens=max_row_tokens - new_tokens)
        self.conversations = fitting[:limit]
        if not fitting:
            raise DataError(
                f"sft: none of {len(found)} held-out conversations leaves room for an answer of {new_tokens} tokens in "
                f"{max_row_tokens}. One is needed. Lower sft.new_tokens or raise the context."
            )

    def score(self, model: PreTrainedModel) -> dict[str, float]:
        """Nats per token of the held-out answers, and the share of the model's own answers that end."""
        nats = score_answers(model, self.tokenizer, self.conversations).nats_per_token
        answers = self._answers(model, self.conversations)
        ended = sum(answer.ended for answer in answers) / len(answers)
        return {"answer_nats": nats, "ended_share": ended}

    def look(self, model: PreTrainedModel) -> tuple[Mapping[str, float], Sequence[Mapping[str, str]]]:
        """The nats of the held-out answers, and answers to the first prompts."""
        nats = score_answers(model, self.tokenizer, self.conversations).nats_per_token
        some = list({prompt_of(talk)[-1]["content"]: talk for talk in reversed(self.conversations)}.values())[-3:]
        samples = [
            {"prompt": prompt_of(talk)[-1]["content"], "completion": answer.text}
            for talk, answer in zip(some, self._answers(model, some), strict=True)
        ]
        return {"heldout_answer_nats": nats}, samples

    def _answers(self, model: PreTrainedModel, conversations: Sequence[Messages]) -> list[Any]:
        prompts = [prompt_of(talk) for talk in conversations]
        made = answer_prompts(model, self.tokenizer, prompts, new_tokens=self.new_tokens, temperature=0, seed=0)
        return [answers[0] for answers in made]


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
    trainer: Trainer, watch: AnswerWatch, labelled: LabelledRows, *, before: Mapping[str, float], out: Path
) -> None:
    """Write the model, and what it learned."""
    if not is_main_process():
        return
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    save_model(model, watch.tokenizer, out)
    after = watch.score(model)
    trained = sum(label != -100 for row in labelled.rows for label in row["labels"])
    write_json(
        out / "summary.json",
        {
            "train_conversations": len(labelled.rows),
            "dropped": labelled.dropped,
            "trained_token_share": trained / sum(len(row["labels"]) for row in labelled.rows),
            "steps": trainer.state.global_step,
            "heldout_conversations": len(watch.conversations),
            **{f"heldout_answer_nats_{when}": score["answer_nats"] for when, score in _both(before, after)},
            **{f"ended_share_{when}": score["ended_share"] for when, score in _both(before, after)},
        },
    )


def _both(before: Mapping[str, float], after: Mapping[str, float]) -> list[tuple[str, Mapping[str, float]]]:
    return [("before", before), ("after", after)]
