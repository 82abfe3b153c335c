"""From conversations to what supervised fine-tuning reads: labelled, mixed, taught to decline, and checked."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from hftrain.corpus.splits import conversations_of, texts_of
from hftrain.corpus.storage import read_rows
from hftrain.files import write_json
from hftrain.runtime import is_main_process, log, progress
from hftrain.tokens.chat import Messages
from hftrain.tokens.lens import LabelledRows, Row, as_line, check_labels, label_conversations, show_labels
from hftrain.training.abstaining import SortedQuestions, read_questions, sort_by_support, taught_conversations
from hftrain.training.conversation_mixture import mixed

SHOWN_ROWS = 6
DECLINES, ANSWERS = "abstain (declines)", "abstain (answers)"
"""What questions that are taught are called where sources are named."""


@dataclass(frozen=True)
class Talks:
    """Conversations to learn from, and where each is from."""

    messages: Sequence[Messages]
    sources: Sequence[str]


@dataclass(frozen=True)
class AnswerRows:
    """What is trained on, before rows are packed."""

    rows: list[Row]
    labelled: LabelledRows
    """What was looked at, questions that are taught among it."""
    messages: Sequence[Messages]
    """The conversations of that."""
    account: dict[str, Any] = field(default_factory=dict)
    """What a mixture and questions came to, for the summary."""
    asked: SortedQuestions = field(default_factory=SortedQuestions)
    """Questions to measure on."""


def talks_of(corpus: Path) -> Talks:
    """The training conversations of a corpus.

    Raises:
        DataError: There are none.
    """
    return Talks(conversations_of(corpus, "train"), list(read_rows(corpus / "conversations" / "train")["source"]))


def rows_to_learn(
    config: Any, tokenizer: PreTrainedTokenizerFast, talks: Talks, corpus: Path | None, *, max_row_tokens: int
) -> AnswerRows:
    """Label conversations, and lay a mixture and questions over them as a ``SFTStageConfig`` asks; nothing is checked.

    Args:
        config: The section.
        tokenizer: Encodes.
        talks: The conversations.
        corpus: Whose documents say which questions are held; without, no question is taught.
        max_row_tokens: What a row may have.

    Raises:
        DataError: The mixture or the questions cannot be had.
    """
    labelled = label_conversations(tokenizer, talks.messages, max_row_tokens=max_row_tokens, sources=talks.sources)
    rows, messages, asked = list(labelled.rows), list(talks.messages), SortedQuestions()
    account: dict[str, Any] = {}
    if config.mixture.sources:
        rows, account["mixture"] = mixed(labelled, config.mixture)
    wanted = config.abstain
    if wanted.questions and corpus is not None:
        texts = progress(texts_of(corpus, "train"), unit="document", description="looking for answers")
        found = sort_by_support(read_questions(wanted.questions), texts)
        taught, asked = found.split()
        declined, answered = taught_conversations(
            taught, answer=wanted.answer, share=wanted.share, other_rows=len(rows)
        )
        taught_too = [*declined, *answered]
        more = label_conversations(
            tokenizer,
            taught_too,
            max_row_tokens=max_row_tokens,
            sources=[DECLINES] * len(declined) + [ANSWERS] * len(answered),
        )
        rows += more.rows
        _add(labelled, more, after=len(messages))
        messages += taught_too
        account["abstain"] = {
            "questions_held": len(found.held),
            "questions_not_held": len(found.not_held),
            "questions_left_out": found.left_out,
            "taught_to_decline": len(declined),
            "taught_to_answer": len(answered),
        }
    return AnswerRows(rows, labelled, messages, account, asked)


def check_and_show(
    tokenizer: PreTrainedTokenizerFast, learned: AnswerRows, *, max_dropped_share: float, out: Path
) -> None:
    """Check the rows; show some of them with their labels and keep these in ``label_examples.json``.

    Raises:
        DataError: Training on them would go wrong without a word.
    """
    check_labels(tokenizer, learned.labelled, max_dropped_share=max_dropped_share)
    if is_main_process():
        examples = [show_labels(tokenizer, row) for row in learned.rows[:SHOWN_ROWS]]
        write_json(out / "label_examples.json", [{"tokens": example} for example in examples])
        for example in examples[:2]:
            log.info("sft: trained on what is in ⟦⟧: %s", as_line(example)[:300])


def _add(labelled: LabelledRows, more: LabelledRows, *, after: int) -> None:
    labelled.rows += more.rows
    labelled.seen += [dataclasses.replace(each, place=each.place + after) for each in more.seen]
    for reason, count in more.dropped.items():
        labelled.dropped[reason] = labelled.dropped.get(reason, 0) + count
