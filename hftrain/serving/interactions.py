"""What was asked and answered, and what people said of it, in an SQL database.

Personal data is replaced by placeholders before anything is stored. Who asked is kept as a pseudonym, made with a
secret that never leaves the database, so that one person's rows can be found again by whoever knows the id, and the
id cannot be read out of them. Texts are JSON, so that nothing written is something that a database refuses.
"""

import hashlib
import hmac
import json
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, fields
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from hftrain.corpus.personal_data import DEFAULT_KINDS
from hftrain.corpus.scrubbing import scrub
from hftrain.errors import DataError
from hftrain.runtime import log
from hftrain.serving.database import again, first_line, is_locked, open_database, overwrite_deleted, shown
from hftrain.serving.interaction_tables import FEEDBACK, INTERACTIONS, SETTINGS, TABLES

DAY_SECONDS = 86_400.0
MOST_TOGETHER = 256
"""Writes that share one commit."""

MOST_WAITING = 20_000
"""Interactions that wait for a database that is slow; further ones are dropped and counted."""


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """One request that was answered, cancelled or failed."""

    id: str
    created: float
    """Seconds since 1970, UTC."""
    person: str | None
    model: str
    runtime: str
    kind: str
    """``chat`` or ``text``."""
    asked: Sequence[Mapping[str, str]]
    """The conversation; of a text, one message of role ``text``."""
    answers: Sequence[str]
    settings: Mapping[str, Any]
    """temperature, top_p, seed and the longest answer, as asked for."""
    outcome: str
    """``stop``, ``length``, ``cancelled`` or ``failed``."""
    prompt_tokens: int
    answer_tokens: int
    first_token_seconds: float | None
    seconds: float
    scrubbed: int = 0
    """Pieces of personal data that were replaced in it."""


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """What a person said of an answer."""

    id: str
    """Made by who sends it: the same one sent twice is stored once."""
    created: float
    interaction: str
    person: str | None = None
    choice: int = 0
    """Which of the request's answers."""
    thumb: int | None = None
    """1 up, -1 down, 0 taken back."""
    comment: str = ""
    correction: str = ""
    """The answer that the person would have liked."""
    other: str | None = None
    """The interaction that it was compared with, blind."""
    preferred: str | None = None
    """``this``, ``other``, ``both`` or ``neither``."""


Work = Callable[[sql.Connection], Any]
"""One write, done in a transaction that it shares with others."""


class InteractionStore:
    """The database, written by one thread that commits what came together in one go."""

    def __init__(self, url: str | sql.URL) -> None:
        """Open it.

        Raises:
            ConfigError: The URL or its driver cannot be used.
            ArtifactError: The database cannot be reached.
        """
        self._engine = open_database(url, TABLES)
        self._secret = again(self._agree_on_secret)
        self._waiting: queue.SimpleQueue[tuple[Work | Interaction, Future[Any]] | None] = queue.SimpleQueue()
        self.dropped = 0
        """Interactions that were not stored since the store was opened."""
        self._holds_deleted = False
        """Whether deleted texts may still be in the file's log."""
        self._thread = threading.Thread(target=self._write, name="interactions", daemon=True)
        self._thread.start()

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return shown(self._engine)

    def close(self) -> None:
        """Write what waits, then let go of the database."""
        self._waiting.put(None)
        self._thread.join()
        self._engine.dispose()

    def keep(self, interaction: Interaction) -> None:
        """Store an interaction soon; its texts are scrubbed and its person becomes a pseudonym on the way."""
        if self._waiting.qsize() > MOST_WAITING:
            self.dropped += 1
            return
        self._do(interaction)

    def add(self, feedback: Feedback) -> "Future[str]":
        """Store feedback for good; the future says ``stored``, or ``already`` for what was there.

        The future's error is a DataError where the interaction is not stored.
        """
        return self._do(lambda connection: self._add(connection, feedback))

    def forget(self, person: str) -> "Future[int]":
        """Delete all that a person asked and said, and what others said of it; how many rows that were."""
        name = self.pseudonym(person)
        return self._do(lambda connection: self._delete(connection, INTERACTIONS.c.person == name, name))

    def purge(self, days: float) -> "Future[int]":
        """Delete what is older; how many rows that were."""
        oldest = time.time() - days * DAY_SECONDS
        return self._do(lambda connection: self._delete(connection, INTERACTIONS.c.created < oldest, None))

    def pseudonym(self, person: str | None) -> str | None:
        """What stands for a person's id."""
        return person and hmac.new(self._secret, person.encode(), hashlib.sha256).hexdigest()

    def state(self) -> dict[str, float]:
        """Numbers that change whenever anything is stored or deleted."""
        found: dict[str, float] = {}
        with self._engine.connect() as connection:
            for table in (INTERACTIONS, FEEDBACK):
                counted = sql.select(sql.func.count(), sql.func.max(table.c.created), sql.func.sum(table.c.created))
                rows, last, total = connection.execute(counted).one()
                found |= {table.name: rows, f"{table.name}_last": last or 0.0, f"{table.name}_sum": total or 0.0}
        return found

    def interactions(self, since: float = 0.0) -> Iterator[Interaction]:
        """What was asked from a time on, oldest first."""
        asked = sql.select(INTERACTIONS).where(INTERACTIONS.c.created >= since).order_by(INTERACTIONS.c.created)
        with self._engine.connect() as connection:
            for row in connection.execution_options(yield_per=500).execute(asked).mappings():
                parsed = {name: json.loads(row[name]) for name in ("asked", "answers", "settings")}
                yield Interaction(**{**row, **parsed})

    def feedback(self, since: float = 0.0) -> Iterator[Feedback]:
        """What was said from a time on, oldest first."""
        asked = sql.select(FEEDBACK).where(FEEDBACK.c.created >= since).order_by(FEEDBACK.c.created, FEEDBACK.c.id)
        with self._engine.connect() as connection:
            for row in connection.execution_options(yield_per=500).execute(asked).mappings():
                parsed = {name: json.loads(row[name]) for name in ("comment", "correction")}
                yield Feedback(**{**row, **parsed})

    def _agree_on_secret(self) -> bytes:
        asked = sql.select(SETTINGS.c.value).where(SETTINGS.c.name == "secret")
        with self._engine.begin() as connection:
            found = connection.scalar(asked)
            if found is None:
                found = secrets.token_hex(32)
                connection.execute(SETTINGS.insert(), {"name": "secret", "value": found})
        return bytes.fromhex(found)

    def _insert(self, interaction: Interaction) -> "Work":
        """What stores an interaction; it is scrubbed here, before the database is held."""
        row = self._interaction_row(interaction)
        return lambda connection: connection.execute(INTERACTIONS.insert(), row)

    def _interaction_row(self, interaction: Interaction) -> dict[str, Any]:
        scrubber = Scrubber()
        asked = [{**message, "content": scrubber(message["content"])} for message in interaction.asked]
        answers = [scrubber(answer) for answer in interaction.answers]
        row = {each.name: getattr(interaction, each.name) for each in fields(interaction)}
        return row | {
            "person": self.pseudonym(interaction.person),
            "asked": json.dumps(asked),
            "answers": json.dumps(answers),
            "settings": json.dumps(dict(interaction.settings)),
            "scrubbed": scrubber.count,
        }

    def _add(self, connection: sql.Connection, feedback: Feedback) -> str:
        if connection.scalar(sql.select(FEEDBACK.c.id).where(FEEDBACK.c.id == feedback.id)) is not None:
            return "already"
        for name in filter(None, (feedback.interaction, feedback.other)):
            if connection.scalar(sql.select(INTERACTIONS.c.id).where(INTERACTIONS.c.id == name)) is None:
                raise DataError(f"feedback: no answer {name[:64]!r} is kept here. The id of a stored answer is needed.")
        scrubber = Scrubber()
        row = asdict(feedback) | {
            "person": self.pseudonym(feedback.person),
            "comment": json.dumps(scrubber(feedback.comment)),
            "correction": json.dumps(scrubber(feedback.correction)),
        }
        connection.execute(FEEDBACK.insert(), row)
        return "stored"

    def _delete(self, connection: sql.Connection, which: sql.ColumnElement[bool], person: str | None) -> int:
        """Delete interactions, what was said of them, and what a person said of others; how many rows that were."""
        gone = sql.select(INTERACTIONS.c.id).where(which)
        said = FEEDBACK.c.interaction.in_(gone) | FEEDBACK.c.other.in_(gone)
        if person is not None:
            said |= FEEDBACK.c.person == person
        rows = connection.execute(FEEDBACK.delete().where(said)).rowcount
        rows += connection.execute(INTERACTIONS.delete().where(which)).rowcount
        self._holds_deleted = self._holds_deleted or rows > 0
        return rows

    def _do(self, work: "Work | Interaction") -> "Future[Any]":
        future: Future[Any] = Future()
        self._waiting.put((work, future))
        return future

    def _write(self) -> None:
        """The thread: all that waits goes into one transaction, each write in a part of its own."""
        is_open = True
        while is_open:
            batch = [self._waiting.get()]
            while len(batch) < MOST_TOGETHER and not self._waiting.empty():
                batch.append(self._waiting.get())
            is_open = None not in batch
            self._commit([each for each in batch if each is not None])

    def _commit(self, batch: list[tuple[Work | Interaction, Future[Any]]]) -> None:
        works = [self._insert(work) if isinstance(work, Interaction) else work for work, _ in batch]

        def work_all() -> list[Any]:
            with self._engine.begin() as connection:
                return [work(connection) for work in works]

        def work_each() -> list[Any]:
            with self._engine.begin() as connection:
                return [_in_part(connection, work) for work in works]

        results: list[Any]
        try:
            try:
                results = again(work_all, passes=is_locked)
            except (DataError, IntegrityError):  # one of them fails: each on its own, which is slower
                results = again(work_each)
        except SQLAlchemyError as problem:
            log.warning("interactions: %s: %s", self.shown_url, first_line(problem))
            results = [problem] * len(batch)
            self.dropped += sum(isinstance(work, Interaction) for work, _ in batch)
        if self._holds_deleted:
            self._holds_deleted = not overwrite_deleted(self._engine)
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


def _in_part(connection: sql.Connection, work: Callable[[sql.Connection], Any]) -> Any:
    """Do one write so that its failure undoes it alone; the failure is the result."""
    try:
        with connection.begin_nested():
            return work(connection)
    except (DataError, IntegrityError) as problem:
        return problem


@dataclass
class Scrubber:
    """Replaces personal data in texts and counts it."""

    count: int = 0

    def __call__(self, text: str) -> str:
        """The text with placeholders."""
        clean, found = scrub(text, DEFAULT_KINDS)
        self.count += found.total()
        return clean
