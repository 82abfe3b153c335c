"""What an adapter for one person or domain learns from, and what it is published with."""

import hashlib
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerFast, Trainer

from hftrain.artifacts import write_json
from hftrain.corpus.conversations import messages_of
from hftrain.corpus.records import conversation_id
from hftrain.errors import DataError
from hftrain.files import read_jsonl
from hftrain.models.adapted import load_adapted
from hftrain.models.adapters import save_adapter, trained_count, with_adapter
from hftrain.models.loading import load_causal_lm
from hftrain.models.scoring import score_answers
from hftrain.runtime import is_main_process
from hftrain.tokens.chat import Messages, that_fit
from hftrain.tokens.lens import check_labels, label_conversations
from hftrain.training.answering import row_limit


class Personal:
    """A person's conversations as rows, some of them set aside, and the model that learns from the others."""

    def __init__(self, config: Any, base: Path, tokenizer: PreTrainedTokenizerFast) -> None:
        """Read the conversations as an ``AdaptConfig`` says.

        Raises:
            DataError: A row is no conversation, there are fewer than two, or too many are too long.
        """
        self.base, self.tokenizer = base, tokenizer
        model = load_causal_lm(base)
        limit = row_limit(model, config.max_row_tokens)
        talks = _read(config.rows)
        train, aside = _set_aside(talks, config.heldout_share)
        labelled = label_conversations(tokenizer, train, max_row_tokens=limit)
        check_labels(tokenizer, labelled, max_dropped_share=config.max_dropped_share)
        self.heldout = that_fit(tokenizer, aside, max_tokens=limit) or train[:1]
        self.rows = Dataset.from_list(list(labelled.rows))
        self.dropped = labelled.dropped
        self.before = score_answers(model, tokenizer, self.heldout).nats_per_token
        self.parameters = sum(each.numel() for each in model.parameters())
        self.learner = with_adapter(model, config.adapter, section="adapt")


def publish(trainer: Trainer, personal: Personal, out: Path) -> None:
    """Write the adapter alone, and what it learned and takes."""
    if not is_main_process():
        return
    learned: Any = trainer.accelerator.unwrap_model(trainer.model)
    save_adapter(learned, out)
    merged, own_bytes = load_adapted(personal.base, out, load_causal_lm(personal.base))
    write_json(
        out / "summary.json",
        {
            "train_conversations": len(personal.rows),
            "heldout_conversations": len(personal.heldout),
            "dropped": personal.dropped,
            "steps": trainer.state.global_step,
            "parameters": personal.parameters,
            "trained_parameters": trained_count(learned),
            "own_memory_bytes": own_bytes,
            "heldout_answer_nats_before": personal.before,
            "heldout_answer_nats_after": score_answers(merged, personal.tokenizer, personal.heldout).nats_per_token,
        },
    )


def _read(path: Path) -> list[Messages]:
    rows = read_jsonl(path)
    talks = {}
    for number, row in enumerate(rows, start=1):
        messages = messages_of(row, f"{path}, row {number}")[0]
        talks[conversation_id(messages)] = messages
    if len(talks) < 2:
        raise DataError(f"{path}: {len(talks)} conversations. Two at least are needed, one of them to measure on.")
    return [talks[name] for name in sorted(talks)]


def _set_aside(talks: list[Messages], share: float) -> tuple[list[Messages], list[Messages]]:
    """Conversations to learn from and to measure on: those with the smallest digests, one at least."""
    count = max(1, round(share * len(talks)))
    order = sorted(talks, key=lambda talk: hashlib.sha256(conversation_id(talk).encode()).digest())
    return order[count:], order[:count]
