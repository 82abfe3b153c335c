"""Curation from raw/ to corpus/: judge all rows, resolve duplicates, publish, account."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from hftrain.artifacts import write_json
from hftrain.corpus import passes, publishing
from hftrain.corpus.curator import JudgedConversations, Plan, as_text
from hftrain.corpus.duplicates import SeenTexts, comparison_form
from hftrain.corpus.funnel import Funnel
from hftrain.corpus.settings import CurationSettings
from hftrain.corpus.storage import (
    CONVERSATION_FEATURES,
    DROPPED_FEATURES,
    RowWriter,
    each_batch,
    each_row,
    read_rows,
    write_rows,
)
from hftrain.corpus.survivors import Survivors
from hftrain.corpus.workers import Workers
from hftrain.runtime import progress

Row = dict[str, Any]

CONVERSATIONS_AT_ONCE = 1000


@dataclass(frozen=True)
class Conversations:
    """What became of the conversations."""

    rows: Mapping[str, int]
    """Of ``train`` and of ``heldout``."""
    funnel: Funnel


def dropped_rows(out: Path) -> RowWriter:
    """Takes a row for each document that goes, with its reason."""
    return RowWriter(out / "dropped", DROPPED_FEATURES)


def judged_here(
    config: CurationSettings,
    plan: Plan,
    raw: Path,
    references: Path | None,
    workers: Workers,
    *,
    dropped: RowWriter,
    out: Path,
) -> tuple[Survivors, Conversations]:
    """Judge every row on all processors, the conversations first: these are written to ``out`` at once.

    Args:
        config: What is asked.
        plan: The same, ready for judging.
        raw: Holds ``documents`` and ``conversations``.
        references: A dataset of documents that those are compared with, or None.
        workers: They judge.
        dropped: Takes the documents that go.
        out: The documents that pass lie in ``out/scratch/survivors`` then.
    """
    groups = list(range(0, len(read_rows(raw / "conversations")), CONVERSATIONS_AT_ONCE))
    pieces = chain(_conversation_groups(raw / "conversations"), passes.repacked(each_batch(raw / "documents")))
    results = passes.judged(pieces, plan, workers)
    conversations = write_conversations(config, islice(results, len(groups)), out=out)
    with Survivors(out / "scratch" / "survivors") as survivors:
        if references is not None:
            others = passes.repacked(each_batch(references))
            for judged in passes.judged(others, plan.for_references(), Workers(1)):
                survivors.add_references(judged)
        with progress(total=len(read_rows(raw / "documents")), unit="document", description="curate") as bar:
            for judged in results:
                survivors.add(judged)
                dropped.write_all(survivors.funnel.take_drops())
                bar.update(judged.funnel.seen)
    return survivors, conversations


def judged_conversations(config: CurationSettings, plan: Plan, raw: Path, *, out: Path) -> Conversations:
    """Judge the conversations alone, in this process, and write their splits to ``out``."""
    return write_conversations(
        config, passes.judged(_conversation_groups(raw / "conversations"), plan, Workers(1)), out=out
    )


def publish(
    config: CurationSettings, survivors: Survivors, conversations: Conversations, *, dropped: RowWriter, out: Path
) -> None:
    """Resolve duplicates, write the documents' splits to ``out``, and the account of everything that went in.

    Raises:
        DataError: Nothing is left, or one of the splits is empty.
    """
    gone = passes.find_duplicates(survivors, near_jaccard=config.duplicates.near_jaccard)
    documents = publishing.write_documents(
        out,
        survivors,
        gone,
        heldout_share=config.heldout_share,
        mixture=config.mixture,
        paragraph_words=config.clean.repeated_paragraph_words,
    )
    dropped.write_all(survivors.funnel.take_drops())
    account = {"documents": survivors.funnel.as_json(), "conversations": conversations.funnel.as_json()}
    write_json(out / "funnel.json", account)  # before the checks: their messages send the reader there
    check_split = functools.partial(publishing.check_split, account=out / "funnel.json")
    check_split("documents", documents, survivors.funnel, setting="heldout_share")
    if conversations.funnel.seen:
        setting = "conversations_heldout_share"
        check_split("conversations", conversations.rows, conversations.funnel, setting=setting)
    write_json(out / "summary.json", publishing.summary_of(account, documents, conversations.rows))


def write_conversations(
    config: CurationSettings, results: Iterable[JudgedConversations], *, out: Path
) -> Conversations:
    """Write the splits of the conversations that passed."""
    funnel = Funnel()
    rows = publishing.write_conversations(
        out / "conversations",
        curated_conversations(results, funnel),
        CONVERSATION_FEATURES,
        config.conversations_heldout_share,
    )
    write_rows(out / "conversations" / "dropped", funnel.take_drops(), DROPPED_FEATURES)
    return Conversations(rows, funnel)


def curated_conversations(results: Iterable[JudgedConversations], funnel: Funnel) -> Iterator[tuple[str, Row]]:
    """Yield split key and row of the conversations that stay; ``funnel`` counts them all.

    The split key is the first thing the user says, in its comparison form: a question that is held
    out is never asked in training. Of equal conversations the first stays.
    """
    seen = SeenTexts()
    for judged in results:
        funnel.add(judged.funnel)
        for row, size_bytes in zip(judged.rows, judged.sizes_bytes, strict=True):
            text = as_text(row["messages"])
            if seen.saw(text):
                funnel.drop(passes.EXACT, row, size_bytes, text, "an equal conversation came before")
                continue
            funnel.keep(row["source"], size_bytes, as_bytes=len(text.encode()))
            yield first_request(row["messages"]), row


def first_request(messages: list[dict[str, str]]) -> str:
    """What the user says first (or else the first message), in its comparison form."""
    said = [turn["content"] for turn in messages if turn["role"] == "user"]
    return comparison_form(said[0] if said else messages[0]["content"])


def _conversation_groups(folder: Path) -> Iterator[list[Row]]:
    rows = each_row(read_rows(folder))
    while group := list(islice(rows, CONVERSATIONS_AT_ONCE)):
        yield group
