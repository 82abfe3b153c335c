"""The same store on a real PostgreSQL, started on this machine for the test."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hftrain.errors import ArtifactError
from hftrain.serving.ranking_desk import Choice, Desk
from hftrain.serving.ranking_export import Rules, export
from hftrain.serving.ranking_items import Item
from hftrain.serving.ranking_store import RankingStore

pytestmark = pytest.mark.slow

FAMILIAR = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
INITDB = str(FAMILIAR[-1]) if FAMILIAR else shutil.which("initdb")


@pytest.fixture(scope="module")
def database() -> Iterator[tuple[str, Any]]:
    """The URL of a new server on loopback, and what stops it as a power cut would."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    if INITDB is None:
        pytest.skip("no PostgreSQL server is installed")
    is_root = os.getuid() == 0
    if is_root and not shutil.which("runuser"):
        pytest.skip("PostgreSQL does not run as root, and there is no runuser")
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # pytest's own folders are closed to other users
    if is_root:
        shutil.chown(folder, "nobody")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data, programs = folder / "data", Path(INITDB).parent

    def postgres(program: str, *words: str) -> None:
        command = [str(programs / program), "-D", str(data), *words]
        if is_root:
            command = ["runuser", "-u", "nobody", "--", *command]
        with (folder / "log").open("ab") as log:
            subprocess.run(command, check=True, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    settings = f"-h 127.0.0.1 -p {port} -k {folder}"

    def restart_after_a_crash() -> None:
        postgres("pg_ctl", "stop", "-m", "immediate")
        postgres("pg_ctl", "start", "-w", "-o", settings)

    postgres("initdb", "-U", "rater", "-A", "trust", "-E", "UTF8")
    postgres("pg_ctl", "start", "-w", "-o", settings)
    yield f"postgresql+psycopg://rater@127.0.0.1:{port}/postgres", restart_after_a_crash
    postgres("pg_ctl", "stop", "-m", "immediate")
    shutil.rmtree(folder)


def test_servers_at_one_postgresql_share_items_and_choices(database: tuple[str, Any], three_items: list[Item]) -> None:
    url, restart_after_a_crash = database
    failed: list[BaseException] = []

    def rate(name: str) -> None:
        """One teammate's machine: a store of its own; every choice is sent twice, as after a lost response."""
        try:
            desk = Desk(RankingStore(url), three_items)
            for at, task in enumerate(desk.work(name).tasks):
                comment = f"\0 {name} ☃"
                places = tuple(range(1, len(task.answers) + 1))
                made = Choice(f"{name}-{at:08}", name, task.item, "ranked", places, comment)
                assert [desk.accept(made), desk.accept(made)] == ["stored", "already"]
            desk.store.close()
        except BaseException as problem:  # a thread's failure is the test's
            failed.append(problem)

    threads = [threading.Thread(target=rate, args=(name,)) for name in ("Ann", "Ben", "Cem", "Dee")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failed

    restart_after_a_crash()
    store = RankingStore(url)
    assert {item.key for item in store.items()} == {item.key for item in three_items}
    desk = Desk(store, store.items())
    assert len(store.records()) == 12
    assert {record.comment for record in store.records("Ann")} == {"\0 Ann ☃"}
    assert desk.team().agreement.shared_groups == 3
    made = export(three_items, store.records(), Rules())
    assert (made.summary["choices"], made.summary["choices_used"], len(made.rows)) == (12, 12, 3)
    last = desk.last("Ann")
    assert last is not None
    desk.accept(Choice("undo-00001", "Ann", last.task.item, "undo", undoes=last.choice_id))
    assert len(desk.work("Ann").tasks) == 1
    store.close()


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with pytest.raises(ArtifactError, match="can be reached") as raised:
        RankingStore("postgresql+psycopg://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(raised.value)
