"""Bring documents and conversations from where they lie to raw/, each with its origin."""

from dataclasses import dataclass
from pathlib import Path

from hftrain.artifacts import stage, write_json, write_jsonl
from hftrain.config import StageConfig
from hftrain.runtime import progress


@dataclass(frozen=True, kw_only=True)
class CollectConfig(StageConfig):
    """What is read, and from where. The defaults are part of the installation: no download."""

    text: tuple[str, ...] = ("installed-docs",)
    """Places of documents: ``installed-docs`` (the docstrings of the packages installed beside
    hftrain; ``installed-docs/networkx`` for those of one), files and folders (.txt, .md, .html,
    .htm, .xhtml, .pdf, .srt, .vtt: one document each; .epub: one a chapter; .warc: one a page;
    .jsonl, .ndjson, .csv, .parquet: one a row; all but parquet also as .gz or .zst),
    ``code:FOLDER`` (a source tree: one document a file, with its language and licence;
    ``code:FOLDER?python,rust`` reads those languages), and ``hub:owner/name@REVISION`` with
    optional ``:split``, ``:split[:ROWS]`` or ``:config:split``.
    README, LICENSE and SOURCE texts beside tables are passed over."""

    conversations: tuple[str, ...] = ("chatterbot",)
    """Places of conversations: ``chatterbot`` (the package chatterbot-corpus), and files, folders
    and Hub data sets of rows (.jsonl, .ndjson, .csv, .parquet) as above, in any shape that
    ``hftrain.corpus.conversations`` names."""

    text_column: str = "text"
    """The field of a row that holds a document's text."""

    license: str | None = None
    """The licence of rows that state none themselves. Not set: ``unknown``."""

    max_documents: int | None = None
    """Keep the documents with the smallest ids: a stable, uniform sample. Not set: all."""

    max_conversations: int | None = None
    """The same for conversations."""

    def outside(self) -> dict[str, str]:
        """Digests of the files and folders, versions of the packages, revisions on the Hub."""
        from hftrain.corpus import places

        return places.outside_of((*self.text, *self.conversations))

    def problems(self) -> list[str]:
        """Places that do not exist or are not fixed, and limits that leave nothing."""
        from hftrain.corpus import places

        problems = places.problems_of("collect.text", self.text, places.INSTALLED_DOCS)
        problems += places.problems_of("collect.conversations", self.conversations, places.CHATTERBOT, tables_only=True)
        if not self.text:
            problems.append(
                "collect.text: empty. At least one place of documents is needed. "
                f"Name one, or remove the key for {places.INSTALLED_DOCS!r}."
            )
        for name in ("max_documents", "max_conversations"):
            value = getattr(self, name)
            if value is not None and value < 1:
                problems.append(f"collect.{name}: {value}. At least 1 is needed. Remove the key to keep all.")
        return problems


@stage(makes="raw", uses_torch=False)
def collect(config: CollectConfig, *, out: Path) -> None:
    """Write ``documents/``, ``conversations/`` and ``sources.jsonl`` to ``out``.

    Raises:
        DataError: Nothing was found, or a row breaks the shape that its reader states.
    """
    from hftrain.corpus.gathering import Gathering, check_found, summary_of
    from hftrain.corpus.sampling import write_sample
    from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES

    gathering = Gathering(text_column=config.text_column, license=config.license)
    documents = write_sample(
        out / "documents",
        progress(gathering.documents(config.text), unit="document", description="collect"),
        DOCUMENT_FEATURES,
        largest_rows=config.max_documents,
        scratch=out / "scratch" / "documents",
    )
    conversations = write_sample(
        out / "conversations",
        progress(
            gathering.conversations(config.conversations),
            unit="conversation",
            description="collect",
        ),
        CONVERSATION_FEATURES,
        largest_rows=config.max_conversations,
        scratch=out / "scratch" / "conversations",
    )
    check_found("documents", documents, config.text, gathering.sources)
    if config.conversations:
        check_found("conversations", conversations, config.conversations, gathering.sources)
    write_jsonl(out / "sources.jsonl", [source.as_row() for source in gathering.sources])
    write_json(out / "summary.json", summary_of(gathering.sources, documents, conversations))
