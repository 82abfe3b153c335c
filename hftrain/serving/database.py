"""The SQL database of a run's listening: a SQLite file unless another is named, and durable either way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from hftrain.errors import ArtifactError, ConfigError

Result = TypeVar("Result")

TRIES = 3

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


def shown(engine: sql.Engine) -> str:
    """The URL of a database, its password hidden."""
    return engine.url.render_as_string(hide_password=True)


def again(work: Callable[[], Result]) -> Result:
    """Do what another process may be doing in this moment too, once more if the two met."""
    for _ in range(TRIES - 1):
        try:
            return work()
        except DBAPIError:
            continue
    return work()


def first_line(problem: BaseException) -> str:
    """The first line of what a driver says."""
    return (str(problem).splitlines() or [type(problem).__name__])[0].strip().rstrip(".")


def _make_durable(connection: Any, _: object) -> None:
    connection.isolation_level = None  # sqlite3 would begin and commit on its own, around parts of a transaction too
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
