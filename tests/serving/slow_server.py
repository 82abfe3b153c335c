"""A server as a process, whose one model counts slowly: to be stopped and killed by tests.

python slow_server.py DATABASE PORT STOP_SECONDS WORDS
"""

import asyncio
import sys

from hftrain.serving.engine import Answer, End, Piece, Prepared, Question
from hftrain.serving.guarding import Guard
from hftrain.serving.interactions import InteractionStore
from hftrain.serving.server import ModelServer
from hftrain.serving.server_answers import Places, Served
from hftrain.serving.server_command import Stopping, _config, _listen

WORDS = int(sys.argv[4])


class Counting:
    """Says the numbers from 0 on, one each 50 ms."""

    runtime, context_tokens, at_once = "counting", 128, 256

    def prepare(self, question: Question) -> Prepared:
        return Prepared(question, (1, 2, 3), WORDS)

    async def answer(self, prepared: Prepared) -> Answer:
        for number in range(WORDS):
            yield Piece(f"{number} ")
            await asyncio.sleep(0.05)
        yield End("stop", 3, WORDS)

    async def close(self) -> None:
        return None


def main() -> None:
    database, port, stop_seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    listening, engine = _listen("127.0.0.1", port), Counting()
    served = Served("counting", engine, Places(engine.at_once, 1000), "test")
    server = ModelServer([served], InteractionStore(database), keep_days=90, guard=Guard(port=port))
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    Stopping(_config(server.app()), server, stop_seconds).run(sockets=[listening])


if __name__ == "__main__":
    main()
