"""The label lens: what of each conversation a model is trained on, checked before it is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerFast

from hftrain.errors import DataError
from hftrain.tokens.chat import END_OF_TURN, Messages, encode_conversation

IGNORED = -100

TRAINED, MASKED, CUT, PAD = "trained", "masked", "cut", "pad"
"""What can become of a token: learned, only read, left out with its row, or there to fill a batch."""

CHAR_TOKENS = 4
"""Bytes, and so tokens, of the longest character."""

Row = dict[str, list[int]]


@dataclass(frozen=True)
class Seen:
    """One conversation, as the lens saw it."""

    place: int
    """Which of the conversations it is."""
    source: str
    tokens: int
    trained: int
    reason: str | None
    """Why it was left out; None where it is a row."""


@dataclass
class LabelledRows:
    """Conversations as token ids and labels, and how many were left out for which reason."""

    rows: list[Row] = field(default_factory=list)
    """``input_ids`` and ``labels`` of one length; a label is -100 where nothing is learned."""
    dropped: dict[str, int] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    """Every conversation, in order; those without a reason are the rows."""

    @property
    def sources(self) -> list[str]:
        """Where each row is from."""
        return [each.source for each in self.seen if each.reason is None]


def label_conversations(
    tokenizer: PreTrainedTokenizerFast,
    conversations: Sequence[Messages],
    *,
    max_row_tokens: int,
    sources: Sequence[str] | None = None,
) -> LabelledRows:
    """Rows that train on assistants' words and ends of turn alone; rows too long are left out whole, never cut.

    Args:
        tokenizer: Encodes them.
        conversations: Lists of messages.
        max_row_tokens: What a row may have.
        sources: Where each conversation is from.
    """
    labelled = LabelledRows()
    for place, messages in enumerate(conversations):
        ids, mask = encode_conversation(tokenizer, messages)
        reason = "too_long" if len(ids) > max_row_tokens else None if any(mask) else "no_answer"
        source = sources[place] if sources else ""
        labelled.seen.append(Seen(place, source, len(ids), sum(mask), reason))
        if reason:
            labelled.dropped[reason] = labelled.dropped.get(reason, 0) + 1
        else:
            labels = [token if trained else IGNORED for token, trained in zip(ids, mask, strict=True)]
            labelled.rows.append({"input_ids": ids, "labels": labels})
    return labelled


def check_labels(tokenizer: PreTrainedTokenizerFast, labelled: LabelledRows, *, max_dropped_share: float) -> None:
    """Refuse rows that would train a model wrongly without a word.

    Raises:
        DataError: Nothing is trainable, the end of turn is never learned, the beginning of text is doubled, labels
            differ from the ids they stand for, or more rows were left out than ``max_dropped_share``.
    """
    kept, dropped = len(labelled.rows), sum(labelled.dropped.values())
    if not kept or dropped / (kept + dropped) > max_dropped_share:
        reasons = ", ".join(f"{name} {count}" for name, count in sorted(labelled.dropped.items()))
        raise DataError(
            f"sft: {dropped} of {kept + dropped} conversations were left out ({reasons or 'there were none'}). "
            f"At most a share of {max_dropped_share} may be. Raise sft.max_row_tokens or sft.max_dropped_share, or "
            "shorten the conversations."
        )
    check_rows(tokenizer, labelled.rows, "sft")


def check_rows(tokenizer: PreTrainedTokenizerFast, rows: Sequence[Mapping[str, Sequence[int]]], section: str) -> None:
    """Refuse labels that are wrong in themselves.

    Raises:
        DataError: A row trains nothing, a label differs from its token, the beginning of text is doubled, or the end of
            turn is a label in no row.
    """
    end, begin = tokenizer.convert_tokens_to_ids(END_OF_TURN), tokenizer.bos_token_id
    learned_ends = 0
    for number, row in enumerate(rows):
        ids, labels = row["input_ids"], row["labels"]
        trained = [label for label in labels if label != IGNORED]
        learned_ends += end in trained
        if not trained:
            raise DataError(f"{section}: row {number}: every label is masked. An answer is needed. Leave the row out.")
        if any(label not in (IGNORED, token) for token, label in zip(ids, labels, strict=True)):
            raise DataError(f"{section}: row {number}: a label differs from the token under it. They must agree.")
        if begin is not None and list(ids[:2]) == [begin, begin]:
            raise DataError(
                f"{section}: row {number}: begins with {tokenizer.bos_token!r} twice. Once is needed. "
                "Take it out of the chat template, or set add_bos_token to false."
            )
    if not learned_ends:
        raise DataError(
            f"{section}: {END_OF_TURN!r} is a label in none of {len(rows)} rows. The model would never learn to stop. "
            "Mark the end of turn as part of the answer in the chat template."
        )


def tokens_by_source(seen: Sequence[Seen]) -> dict[str, dict[str, int]]:
    """Source -> rows, rows left out, and tokens trained, masked and cut (those of rows left out)."""
    found: dict[str, Counter[str]] = {}
    for each in seen:
        count = found.setdefault(each.source, Counter(rows=0, left_out=0, trained=0, masked=0, cut=0))
        if each.reason is None:
            count.update(rows=1, trained=each.trained, masked=each.tokens - each.trained)
        else:
            count.update(left_out=1, cut=each.tokens)
    return {source: dict(found[source]) for source in sorted(found)}


def texts_of_tokens(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> list[str]:
    """The text of each token; a character that is split over several stands with the last of them."""
    texts: list[str] = []
    waiting: list[int] = []
    for token in ids:
        waiting.append(token)
        text = tokenizer.decode(waiting)
        is_part = text.endswith("\ufffd") and len(waiting) < CHAR_TOKENS
        texts.append("" if is_part else text)
        waiting = waiting if is_part else []
    if waiting:
        texts[-1] = tokenizer.decode(waiting)
    return texts


def show_labels(tokenizer: PreTrainedTokenizerFast, row: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    """One row token by token: its text, and whether it is trained on."""
    return [
        {"text": text, "trained": label != IGNORED}
        for text, label in zip(texts_of_tokens(tokenizer, row["input_ids"]), row["labels"], strict=True)
    ]


def as_line(shown: Sequence[Mapping[str, Any]]) -> str:
    """A row on one line, what is trained in ⟦brackets⟧."""
    line, inside = "", False
    for piece in shown:
        if piece["trained"] != inside:
            line += "⟦" if piece["trained"] else "⟧"
            inside = piece["trained"]
        line += piece["text"].replace("\n", "⏎")
    return line + ("⟧" if inside else "")
