"""One pass over raw rows: repaired, compared, judged, scrubbed; each kept, or dropped by name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Features

from hftrain.corpus.duplicates import SeenTexts, comparison_form
from hftrain.corpus.funnel import Funnel
from hftrain.corpus.heldout import is_held_out
from hftrain.corpus.repair import repair
from hftrain.corpus.rules import Rule, first_reason
from hftrain.corpus.scrubbing import scrub
from hftrain.corpus.storage import RowWriter
from hftrain.errors import DataError

Row = dict[str, Any]

DUPLICATE = "exact_duplicate"
EMPTY = "empty"


def curated_documents(
    rows: Iterable[Row], *, rules: Sequence[Rule], scrubbed: Sequence[str], funnel: Funnel
) -> Iterator[tuple[str, Row]]:
    """Yield split key and row of the documents that stay; ``funnel`` counts them all.

    Of equal texts the first stays. The split key is the id, which is a digest of the text as it
    was collected.
    """
    seen = SeenTexts()
    for row in rows:
        raw = row["text"]
        funnel.see(row["source"], raw)
        text = repair(raw)
        if not text:
            funnel.drop(EMPTY, row, raw, "no visible character")
            continue
        if seen.saw(text):
            funnel.drop(DUPLICATE, row, text, "an equal text came before")
            continue
        broken = first_reason(text, rules)
        if broken:
            funnel.drop(broken[0], row, text, broken[1])
            continue
        text, found = scrub(text, scrubbed)
        funnel.scrubbed += found
        funnel.keep(row["source"], text)
        yield row["id"], {**row, "text": text}


def curated_conversations(rows: Iterable[Row], *, scrubbed: Sequence[str], funnel: Funnel) -> Iterator[tuple[str, Row]]:
    """Yield split key and row of the conversations that stay; ``funnel`` counts them all.

    The split key is the first thing the user says, in its comparison form: a question that is held
    out is never asked in training. The rules of prose do not apply: a good answer may be a word.
    """
    seen = SeenTexts()
    for row in rows:
        raw = _as_text(row["messages"])
        funnel.see(row["source"], raw)
        messages = [{**turn, "content": repair(turn["content"])} for turn in row["messages"]]
        text = _as_text(messages)
        if not all(turn["content"] for turn in messages):
            funnel.drop(EMPTY, row, raw, "a message without a visible character")
            continue
        if seen.saw(text):
            funnel.drop(DUPLICATE, row, text, "an equal conversation came before")
            continue
        for turn in messages:
            turn["content"], found = scrub(turn["content"], scrubbed)
            funnel.scrubbed += found
        funnel.keep(row["source"], _as_text(messages))
        yield first_request(messages), {**row, "messages": messages}


def first_request(messages: Sequence[Mapping[str, str]]) -> str:
    """What the user says first (or else the first message), in its comparison form."""
    said = [turn["content"] for turn in messages if turn["role"] == "user"]
    return comparison_form(said[0] if said else messages[0]["content"])


def write_split(
    folder: Path, keyed: Iterable[tuple[str, Row]], features: Features, *, heldout_share: float
) -> dict[str, int]:
    """Write each row to ``folder/train`` or ``folder/heldout`` by its key; returns both counts."""
    with (
        RowWriter(folder / "train", features) as train,
        RowWriter(folder / "heldout", features) as heldout,
    ):
        for key, row in keyed:
            (heldout if is_held_out(key, heldout_share) else train).write(row)
    return {"train": train.row_count, "heldout": heldout.row_count}


def check_split(kind: str, counts: Mapping[str, int], funnel: Funnel, *, setting: str, account: Path) -> None:
    """Refuse a split in which one side is empty, and say why it came out so.

    Args:
        kind: ``documents`` or ``conversations``, for the message.
        counts: What ``write_split`` returned.
        funnel: The account of the same rows.
        setting: Name of the share that was held out, in the section curate.
        account: Where the funnel's examples can be read.

    Raises:
        DataError: There is nothing to train on, or nothing to measure on.
    """
    train, heldout = counts["train"], counts["heldout"]
    if train and heldout:
        return
    said = f"curate: {funnel.kept:,} of {funnel.seen:,} {kind} were kept"
    dropped = f"Dropped: {funnel.top_reasons()}."
    if funnel.kept == 0:
        raise DataError(
            f"{said}. {dropped} Training needs some. Read the examples in {account}, loosen the "
            "thresholds of these rules in curate, or collect others."
        )
    if funnel.kept == 1:
        raise DataError(
            f"{said}; one cannot be both trained on and held out. {dropped} At least two are "
            "needed, in practice hundreds. Cut the text into several (a chapter or a page each, as "
            "files or rows), or collect more."
        )
    side, share = ("held-out", "Raise") if train else ("train", "Lower")
    raise DataError(
        f"{said}, and none of them fell into the {side} split. "
        f"{dropped} Both splits are needed. {share} curate.{setting}, or collect more."
    )


def summary_of(
    account: Mapping[str, Mapping[str, Any]],
    documents: Mapping[str, int],
    conversations: Mapping[str, int],
) -> dict[str, int]:
    """The headline numbers of corpus/.

    Args:
        account: ``Funnel.as_json`` of the documents and of the conversations.
        documents: What ``write_split`` returned for the documents.
        conversations: The same for the conversations.
    """
    return {
        "documents_in": account["documents"]["in"],
        "bytes_in": account["documents"]["in_bytes"],
        "documents_kept": account["documents"]["kept"],
        "bytes_kept": account["documents"]["kept_bytes"],
        "documents_train": documents["train"],
        "documents_heldout": documents["heldout"],
        "conversations_in": account["conversations"]["in"],
        "conversations_train": conversations["train"],
        "conversations_heldout": conversations["heldout"],
    }


def _as_text(messages: Sequence[Mapping[str, str]]) -> str:
    return "\n".join(f"{turn['role']}: {turn['content']}" for turn in messages)
