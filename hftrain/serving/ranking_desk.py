"""The desk that every way of ranking works at: what a rater does next, and what becomes of a choice."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hftrain.alignment.agreement import Agreement, competition_ranks, rank_agreement
from hftrain.errors import DataError
from hftrain.serving.ranking_items import Item, shown_order, work_order
from hftrain.serving.ranking_store import (
    CHOICE_ID,
    KINDS,
    LONGEST_COMMENT_CHARS,
    RankingStore,
    Record,
    checked_name,
    standing,
)


@dataclass(frozen=True)
class Task:
    """One prompt with its answers in the order in which one rater sees them."""

    item: str
    prompt: tuple[Mapping[str, str], ...]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """Where a rater stands, and what comes next."""

    total: int
    decided: Mapping[str, int]
    """Kind of choice -> how many of the items stand so."""
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Choice:
    """What a rater decides, as it comes from a page, a terminal or a notebook."""

    choice_id: str
    """Made by whoever asks for it to be stored: the same id is the same choice, however often it is sent."""
    rater: str
    item: str
    kind: str
    places: tuple[int, ...] | None = None
    """A place for each answer in the order shown, 1 = best, equal numbers for ties; gaps mean nothing."""
    comment: str = ""
    undoes: str | None = None
    """With kind ``undo``: the id of the choice that is taken back."""
    seconds: float | None = None


@dataclass(frozen=True)
class Last:
    """The newest choice of a rater that stands, and its task."""

    choice_id: str
    task: Task
    kind: str
    places: tuple[int, ...] | None
    comment: str


@dataclass(frozen=True)
class Team:
    """What all raters did."""

    agreement: Agreement
    raters: Mapping[str, Mapping[str, int]]
    """Name -> kind of choice -> how many items stand so."""


class Desk:
    """Items and the store of choices about them. Any number of threads and processes may work at one database."""

    def __init__(self, store: RankingStore, items: Sequence[Item]) -> None:
        store.put_items(items)
        self.store = store
        self.ordered = tuple(items)
        self.items = {item.key: item for item in work_order(store.seed, items)}
        self._team: tuple[int, Team] | None = None
        self._lock = threading.Lock()

    def work(self, rater: str, *, limit: int = 20, skipped: bool = False) -> Work:
        """The next items that the rater has not decided, or those that were skipped, in their order."""
        name = checked_name(rater)
        kinds = {item: record.kind for (_, item), record in standing(self.store.records(name)).items()}
        wanted = [
            self.task(name, key) for key in self.items if (kinds.get(key) == "skip" if skipped else key not in kinds)
        ]
        return Work(len(self.items), self._counted(kinds), tuple(wanted[:limit]))

    def task(self, rater: str, item: str) -> Task:
        """The item as this rater sees it."""
        found = self._item(item)
        order = shown_order(self.store.seed, rater, found)
        return Task(item, found.prompt, tuple(found.answers[place] for place in order))

    def accept(self, choice: Choice) -> Literal["stored", "already"]:
        """Store a choice for good.

        Raises:
            DataError: It is not a choice that can be made.
        """
        return self.store.add(self._record(choice))

    def last(self, rater: str) -> Last | None:
        """What an undo would take back."""
        name = checked_name(rater)
        stands = [each for each in standing(self.store.records(name)).values() if each.item in self.items]
        if not stands:
            return None
        newest = max(stands, key=lambda record: record.sequence)
        places = None if newest.ranking is None else tuple(newest.ranking[at] for at in newest.shown_order)
        return Last(newest.choice_id, self.task(name, newest.item), newest.kind, places, newest.comment)

    def team(self) -> Team:
        """The raters and how far they agree, counted anew when there is something new."""
        with self._lock:
            count = self.store.count()
            if self._team is None or self._team[0] != count:
                stands = [each for each in standing(self.store.records()).values() if each.item in self.items]
                self._team = (count, team_of(stands))
            return self._team[1]

    def _counted(self, kinds: Mapping[str, str]) -> dict[str, int]:
        found = Counter(kind for item, kind in kinds.items() if item in self.items)
        return {kind: found[kind] for kind in KINDS if kind != "undo"}

    def _item(self, key: object) -> Item:
        item = self.items.get(key) if isinstance(key, str) else None
        if item is None:
            raise DataError(f"item {str(key)[:40]!r}: is none of those being ranked. Load the page anew.")
        return item

    def _record(self, choice: Choice) -> Record:
        rater, item = checked_name(choice.rater), self._item(choice.item)
        where = f"choice {str(choice.choice_id)[:64]}"
        if not isinstance(choice.choice_id, str) or not CHOICE_ID.fullmatch(choice.choice_id):
            raise DataError(f"{where}: an id of 8 to 64 letters and digits is needed.")
        if choice.kind not in KINDS or (choice.kind == "undo") != (choice.undoes is not None):
            raise DataError(f"{where}: kind {str(choice.kind)[:20]!r}. One of {', '.join(KINDS)} is needed.")
        if not isinstance(choice.comment, str) or len(choice.comment) > LONGEST_COMMENT_CHARS:
            raise DataError(f"{where}: the comment has more than {LONGEST_COMMENT_CHARS} characters. Shorten it.")
        if choice.places is None and choice.kind == "ranked":
            raise DataError(f"{where}: ranked, but without a place for each answer.")
        order = shown_order(self.store.seed, rater, item)
        ranking = None if choice.places is None else self._ranking(choice.places, order, where)
        return Record(
            choice_id=choice.choice_id,
            rater=rater,
            item=item.key,
            kind=choice.kind,
            ranking=ranking if choice.kind in ("ranked", "all_bad") else None,
            shown_order=tuple(order),
            comment=choice.comment.strip(),
            undoes=choice.undoes,
            seconds=choice.seconds,
        )

    def _ranking(self, places: Sequence[int], order: Sequence[int], where: str) -> tuple[int, ...]:
        if len(places) != len(order) or not all(type(place) is int and 1 <= place <= len(order) for place in places):
            raise DataError(
                f"{where}: places {list(places)[:20]}. One from 1 to {len(order)} for each answer is needed."
            )
        ranks = competition_ranks(places)
        return tuple(ranks[order.index(at)] for at in range(len(order)))


def team_of(stands: Sequence[Record]) -> Team:
    """The raters and how far they agree, from the choices that stand; ``all bad`` with a ranking counts as ranked."""
    rankings: dict[Any, list[tuple[int, ...]]] = {}
    raters: dict[str, Counter[str]] = {}
    for record in sorted(stands, key=lambda each: (each.item, each.rater)):
        raters.setdefault(record.rater, Counter())[record.kind] += 1
        if record.ranking is not None:
            rankings.setdefault(record.item, []).append(record.ranking)
    counted = {name: {kind: raters[name][kind] for kind in KINDS if kind != "undo"} for name in sorted(raters)}
    return Team(rank_agreement(rankings), counted)
