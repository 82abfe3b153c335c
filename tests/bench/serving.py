"""Many clients that stream at once: is any answer wrong, mixed or lost, and how fast is it beside the runtime itself?

    python tests/bench/serving.py RUN [--model export/gguf-q8_0] [--rival policy] [--clients 200] [--seconds 60]

Each client asks, greedily, one of a few prompts again and again. Before, each prompt was answered alone; an answer
under load that differs from that one is counted as wrong. A GGUF file is also run by llama.cpp in a process that serves
nobody. `--rival` gives the same work to `transformers serve --continuous-batching` (it needs `transformers[serving]`).
Short rounds of each follow each other and the medians of their ratios are told, so that what else the machine does
falls on all alike; tokens per second of a process's own processor time do not depend on it. Then all clients press.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
from serving_client import PROMPTS, Load, ask, press

SERVE = """
import sys
from pathlib import Path
from hftrain.serving.server_command import serve
serve(Path(sys.argv[1]), sys.stdout, models=[sys.argv[2]], port=int(sys.argv[3]), queue=100_000)
"""
TRANSFORMERS = ("--cb-num-blocks", "80", "--cb-max-batch-tokens", "512")  # else most of the memory is its cache
WAYS = ("one at a time", "many at once")


@dataclass
class Runner:
    """Something that answers, in a process that is watched."""

    name: str
    process: psutil.Process
    answer: Callable[[int, float], int]
    """Answers for so many askers at once, for so long; how many tokens that were."""
    per_second: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    per_cpu_second: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})

    def round(self, way: str, askers: int, seconds: float) -> None:
        """Note how fast it is once."""
        began, worked = time.monotonic(), sum(self.process.cpu_times()[:2])
        tokens = self.answer(askers, seconds)
        self.per_second[way].append(tokens / (time.monotonic() - began))
        self.per_cpu_second[way].append(tokens / (sum(self.process.cpu_times()[:2]) - worked))


def started(name: str, command: list[str], port: int) -> psutil.Process:
    """Start a server and wait until it answers."""
    home = {"HF_HOME": tempfile.mkdtemp(), "HF_HUB_OFFLINE": "1"} if name == "transformers serve" else {}
    if home:
        Path(home["HF_HOME"], "hub").mkdir()  # without it, it lists its models with an error
    log = Path(tempfile.gettempdir(), f"bench-serving-{port}.log")
    with log.open("wb") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | home)
    while server.poll() is None:
        try:
            if httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5, trust_env=False).is_success:
                return psutil.Process(server.pid)
        except httpx2.HTTPError:
            time.sleep(0.5)
    raise SystemExit(f"{name} did not start: see {log}")


def server(name: str, command: list[str], port: int, model: str, answer_tokens: int) -> Runner:
    """A server as its clients see it."""

    def answer(askers: int, seconds: float) -> int:
        load = asyncio.run(press(f"http://127.0.0.1:{port}", model, askers, seconds, answer_tokens))
        if load.lost:
            raise SystemExit(f"{name}: {load.lost[0]}")
        return load.tokens

    return Runner(name, started(name, command, port), answer)


def llama_cpp(run: Path, model: str, answer_tokens: int) -> Runner:
    """llama.cpp in a process of its own, with nothing before it."""
    script = str(Path(__file__).with_name("serving_bare.py"))
    given = [str(run), model, json.dumps(PROMPTS), str(answer_tokens)]
    made = subprocess.Popen([sys.executable, script, *given], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer(askers: int, seconds: float) -> int:
        assert made.stdin is not None
        assert made.stdout is not None
        made.stdin.write(f"{askers} {seconds}\n")
        made.stdin.flush()
        return int(made.stdout.readline())

    return Runner("llama.cpp itself", psutil.Process(made.pid), answer)


async def press_all(port: int, model: str, clients: int, seconds: float, answer_tokens: int) -> Load:
    """All clients at once, each answer held against that of the same prompt alone."""
    alone, url = Load(), f"http://127.0.0.1:{port}"
    expected = {prompt: await ask(url, model, prompt, answer_tokens, alone) for prompt in PROMPTS}
    return await press(url, model, clients, seconds, answer_tokens, expected)


def show_press(name: str, load: Load, megabytes: list[float]) -> None:
    """Print what all clients saw."""
    firsts = sorted(load.first_seconds)
    print(
        f"{name:22}{load.rate:11.1f}{len(load.right):8}{len(load.wrong):7}{len(load.lost):6}"
        f"{firsts[len(firsts) // 2]:9.2f}{firsts[int(0.95 * len(firsts))]:9.2f}   "
        + " → ".join(f"{each:.0f}" for each in megabytes),
        *(f"\n    {each[:200]}" for each in [*load.wrong[:2], *load.lost[:2]]),
        flush=True,
    )


def show_ratios(ours: Runner, other: Runner) -> None:
    """Print how ours compares, the median of the rounds and their spread."""
    for way in WAYS:
        for said, mine, theirs in (
            ("tokens/s", ours.per_second[way], other.per_second[way]),
            ("tokens per CPU second", ours.per_cpu_second[way], other.per_cpu_second[way]),
        ):
            each = sorted(one / another for one, another in zip(mine, theirs, strict=True))
            middles = f"{statistics.median(mine):.0f} to {statistics.median(theirs):.0f}"
            print(
                f"ours / {other.name:20}{way:15}{said:24}{statistics.median(each):7.3f}"
                f"   ({each[0]:.3f} to {each[-1]:.3f}); {middles}"
            )


def take_turns(runners: list[Runner], rounds: int, seconds: float, many: int) -> None:
    """Each does the same for a moment, again and again; the first round is for warming up and is not counted."""
    for number in range(rounds + 1):
        for way, askers in zip(WAYS, (1, many), strict=True):
            for runner in runners:
                runner.round(way, askers, seconds)
                if number == 0:
                    runner.per_second[way].clear()
                    runner.per_cpu_second[way].clear()


def read_words() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--model", default="export/gguf-q8_0", help="a place in the run")
    parser.add_argument("--rival", metavar="MODEL", help="for transformers serve: a place in the run, such as policy")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--round-seconds", type=float, default=3)
    parser.add_argument("--many", type=int, default=32, help="askers in a round")
    parser.add_argument("--answer-tokens", type=int, default=32)
    parser.add_argument("--port", type=int, default=8123)
    return parser.parse_args()


def main() -> None:
    """Measure what is asked for."""
    given = read_words()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores; answers of {given.answer_tokens} tokens")
    name, tokens, port = given.model.removeprefix("export/"), given.answer_tokens, given.port
    command = [sys.executable, "-c", SERVE, str(given.run), given.model, str(port)]
    runners, models = [server(given.model, command, port, name, tokens)], {given.model: (port, name)}
    if given.model.startswith("export/"):
        runners.append(llama_cpp(given.run, given.model, tokens))
    if given.rival:
        folder, program = str((given.run / given.rival).resolve()), Path(sys.executable).with_name("transformers")
        command = [str(program), "serve", folder, "--device", "cpu", "--continuous-batching", "--port", str(port + 1)]
        runners.append(server("transformers serve", [*command, *TRANSFORMERS], port + 1, folder, tokens))
        models["transformers serve"] = (port + 1, folder)
    try:
        take_turns(runners, given.rounds, given.round_seconds, given.many)
        for other in runners[1:]:
            show_ratios(runners[0], other)
        heads = (("tokens/s", 11), ("right", 8), ("wrong", 7), ("lost", 6), ("first s", 9), ("p95", 9))
        print(f"{f'{given.clients} clients':22}" + "".join(f"{head:>{width}}" for head, width in heads) + "   MiB")
        for runner in runners:
            if runner.name in models and given.seconds:
                memory = [runner.process.memory_info().rss / 2**20]
                load = asyncio.run(press_all(*models[runner.name], given.clients, given.seconds, tokens))
                show_press(runner.name, load, [*memory, runner.process.memory_info().rss / 2**20])
    finally:
        for runner in runners:
            runner.process.terminate()


if __name__ == "__main__":
    main()
