import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from hftrain.errors import ArtifactError, ConfigError, DataError
from hftrain.serving.ranking_items import Item, item_of
from hftrain.serving.ranking_store import RankingStore, Record, checked_name, database_url, standing


def record(choice_id: str, item: Item, rater: str = "Ann", kind: str = "ranked", **more: object) -> Record:
    return Record(choice_id, rater, item.key, kind, (1, 2, 2), (2, 0, 1), **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path, three_items: list[Item]) -> RankingStore:
    made = RankingStore(database_url(tmp_path, None))
    made.put_items(three_items)
    return made


def test_a_choice_sent_again_is_stored_once(store: RankingStore, three_items: list[Item]) -> None:
    choice = record("c" * 8, three_items[0], comment="wörds \0 ☃")
    assert store.add(choice) == "stored"
    assert store.add(choice) == "already"
    (found,) = store.records()
    assert (found.ranking, found.shown_order, found.comment) == ((1, 2, 2), (2, 0, 1), "wörds \0 ☃")
    with pytest.raises(DataError, match="stands for another choice"):
        store.add(record("c" * 8, three_items[1]))
    with pytest.raises(DataError, match="not there"):
        store.add(record("d" * 8, item_of([{"role": "user", "content": "?"}], ["a", "b"])))
    assert store.count() == 1


def test_the_log_only_grows_and_an_undo_uncovers_what_was_before(store: RankingStore, three_items: list[Item]) -> None:
    item = three_items[0]
    for each in (
        record("first000", item, kind="skip"),
        record("second00", item),
        record("undo0000", item, kind="undo", undoes="second00"),
    ):
        store.add(each)
    assert store.count() == 3
    assert standing(store.records())[("Ann", item.key)].choice_id == "first000"
    with pytest.raises(DataError, match="no choice of this rater"):
        store.add(record("undo0001", item, rater="Ben", kind="undo", undoes="first000"))
    with pytest.raises(DataError, match="no choice of this rater"):
        store.add(record("undo0002", item, kind="undo", undoes="never000"))


def test_items_and_seed_are_kept(store: RankingStore, tmp_path: Path, three_items: list[Item]) -> None:
    store.put_items(reversed(three_items))
    again = RankingStore(database_url(tmp_path, None))
    assert again.items() == three_items
    assert (again.seed, again.identity) == (0, store.identity)
    with pytest.raises(ConfigError, match="begun with 0"):
        RankingStore(database_url(tmp_path, None), seed=5)
    assert RankingStore(f"sqlite:///{tmp_path}/other.sqlite", seed=5).seed == 5


def test_the_sqlite_file_syncs_at_each_commit(store: RankingStore) -> None:
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def _add_many(folder: Path, items: list[Item], name: str) -> None:
    store = RankingStore(database_url(folder, None))
    store.put_items(items)
    for at in range(40):
        store.add(record(f"{name}-{at:06}", items[at % 3], rater=name))
        store.add(record(f"both-{at:06}", items[at % 3], rater="both"))


def test_processes_at_one_file_lose_and_double_nothing(tmp_path: Path, three_items: list[Item]) -> None:
    context = multiprocessing.get_context("spawn")
    names = ["Ann", "Ben", "Cem"]
    processes = [context.Process(target=_add_many, args=(tmp_path, three_items, name)) for name in names]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
    assert [each.exitcode for each in processes] == [0, 0, 0]
    with sqlite3.connect(tmp_path / "ranking" / "choices.sqlite") as database:
        rows = database.execute("select rater, count(*) from ranking_choices group by rater").fetchall()
        assert database.execute("select count(*) from ranking_items").fetchone() == (3,)
    database.close()
    assert dict(rows) == {"Ann": 40, "Ben": 40, "Cem": 40, "both": 40}


def test_a_url_that_cannot_be_used_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigError, match="--database"):
        RankingStore("no url")
    with pytest.raises(ConfigError, match="driver"):
        RankingStore("nosuchdialect://x")
    with pytest.raises(ConfigError, match="keeps nothing"):
        RankingStore("sqlite://")
    with pytest.raises((ArtifactError, ConfigError)) as raised:
        RankingStore("postgresql+psycopg://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\nb", "a\u202eb", 7, None])
def test_a_name_that_cannot_be_read_is_refused(name: object) -> None:
    with pytest.raises(DataError, match="A name of 1 to 60"):
        checked_name(name)


def test_one_name_has_one_form() -> None:
    assert checked_name(" Ju\u0308rgen ") == "J\u00fcrgen"
