import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sql

from hftrain.errors import ArtifactError, ConfigError, DataError
from hftrain.serving.interactions import Feedback, Interaction, InteractionStore

ASKED = Interaction(
    id="chatcmpl-1",
    created=1000.0,
    person="ann@brown-family.net",
    model="policy",
    runtime="torch",
    kind="chat",
    asked=[{"role": "user", "content": "I am ann@brown-family.net, 4111 1111 1111 1111. \x00 \ud800 😀"}],
    answers=["Hello, ann@brown-family.net!"],
    settings={"temperature": 0.5, "seed": None},
    outcome="stop",
    prompt_tokens=10,
    answer_tokens=5,
    first_token_seconds=0.1,
    seconds=0.2,
)
SAID = Feedback(
    id="f1",
    created=1001.0,
    interaction="chatcmpl-1",
    person="ann@brown-family.net",
    thumb=-1,
    comment="Mail bob@brown-family.net!",
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A server of its own behind a socket in its own folder, with a data folder of its own; ends with the tests."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = str(binaries[-1].parent) if binaries else os.path.dirname(shutil.which("initdb") or "")
    if not found:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("psycopg")
    is_root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if is_root:
        shutil.chown(folder, "postgres")
    as_user: dict[str, Any] = {"user": "postgres"} if is_root else {}

    def call(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True, cwd=folder, **as_user)

    call(f"{found}/initdb", "--auth=trust", "--username=tester", "--no-sync", "data")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    call(f"{found}/pg_ctl", "--pgdata=data", "--wait", f"--options={options}", "--log=log", "start")
    try:
        yield f"postgresql+psycopg://tester@/NAME?host={folder}"
    finally:
        call(f"{found}/pg_ctl", "--pgdata=data", "--mode=immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'kept.sqlite3'}"
    else:
        server, name = request.getfixturevalue("postgres"), f"kept_{abs(hash(request.node.name))}"
        engine = sql.create_engine(server.replace("NAME", "postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        yield server.replace("NAME", name)


def test_what_is_kept_comes_back_without_personal_data(url: str) -> None:
    store = InteractionStore(url)
    store.keep(ASKED)
    assert store.add(SAID).result() == "stored"
    assert store.add(SAID).result() == "already"

    (kept,), (told,) = list(store.interactions()), list(store.feedback())
    assert kept.asked == [{"role": "user", "content": "I am <EMAIL>, <CARD>. \x00 \ud800 😀"}]
    assert (kept.answers, kept.scrubbed, told.comment) == (["Hello, <EMAIL>!"], 3, "Mail <EMAIL>!")
    assert kept.person == told.person == store.pseudonym("ann@brown-family.net") != "ann@brown-family.net"
    kept_as_given = replace(kept, asked=ASKED.asked, answers=ASKED.answers, person=ASKED.person, scrubbed=0)
    assert kept_as_given == ASKED
    store.close()

    again = InteractionStore(url)
    assert again.pseudonym("ann@brown-family.net") == kept.person
    assert list(again.interactions(since=1000.5)) == []
    again.close()


def test_a_persons_data_and_old_data_can_be_deleted(url: str) -> None:
    store = InteractionStore(url)
    now = time.time()
    for number, (person, created) in enumerate([("ann", now), ("bob", now), (None, now - 10 * 86_400)]):
        store.keep(replace(ASKED, id=f"c{number}", person=person, created=created))
    for number, (person, interaction) in enumerate([("bob", "c0"), ("ann", "c1"), ("bob", "c1"), (None, "c2")]):
        store.add(replace(SAID, id=f"f{number}", person=person, interaction=interaction)).result()

    assert store.forget("nobody").result() == 0
    assert store.purge(days=7).result() == 2
    assert store.forget("ann").result() == 3
    assert [each.id for each in store.interactions()] == ["c1"]
    assert [each.id for each in store.feedback()] == ["f2"]
    store.close()


def test_feedback_of_what_is_not_kept_is_refused_and_harms_nothing_beside_it(url: str) -> None:
    store = InteractionStore(url)
    wrong = store.add(replace(SAID, interaction="no-such"))
    store.keep(ASKED)
    right = store.add(SAID)
    with pytest.raises(DataError, match="no answer 'no-such'"):
        wrong.result()
    assert right.result() == "stored"
    store.close()


def test_deleted_texts_are_no_longer_in_the_file(tmp_path: Path) -> None:
    store = InteractionStore(f"sqlite:///{tmp_path / 'kept.sqlite3'}")
    store.keep(replace(ASKED, person="ann", answers=["a-very-rare-word"]))
    store.add(SAID).result()
    assert any(b"a-very-rare-word" in path.read_bytes() for path in tmp_path.iterdir())
    store.forget("ann").result()  # the store stays open, as in a server that runs on
    assert all(b"a-very-rare-word" not in path.read_bytes() for path in tmp_path.iterdir())
    store.close()


def test_a_running_server_deletes_what_is_old_and_whatever_a_person_wants_deleted(
    url: str, open_server: Any, parrot: Any
) -> None:
    store = InteractionStore(url)
    store.keep(ASKED)  # of 1970
    store.add(SAID).result()
    mine, other = {"x-hftrain-session": "my session"}, {"x-hftrain-session": "another"}
    with open_server({"m": parrot("m")}, store=store) as address, httpx2.Client(base_url=address) as client:
        for headers in (mine, other):
            asked = {"messages": [{"role": "user", "content": "Mail ann@brown-family.net"}]}
            name = client.post("/v1/chat/completions", json=asked, headers=headers).json()["id"]
            client.post("/v1/feedback", json={"interaction": name, "thumb": 1}, headers=headers).raise_for_status()
        assert [each.asked[0]["content"] for each in store.interactions()] == ["Mail <EMAIL>"] * 2
        assert client.request("DELETE", "/v1/my-data", json={}).status_code == 400
        assert client.request("DELETE", "/v1/my-data", headers=mine).json() == {"deleted_rows": 2}
        assert [each.person for each in store.interactions()] == [store.pseudonym("another")]
        assert [each.interaction for each in store.feedback()] == [name]


WRITER = """
import sys, time
from hftrain.serving.interactions import Feedback, Interaction, InteractionStore
store = InteractionStore(sys.argv[1])
asked = Interaction(id="c", created=1.0, person=None, model="m", runtime="r", kind="chat", asked=[],
                    answers=[], settings={}, outcome="stop", prompt_tokens=0, answer_tokens=0,
                    first_token_seconds=None, seconds=1.0)
store.keep(asked)
for number in range(100_000):
    store.add(Feedback(id=f"f{number}", created=1.0, interaction="c", thumb=1)).result()
    print(number, flush=True)
"""


def test_acknowledged_feedback_survives_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kept.sqlite3'}"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
    writer.wait()
    writer.stdout.close()

    store = InteractionStore(url)
    kept = {each.id for each in store.feedback()}
    assert {f"f{number}" for number in acknowledged} <= kept
    store.close()


def test_a_database_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SQLAlchemy URL"):
        InteractionStore("nonsense")
    with pytest.raises(ArtifactError, match="can be reached"):
        InteractionStore(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.sqlite3'}")
