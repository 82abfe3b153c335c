"""Where a run keeps what was asked of its server, and what was said of the answers."""

from pathlib import Path

from hftrain.errors import ArtifactError
from hftrain.serving.database import sqlite_url
from hftrain.serving.interactions import InteractionStore

FOLDER, DATABASE = "served", "interactions.sqlite3"
"""Where, unless another database is named."""


def kept_of(run: Path, database: str | None) -> InteractionStore:
    """Open what was kept: the run's own file, or another database.

    Raises:
        ArtifactError: There is no such file.
    """
    file = run / FOLDER / DATABASE
    if database is None and not file.is_file():
        raise ArtifactError(
            f"{file}: nothing was kept there. What `hftrain serve` keeps, answers and what people say of them, is "
            "needed. Serve the run first, or name the database that it wrote to by --database."
        )
    return InteractionStore(database or sqlite_url(file))
