"""Choices of raters in an SQL database: each is stored once, at once, and none is ever changed.

Three tables: ``ranking_settings`` (the seed of the blind orders), ``ranking_items`` (what is ranked) and
``ranking_choices`` (a log to which rows are only added: an undo is a row too). Texts are JSON, so that what a model
or a person wrote cannot be something that a database refuses.
"""

import json
import re
import unicodedata
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import sqlalchemy as sql
from sqlalchemy.exc import IntegrityError

from hftrain.errors import ConfigError, DataError
from hftrain.serving.database import again, open_database, shown, sqlite_url
from hftrain.serving.ranking_items import Item

Kind = Literal["ranked", "all_bad", "skip", "undo"]
KINDS: tuple[str, ...] = get_args(Kind)

LONGEST_NAME_CHARS = 60
LONGEST_COMMENT_CHARS = 4000
CHOICE_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")

TABLES = sql.MetaData()
SETTINGS = sql.Table(
    "ranking_settings",
    TABLES,
    sql.Column("name", sql.String(64), primary_key=True),
    sql.Column("value", sql.Text, nullable=False),
)
ITEMS = sql.Table(
    "ranking_items",
    TABLES,
    sql.Column("key", sql.String(64), primary_key=True),
    sql.Column("place", sql.Integer, nullable=False),
    sql.Column("prompt", sql.Text, nullable=False),
    sql.Column("answers", sql.Text, nullable=False),
    sql.Column("answered_by", sql.Text),
    sql.Column("split", sql.Text),
)
CHOICES = sql.Table(
    "ranking_choices",
    TABLES,
    sql.Column("sequence", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("choice_id", sql.String(64), nullable=False, unique=True),
    sql.Column("rater", sql.String(4 * LONGEST_NAME_CHARS), nullable=False, index=True),
    sql.Column("item", sql.String(64), sql.ForeignKey(ITEMS.c.key), nullable=False),
    sql.Column("kind", sql.String(16), nullable=False),
    sql.Column("ranking", sql.Text),
    sql.Column("shown_order", sql.Text, nullable=False),
    sql.Column("comment", sql.Text, nullable=False),
    sql.Column("undoes", sql.String(64)),
    sql.Column("seconds", sql.Float),
    sql.Column("received", sql.String(40), nullable=False),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class Record:
    """One row of the log."""

    choice_id: str
    rater: str
    item: str
    kind: str
    ranking: tuple[int, ...] | None
    """Rank of each answer in the order of the source, 1 = best, equal answers sharing the better rank."""
    shown_order: tuple[int, ...]
    """Place in the source of the answer shown first, second, ..."""
    comment: str = ""
    undoes: str | None = None
    seconds: float | None = None
    """From when the item was shown until it was decided, as the rater's machine measured."""
    sequence: int = 0
    """When it came, as a count; 0 until it is stored."""


class RankingStore:
    """The database."""

    def __init__(self, url: str | sql.URL, *, seed: int | None = None) -> None:
        """Open the database, make its tables where they are missing, and agree on the seed.

        Args:
            url: An SQLAlchemy URL.
            seed: Of the blind orders, for a database without one; None takes 0 there and any elsewhere.

        Raises:
            ConfigError: The URL or its driver cannot be used, or the database has another seed.
            ArtifactError: The database cannot be reached.
        """
        if str(url).startswith("sqlite") and sql.make_url(url).database in (None, "", ":memory:"):
            raise ConfigError(f"--database {url}: is in memory and keeps nothing. Name a file, or leave it out.")
        self._engine = open_database(url, TABLES)
        self.shown_url = shown(self._engine)
        self.seed = int(self._setting("seed", str(seed or 0)))
        self.identity = self._setting("identity", uuid.uuid4().hex)
        if seed is not None and seed != self.seed:
            raise ConfigError(
                f"--seed: {seed}, but {self.shown_url} was begun with {self.seed}. One seed draws all blind orders. "
                "Leave --seed out, or begin another database."
            )

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def put_items(self, items: Iterable[Item]) -> None:
        """Store the items that are not there yet."""
        given = {item.key: item for item in items}

        def put() -> None:
            with self._engine.begin() as connection:
                there = set(connection.scalars(sql.select(ITEMS.c.key)))
                rows = [_item_row(len(there), at, item) for at, item in enumerate(given.values())]
                missing = [row for row in rows if row["key"] not in there]
                if missing:
                    connection.execute(ITEMS.insert(), missing)

        again(put)

    def items(self) -> list[Item]:
        """All items, in the order in which they were put."""
        with self._engine.connect() as connection:
            rows = connection.execute(sql.select(ITEMS).order_by(ITEMS.c.place, ITEMS.c.key)).all()
        return [
            Item(row.key, tuple(json.loads(row.prompt)), tuple(json.loads(row.answers)), row.answered_by, row.split)
            for row in rows
        ]

    def add(self, record: Record) -> Literal["stored", "already"]:
        """Store a choice for good before returning; one that is there already changes nothing.

        Raises:
            DataError: Its id was used for another choice, or it undoes what is not there.
        """
        if record.undoes is not None:
            self._check_undo(record)
        try:
            with self._engine.begin() as connection:
                connection.execute(CHOICES.insert(), _choice_row(record))
        except IntegrityError:
            there = self._by_id(record.choice_id)
            if there is None:
                raise DataError(
                    f"choice {record.choice_id}: of an item that is not there. Load the page anew."
                ) from None
            if _said(there) != _said(record):
                raise DataError(
                    f"choice {record.choice_id}: the id stands for another choice already. Give each an id of its own."
                ) from None
            return "already"
        return "stored"

    def records(self, rater: str | None = None) -> list[Record]:
        """The log of one rater, or of all, in the order in which it came."""
        wanted = sql.select(CHOICES).order_by(CHOICES.c.sequence)
        if rater is not None:
            wanted = wanted.where(CHOICES.c.rater == rater)
        with self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(wanted)]

    def count(self) -> int:
        """How many rows the log has; it never shrinks."""
        with self._engine.connect() as connection:
            return connection.scalar(sql.select(sql.func.count()).select_from(CHOICES)) or 0

    def raters(self) -> list[str]:
        """Whoever stored a choice, by name."""
        with self._engine.connect() as connection:
            return sorted(connection.scalars(sql.select(CHOICES.c.rater).distinct()))

    def _by_id(self, choice_id: str) -> Record | None:
        with self._engine.connect() as connection:
            row = connection.execute(sql.select(CHOICES).where(CHOICES.c.choice_id == choice_id)).first()
        return _record(row) if row is not None else None

    def _check_undo(self, record: Record) -> None:
        found = self._by_id(record.undoes or "")
        if found is None or found.kind == "undo" or (found.rater, found.item) != (record.rater, record.item):
            raise DataError(
                f"choice {record.choice_id}: undoes {record.undoes}, which is no choice of this rater here."
            )

    def _setting(self, name: str, otherwise: str) -> str:
        """The stored value; ``otherwise`` is stored where there is none."""

        def get() -> str:
            with self._engine.begin() as connection:
                found = connection.scalar(sql.select(SETTINGS.c.value).where(SETTINGS.c.name == name))
                if found is None:
                    connection.execute(SETTINGS.insert(), {"name": name, "value": otherwise})
                return otherwise if found is None else str(found)

        return again(get)


def database_url(run: Path, given: str | None) -> str | sql.URL:
    """The URL of the choices: the one that was given, or a file in the run's folder, which is made."""
    if given is not None:
        return given
    folder = run / "ranking"
    folder.mkdir(parents=True, exist_ok=True)
    return sqlite_url(folder / "choices.sqlite")


def standing(records: Iterable[Record]) -> dict[tuple[str, str], Record]:
    """What each rater says of each item now: the last choice that is not undone. Keys are (rater, item)."""
    listed = list(records)
    undone = {record.undoes for record in listed if record.kind == "undo"}
    return {
        (record.rater, record.item): record
        for record in listed
        if record.kind != "undo" and record.choice_id not in undone
    }


def checked_name(name: object) -> str:
    """A rater's name without spaces around it, each character in its one form.

    Raises:
        DataError: It is no such name.
    """
    text = unicodedata.normalize("NFC", name).strip() if isinstance(name, str) else ""
    if not 1 <= len(text) <= LONGEST_NAME_CHARS or any(unicodedata.category(each)[0] == "C" for each in text):
        raise DataError(
            f"rater: {str(name)[:LONGEST_NAME_CHARS]!r}. A name of 1 to {LONGEST_NAME_CHARS} characters, none of them "
            "invisible, is needed. Give another."
        )
    return text


def _item_row(first: int, at: int, item: Item) -> dict[str, object]:
    return {
        "key": item.key,
        "place": first + at,
        "prompt": json.dumps(list(item.prompt)),
        "answers": json.dumps(list(item.answers)),
        "answered_by": item.answered_by,
        "split": item.split,
    }


def _choice_row(record: Record) -> dict[str, object]:
    return {
        "choice_id": record.choice_id,
        "rater": record.rater,
        "item": record.item,
        "kind": record.kind,
        "ranking": None if record.ranking is None else json.dumps(record.ranking),
        "shown_order": json.dumps(record.shown_order),
        "comment": json.dumps(record.comment),
        "undoes": record.undoes,
        "seconds": record.seconds,
        "received": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _record(row: sql.Row[Any]) -> Record:
    return Record(
        choice_id=row.choice_id,
        rater=row.rater,
        item=row.item,
        kind=row.kind,
        ranking=None if row.ranking is None else tuple(json.loads(row.ranking)),
        shown_order=tuple(json.loads(row.shown_order)),
        comment=json.loads(row.comment),
        undoes=row.undoes,
        seconds=row.seconds,
        sequence=row.sequence,
    )


def _said(record: Record) -> Sequence[object]:
    """What makes two choices the same one: all but when it came."""
    return (record.rater, record.item, record.kind, record.ranking, record.shown_order, record.comment, record.undoes)
