"""Repair, deduplicate, judge and scrub what was collected; split it into train and held-out."""

import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hftrain.artifacts import record_measured, stage, write_json
from hftrain.config import StageConfig
from hftrain.runtime import progress


@dataclass(frozen=True, kw_only=True)
class CurateConfig(StageConfig):
    """Which documents stay. ``hftrain.corpus.rules`` explains each threshold and its source."""

    heldout_share: float = 0.05
    """Share of the documents that is held out, by a digest of each: adding data never moves a document across."""

    conversations_heldout_share: float = 0.15
    """The same for conversations, by their first request, so that no request is on both sides."""

    minimum_words: int = 10
    """Shorter texts are dropped as ``too_few_words``."""

    minimum_stop_words: int = 1
    """Longer texts with fewer different ones of the, be, to, of, and, that, have, with are dropped
    as ``too_few_stop_words``. 0 for text that is not English."""

    minimum_wordlike_share: float = 0.7
    """Texts in which a smaller share of the words holds a letter are dropped."""

    maximum_code_share: float = 0.08
    """Texts with a larger share of code signs among their characters are dropped."""

    maximum_repeated_share: float = 0.5
    """Texts with a larger share of characters in repeated lines are dropped."""

    maximum_triple_share: float = 0.25
    """Texts of which one word triple makes up a larger share are dropped."""

    scrub: tuple[str, ...] = ("email", "phone", "ip")
    """Kinds of personal data that become placeholders, such as ``<EMAIL>``."""

    def problems(self) -> list[str]:
        """Shares outside 0 to 1, and kinds of personal data that nobody knows."""
        from hftrain.corpus.scrubbing import PLACEHOLDERS

        problems = []
        for name in ("heldout_share", "conversations_heldout_share"):
            if not 0 < getattr(self, name) < 1:
                problems.append(
                    f"curate.{name}: {getattr(self, name)}. A share above 0 and below 1 is "
                    "needed: both splits are used. Set it to 0.05 or so."
                )
        for name in (
            "minimum_wordlike_share",
            "maximum_code_share",
            "maximum_repeated_share",
            "maximum_triple_share",
        ):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                problems.append(f"curate.{name}: {value}. A share from 0 to 1 is needed. Mend the number.")
        problems += [
            f"curate.scrub: {kind!r} is not known. Needed: any of {', '.join(PLACEHOLDERS)}. "
            "Mend the name, or leave it out."
            for kind in self.scrub
            if kind not in PLACEHOLDERS
        ]
        return problems


@stage(makes="corpus", reads=("raw",))
def curate(config: CurateConfig, *, raw: Path, out: Path) -> None:
    """Write the splits of documents and conversations to ``out``, and the account of all drops.

    Raises:
        DataError: Nothing is left, or one of the splits is empty.
    """
    from hftrain.corpus import curation, rules, storage
    from hftrain.corpus.funnel import Funnel

    documents, conversations = Funnel(), Funnel()
    asked = rules.standard_rules(
        minimum_words=config.minimum_words,
        minimum_stop_words=config.minimum_stop_words,
        minimum_wordlike_share=config.minimum_wordlike_share,
        maximum_code_share=config.maximum_code_share,
        maximum_repeated_share=config.maximum_repeated_share,
        maximum_triple_share=config.maximum_triple_share,
    )
    began = time.process_time()
    document_counts = curation.write_split(
        out,
        curation.curated_documents(
            _watched(raw / "documents", "document"),
            rules=asked,
            scrubbed=config.scrub,
            funnel=documents,
        ),
        storage.DOCUMENT_FEATURES,
        heldout_share=config.heldout_share,
    )
    seconds = time.process_time() - began
    conversation_counts = curation.write_split(
        out / "conversations",
        curation.curated_conversations(
            _watched(raw / "conversations", "conversation"),
            scrubbed=config.scrub,
            funnel=conversations,
        ),
        storage.CONVERSATION_FEATURES,
        heldout_share=config.conversations_heldout_share,
    )
    account = {"documents": documents.as_json(), "conversations": conversations.as_json()}
    write_json(out / "funnel.json", account)  # before the checks: their messages send the reader there
    check_split = functools.partial(curation.check_split, account=out / "funnel.json")
    check_split("documents", document_counts, documents, setting="heldout_share")
    if conversations.seen:
        check_split("conversations", conversation_counts, conversations, setting="conversations_heldout_share")
    write_json(out / "summary.json", curation.summary_of(account, document_counts, conversation_counts))
    record_measured(out, megabytes_per_core_second=round(documents.seen_bytes / 1e6 / seconds, 2))


def _watched(folder: Path, unit: str) -> Iterator[dict[str, Any]]:
    """The rows of a dataset, with a progress bar."""
    from hftrain.corpus.storage import each_row, read_rows

    rows = read_rows(folder)
    watched: Iterator[dict[str, Any]] = progress(each_row(rows), total=len(rows), unit=unit, description="curate")
    return watched
