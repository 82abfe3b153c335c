"""What people said, taken out of the database once: each row of feedback beside the answers that it is about."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from hftrain.serving.interactions import Feedback, Interaction
from hftrain.serving.kept import kept_of


def feedback_rows(run: Path, database: str | None, heard: Collection[str]) -> list[dict[str, Any]]:
    """The feedback that a run's server kept, oldest first, as `hftrain.alignment.feedback` reads it.

    Comments stay where they are: nothing is learned from them.

    Args:
        run: The run's folder.
        database: An SQLAlchemy URL; None for the run's file.
        heard: Ids of rows that are left out.

    Raises:
        ArtifactError: Nothing was kept there.
    """
    store = kept_of(run, database)
    try:
        said = [each for each in store.feedback() if each.id not in heard]
        wanted = {name for each in said for name in (each.interaction, each.other) if name}
        about = {each.id: each for each in store.interactions() if each.id in wanted}
    finally:
        store.close()
    return list(_rows(said, about))


def _rows(said: list[Feedback], about: Mapping[str, Interaction]) -> Iterator[dict[str, Any]]:
    for each in said:
        other = None if each.other is None else about.get(each.other)
        if each.interaction not in about or (each.other is not None and other is None):
            continue  # deleted between the two questions to the database
        yield {
            "id": each.id,
            "created": each.created,
            "person": each.person,
            "thumb": each.thumb,
            "correction": each.correction,
            "preferred": each.preferred,
            "answer": _answer(about[each.interaction], each.choice),
            "other": None if other is None else _answer(other, 0),
        }


def _answer(given: Interaction, choice: int) -> dict[str, Any]:
    return {
        "id": given.id,
        "choice": choice,
        "kind": given.kind,
        "model": given.model,
        "version": given.settings.get("version"),
        "asked": [dict(message) for message in given.asked],
        "text": given.answers[choice] if choice < len(given.answers) else "",
        "outcome": given.outcome,
    }
