"""Curation from raw/ to corpus/: prepare, judge all batches, resolve duplicates, publish, account."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hftrain.artifacts import write_json
from hftrain.corpus import passes, publishing
from hftrain.corpus.curator import Curator, Plan, as_text
from hftrain.corpus.duplicates import SeenTexts, comparison_form
from hftrain.corpus.funnel import Funnel
from hftrain.corpus.settings import CurationSettings
from hftrain.corpus.storage import CONVERSATION_FEATURES, each_batch, each_row, read_rows
from hftrain.corpus.survivors import Survivors
from hftrain.runtime import progress

Row = dict[str, Any]

CONVERSATIONS_AT_ONCE = 1000


def judged_documents(plan: Plan, documents: Path, references: Path | None, *, folder: Path) -> Survivors:
    """Judge every document on all processors; what passes lies in ``folder`` then.

    Args:
        plan: What is asked of each document.
        documents: A dataset of documents.
        references: A dataset of those that they are compared with, or None.
        folder: Where the survivors go.
    """
    rows = len(read_rows(documents))
    processes = passes.process_count_for(documents)
    with Survivors(folder) as survivors:
        if references is not None:
            for judged in passes.judged(each_batch(references), plan.for_references(), processes=1):
                survivors.add_references(judged)
        with progress(total=rows, unit="document", description="curate") as bar:
            for judged in passes.judged(each_batch(documents), plan, processes=processes):
                survivors.add(judged)
                bar.update(judged.funnel.seen)
    return survivors


def publish(config: CurationSettings, plan: Plan, survivors: Survivors, *, raw: Path, out: Path) -> None:
    """Resolve duplicates, write all splits to ``out``, and the account of everything that went in.

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
    funnel = Funnel()
    conversations = publishing.write_conversations(
        out / "conversations",
        curated_conversations(plan, raw / "conversations", funnel),
        CONVERSATION_FEATURES,
        config.conversations_heldout_share,
    )
    account = {"documents": survivors.funnel.as_json(), "conversations": funnel.as_json()}
    write_json(out / "funnel.json", account)  # before the checks: their messages send the reader there
    check_split = functools.partial(publishing.check_split, account=out / "funnel.json")
    check_split("documents", documents, survivors.funnel, setting="heldout_share")
    if funnel.seen:
        check_split("conversations", conversations, funnel, setting="conversations_heldout_share")
    write_json(out / "summary.json", publishing.summary_of(account, documents, conversations))


def curated_conversations(plan: Plan, folder: Path, funnel: Funnel) -> Iterator[tuple[str, Row]]:
    """Yield split key and row of the conversations that stay; ``funnel`` counts them all.

    The split key is the first thing the user says, in its comparison form: a question that is held
    out is never asked in training. Of equal conversations the first stays.
    """
    curator = Curator(plan)
    seen = SeenTexts()
    for rows in _in_groups(each_row(read_rows(folder))):
        left, sizes_bytes, account = curator.judge_conversations(rows)
        funnel.add(account)
        for row, size_bytes in zip(left, sizes_bytes, strict=True):
            text = as_text(row["messages"])
            if seen.saw(text):
                funnel.drop(passes.EXACT, row, size_bytes, text, "an equal conversation came before")
                continue
            funnel.keep(row["source"], size_bytes, as_bytes=len(text.encode()))
            yield first_request(row["messages"]), row


def first_request(messages: Sequence[Mapping[str, str]]) -> str:
    """What the user says first (or else the first message), in its comparison form."""
    said = [turn["content"] for turn in messages if turn["role"] == "user"]
    return comparison_form(said[0] if said else messages[0]["content"])


def _in_groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rows = iter(rows)
    while group := list(islice(rows, CONVERSATIONS_AT_ONCE)):
        yield group
