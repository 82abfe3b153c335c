"""What tests of ranking share: a desk over a database in the test's folder, and a server in a process of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hftrain.serving.ranking_desk import Desk
from hftrain.serving.ranking_items import Item, item_of
from hftrain.serving.ranking_store import RankingStore, database_url

START = (
    "import sys; from pathlib import Path; from hftrain.serving.ranking import run; "
    "run(Path(sys.argv[1]), answers=Path(sys.argv[2]), port=int(sys.argv[3]), database=sys.argv[4] or None, "
    "open_browser=False)"
)


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def three_items() -> list[Item]:
    """Three prompts with 3, 3 and 2 answers."""
    return [
        item_of(user("What is a cat?"), ["An animal.", "A cat.", "I like it."], answered_by="sha256:aa", split="train"),
        item_of(user("What is a dog?"), ["A dog.", "Woof.", "An animal that barks."], answered_by="sha256:aa"),
        item_of(user("Say yes."), ["Yes.", "No."], answered_by="sha256:aa"),
    ]


@pytest.fixture
def desk(tmp_path: Path, three_items: list[Item]) -> Iterator[Desk]:
    """A desk for those three, its database in the test's folder."""
    store = RankingStore(database_url(tmp_path / "run", None), seed=7)
    yield Desk(store, three_items)
    store.close()


@pytest.fixture
def answers_file(tmp_path: Path) -> Callable[..., Path]:
    """``answers_file(prompts, answers)``: a file of so many prompts with so many answers, each with its quality."""

    def write(prompts: int, answers: int, planted: str = "") -> Path:
        path = tmp_path / "answers.jsonl"
        rows = [
            {
                "prompt": f"Prompt {at}: which is best? {planted}",
                "answers": [f"Answer {at} of quality {quality}. {planted}" for quality in range(answers)],
                "answered_by": "sha256:" + "ab" * 32,
            }
            for at in range(prompts)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


class Server:
    """``hftrain rank`` in a process of its own, at one port, to be killed and started again."""

    def __init__(self, run: Path, answers: Path, database: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._words = [str(run), str(answers), str(port), database]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """The address to open, once it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, *self._words],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"the server did not say where it is: {line!r}"
        return found[0]

    def kill(self) -> None:
        """What ``kill -9`` does, if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    """``server(run, answers)``: a server that ends with the test."""
    made: list[Server] = []

    def make(run: Path, answers: Path, database: str = "") -> Server:
        made.append(Server(run, answers, database))
        return made[-1]

    yield make
    for each in made:
        each.kill()
