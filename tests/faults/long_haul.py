# ruff: noqa: T201  (it prints what it finds)
"""Hours of small trainings in one process, and of a server under load: memory, handles, threads, database a round.

python tests/faults/long_haul.py --minutes 10
"""

import argparse
import gc
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import material  # noqa: E402
import psutil  # noqa: E402
from harness import start  # noqa: E402

SETTLED_SHARE = 0.3
"""Of the rounds, at the beginning, in which caches fill and which do not count."""
GROWTH_MEBIBYTES = 24
"""How much more memory the last rounds may hold than the first that count."""
SHAPE = (
    "{model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, "
    "num_key_value_heads: 2, tie_word_embeddings: true}"
)
TRAINING = "{max_steps: 12, per_device_train_batch_size: 4, logging_steps: 4, save_steps: 4}"
FEW = (
    "row_tokens=32",
    "heldout_bytes=200",
    "look_bytes=200",
    "look_every_steps=6",
    f"model={SHAPE}",
    f"training={TRAINING}",
)


@dataclass(frozen=True)
class Held:
    """What this process holds after a round."""

    mebibytes: float
    handles: int
    threads: int
    database_mebibytes: float


def held(database: Path | None = None) -> Held:
    """Look, after what can be freed is freed."""
    gc.collect()
    process = psutil.Process()
    size = database.stat().st_size / 2**20 if database and database.is_file() else 0.0
    return Held(process.memory_info().rss / 2**20, process.num_fds(), process.num_threads(), size)


def grown(rounds: list[Held]) -> dict[str, float]:
    """By how much the last third exceeds the first rounds that count, by what is held."""
    counted = rounds[int(len(rounds) * SETTLED_SHARE) :]
    third = max(1, len(counted) // 3)
    first, last = counted[:third], counted[-third:]

    def mean(part: list[Held], name: str) -> float:
        return sum(float(getattr(each, name)) for each in part) / len(part)

    return {
        name: mean(last, name) - mean(first, name) for name in ("mebibytes", "handles", "threads", "database_mebibytes")
    }


def too_much(growth: dict[str, float]) -> list[str]:
    """What grew beyond its bound: memory by `GROWTH_MEBIBYTES`, handles and threads by one."""
    bounds = {"mebibytes": GROWTH_MEBIBYTES, "handles": 1, "threads": 1}
    return [f"{name}: {growth[name]:+.1f}, at most {bound}" for name, bound in bounds.items() if growth[name] > bound]


def rounds_of(
    work: Callable[[int], None], seconds: float, *, database: Path | None = None, fewest: int = 6
) -> list[Held]:
    """Do it again and again; what was held after each time."""
    found: list[Held] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds or len(found) < fewest:
        work(len(found))
        found.append(held(database))
    return found


def training(run: Path) -> Callable[[int], None]:
    """A round of training: the same small model from another seed, published over the one before."""

    def work(number: int) -> None:
        words = [word for each in (*FEW, f"seed={number}") for word in ("--set", f"pretrain.{each}")]
        ended = start("pretrain", [*words, "--run-dir", str(run)])
        if ended.code != 0:
            raise RuntimeError(f"round {number}: {ended}")

    return work


def serving(run: Path, requests: int = 40) -> tuple[Callable[[int], None], Path, Callable[[], None]]:
    """A server of the base in this process, a round of requests to it, and how to end it."""
    import socket
    import urllib.request

    from hftrain.serving.server_command import serve

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    database = run / "served.sqlite"
    words = {"models": ["base"], "port": port, "database": f"sqlite:///{database}"}
    thread = threading.Thread(target=lambda: serve(run, open(os.devnull, "w"), **words), daemon=True)  # noqa: SIM115
    thread.start()
    address = f"http://127.0.0.1:{port}"
    question = {"model": "base", "max_tokens": 4, "messages": [{"role": "user", "content": "Hello!"}]}

    def asked(path: str, body: bytes | None = None) -> int:
        request = urllib.request.Request(address + path, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
            return int(answer.status)

    for _ in range(600):
        try:
            asked("/v1/models")
            break
        except OSError:
            time.sleep(0.1)

    def work(number: int) -> None:
        for _ in range(requests):
            asked("/v1/chat/completions", json.dumps(question).encode())

    return work, database, lambda: None


def main() -> int:
    """Both, half of the time each; a table; 1 if something grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", choices=("training", "serving"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="long-haul-"))
    wrong: list[str] = []
    try:
        run = material.lay(folder / "run")
        parts = [options.only] if options.only else ["serving", "training"]
        for part in parts:
            if part == "training":
                shutil.copytree(run, folder / "trained")
                rounds = rounds_of(training(folder / "trained"), options.minutes * 60 / len(parts))
            else:
                work, database, end = serving(run)
                rounds = rounds_of(work, options.minutes * 60 / len(parts), database=database)
                end()
            growth = grown(rounds)
            print(f"{part}: {len(rounds)} rounds; first {rounds[0]}, last {rounds[-1]}")
            print("  growth " + ", ".join(f"{name} {value:+.2f}" for name, value in growth.items()), flush=True)
            wrong += [f"{part}: {each}" for each in too_much(growth)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("flat" if not wrong else "\n".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
