"""The SQL database of a run's listening: a SQLite file unless another is named, and durable either way."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, ProgrammingError

from hftrain.errors import ArtifactError, ConfigError

Result = TypeVar("Result")

TRIES = 20
"""With the pauses between them they take half a minute."""

LOCKED = "locked"
CHECKPOINT_MILLISECONDS = 1000

PRAGMAS = ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")
"""A commit that returned survives a kill and a power cut; what is deleted is overwritten."""


def sqlite_url(file: Path) -> sql.URL:
    """The URL of a file, whatever characters its path has."""
    return sql.URL.create("sqlite", database=str(file))


def open_database(url: str | sql.URL, tables: sql.MetaData) -> sql.Engine:
    """Open a database and make these tables where they are missing.

    Raises:
        ConfigError: The URL or its driver cannot be used.
        ArtifactError: The database cannot be reached.
    """
    try:
        engine = sql.create_engine(url, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as problem:
        raise ConfigError(
            f"--database: {first_line(problem)}. An SQLAlchemy URL whose driver is installed is needed, such as "
            "postgresql+psycopg://USER@HOST/NAME (pip install 'psycopg[binary]'). Mend it, or leave it out for a file."
        ) from None
    if engine.dialect.name == "sqlite":
        sql.event.listen(engine, "connect", _make_durable)
        sql.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    try:
        again(lambda: tables.create_all(engine))
    except DBAPIError as problem:
        raise ArtifactError(
            f"{shown(engine)}: {first_line(problem)}. A database that can be reached and written is needed. "
            "Start it, or mend --database."
        ) from None
    return engine


def overwrite_deleted(engine: sql.Engine) -> bool:
    """Empty SQLite's log, in which pages as they were before a deletion still lie; whether nobody was reading it.

    Source: https://www.sqlite.org/pragma.html#pragma_wal_checkpoint
    """
    if engine.dialect.name != "sqlite":
        return True
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute(f"PRAGMA busy_timeout={CHECKPOINT_MILLISECONDS}")
        is_busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        cursor.execute(f"PRAGMA {PRAGMAS[0]}")
    finally:
        raw.close()
    return not is_busy


def shown(engine: sql.Engine) -> str:
    """The URL of a database, its password hidden."""
    return engine.url.render_as_string(hide_password=True)


def is_locked(problem: DBAPIError) -> bool:
    """Whether another process held the file."""
    return LOCKED in str(problem.orig)


def passes(problem: DBAPIError) -> bool:
    """Whether what failed may work in a moment: a locked file, or a table or row that another process made first."""
    return isinstance(problem, IntegrityError | ProgrammingError) or is_locked(problem)


def again(work: Callable[[], Result], *, passes: Callable[[DBAPIError], bool] = passes) -> Result:
    """Do what another process may be doing in this moment too; wait and try again where the two meet."""
    for attempt in range(TRIES - 1):
        try:
            return work()
        except DBAPIError as problem:
            if problem.connection_invalidated or not passes(problem):
                raise
        time.sleep(_pause_seconds(attempt))
    return work()


def first_line(problem: BaseException) -> str:
    """The first line of what a driver says."""
    return (str(problem).splitlines() or [type(problem).__name__])[0].strip().rstrip(".")


def _pause_seconds(attempt: int) -> float:
    return float(0.02 * 1.3**attempt)


def _make_durable(connection: Any, _: object) -> None:
    connection.isolation_level = None  # sqlite3 would begin and commit on its own, around parts of a transaction too
    for pragma in PRAGMAS:
        _set(connection, pragma)


def _set(connection: Any, pragma: str) -> None:
    """Set a pragma; that of the journal does not wait for a lock on its own."""
    for attempt in range(TRIES):
        try:
            connection.execute(f"PRAGMA {pragma}").close()
        except sqlite3.OperationalError as problem:
            if LOCKED not in str(problem) or attempt == TRIES - 1:
                raise
            time.sleep(_pause_seconds(attempt))
        else:
            return
