"""Many clients that stream at once from `hftrain serve`: is any answer wrong, mixed or lost, and how fast is it?

    python tests/bench/serving.py RUN [--model policy] [--clients 200] [--seconds 60] [--rival transformers]

Each client asks, greedily, one of a few prompts again and again. Before, each prompt was answered alone; an answer
under load that differs from that one is counted as wrong. `--rival transformers` gives the same load to
`transformers serve --continuous-batching` on the same model (it needs `transformers[serving]`). The bare runtime is
llama.cpp or transformers' generate in a process of its own, one answer after the other. Tokens per second of the
server's processor time do not depend on what else the machine does; those of the clock do.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil

ANSWER_TOKENS = 64
PROMPTS = [f"Tell me something about {thing}." for thing in (
    "the sea", "a red ball", "trees", "the moon", "your name", "books", "cats", "the old town", "bread", "music",
    "snow", "ships", "a garden", "the evening", "letters", "stones")]  # fmt: skip
SERVE = """
import sys
from pathlib import Path
from hftrain.serving.server_command import serve
serve(Path(sys.argv[1]), sys.stdout, models=[sys.argv[2]], port=int(sys.argv[3]), queue=100_000)
"""
BARE = """
import sys, time, json
from pathlib import Path
from hftrain.tokens.chat import encode_prompt, load_tokenizer
run, name, prompts, longest = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
talks = [[{"role": "user", "content": prompt}] for prompt in prompts]
if (run / name / "model.gguf").is_file():
    from hftrain.export.llama_cpp import LlamaCpp
    from hftrain.serving.server_models import _source_of
    model, tokenizer = LlamaCpp(run / name / "model.gguf"), load_tokenizer(_source_of(run, run / name))
    answer = lambda talk: len(model.continue_greedily(encode_prompt(tokenizer, talk), new_tokens=longest))
else:
    from hftrain.models.generation import answer_prompts
    from hftrain.models.loading import load_causal_lm
    model, tokenizer = load_causal_lm(run / name), load_tokenizer(run / name)
    greedy = {"new_tokens": longest, "temperature": 0, "seed": 0}
    answer = lambda talk: len(answer_prompts(model, tokenizer, [talk], **greedy)[0][0].tokens)
answer(talks[0])
began, worked = time.monotonic(), time.process_time()
tokens = sum(answer(talk) for talk in talks)
print(tokens / (time.monotonic() - began), tokens / (time.process_time() - worked))
"""


@dataclass
class Load:
    """What all clients saw."""

    right: int = 0
    tokens: int = 0
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    first_seconds: list[float] = field(default_factory=list)


async def ask(client: httpx2.AsyncClient, model: str, prompt: str, load: Load) -> str:
    """One streamed answer; its pieces are counted as tokens."""
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True, "temperature": 0,
            "max_tokens": ANSWER_TOKENS, "seed": 0}  # fmt: skip
    began, text, ended = time.monotonic(), "", False
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: ") or line.endswith("[DONE]"):
                continue
            choices = json.loads(line[6:]).get("choices")
            piece = choices[0]["delta"].get("content") or "" if choices else ""
            if piece and not text:
                load.first_seconds.append(time.monotonic() - began)
            text += piece
            load.tokens += bool(piece)
            ended = ended or bool(choices and choices[0].get("finish_reason"))
    if ended:
        return text
    raise httpx2.RemoteProtocolError("no end")


async def press(url: str, model: str, clients: int, seconds: float) -> tuple[Load, float, float]:
    """All clients for a while; the load, how long it took, and tokens a second of one client alone."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(base_url=url, timeout=600.0, limits=limits, trust_env=False) as client:
        alone = Load()
        await ask(client, model, PROMPTS[0], alone)
        alone, began = Load(), time.monotonic()
        expected = {prompt: await ask(client, model, prompt, alone) for prompt in PROMPTS}
        rate_alone = alone.tokens / (time.monotonic() - began)
        load, began = Load(), time.monotonic()

        async def one(number: int) -> None:
            turn = number
            while time.monotonic() - began < seconds:
                prompt = PROMPTS[turn % len(PROMPTS)]
                turn += 1
                try:
                    text = await ask(client, model, prompt, load)
                    load.right += text == expected[prompt]
                    load.wrong += [f"{prompt} {text!r}, alone {expected[prompt]!r}"] * (text != expected[prompt])
                except httpx2.HTTPError as problem:
                    load.lost.append(repr(problem))

        await asyncio.gather(*(one(number) for number in range(clients)))
        return load, time.monotonic() - began, rate_alone


def starts(url: str, server: subprocess.Popen[bytes]) -> bool:
    """Whether the server answers before it ends."""
    while server.poll() is None:
        try:
            return httpx2.get(f"{url}/health", timeout=5, trust_env=False).is_success
        except httpx2.HTTPError:
            time.sleep(0.5)
    return False


def measure(name: str, command: list[str], port: int, model: str, clients: int, seconds: float) -> None:
    """Start a server, press it, and print a row."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url, process = f"http://127.0.0.1:{port}", psutil.Process(server.pid)
    try:
        if not starts(url, server):
            print(f"{name:14} did not start")
            return
        before = process.memory_info().rss
        asyncio.run(press(url, model, min(clients, 8), 2))
        warm = process.memory_info().rss
        worked = sum(process.cpu_times()[:2])
        load, took, alone = asyncio.run(press(url, model, clients, seconds))
        worked = sum(process.cpu_times()[:2]) - worked
        firsts = sorted(load.first_seconds)
        rss = [value / 2**20 for value in (before, warm, process.memory_info().rss)]
        print(
            f"{name:14}{clients:8}{load.right:8}{len(load.wrong):7}{len(load.lost):6}{load.tokens / took:10.0f}"
            f"{load.tokens / worked:10.0f}"
            f"{alone:10.0f}{firsts[len(firsts) // 2]:10.3f}{firsts[int(0.95 * len(firsts))]:9.3f}   "
            + " → ".join(f"{value:.0f}" for value in rss)
        )
        for each in [*load.wrong[:2], *load.lost[:2]]:
            print(f"    {each[:200]}")
    finally:
        server.terminate()
        server.wait(60)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--model", action="append", help="places in the run (default: policy and export/gguf-q8_0)")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rival", choices=("transformers",))
    parser.add_argument("--port", type=int, default=8123)
    options = parser.parse_args()
    print(f"load of this machine {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores; {ANSWER_TOKENS} tokens at most")
    heads = (
        ("clients", 8),
        ("right", 8),
        ("wrong", 7),
        ("lost", 6),
        ("tokens/s", 10),
        ("per cpu s", 10),
        ("alone", 10),
        ("first s", 10),
    )
    print(f"{'server':14}" + "".join(f"{head:>{width}}" for head, width in heads) + "      p95   MiB")
    for at, name in enumerate(options.model or ["policy", "export/gguf-q8_0"]):
        bare = subprocess.run(
            [sys.executable, "-c", BARE, options.run, name, json.dumps(PROMPTS), str(ANSWER_TOKENS)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        rate, per_cpu_second = map(float, bare.stdout.split())
        print(f"{'bare ' + name[-9:]:14}{1:8}{'':31}{per_cpu_second:10.0f}{rate:10.0f}")
        port = options.port + at
        command = [sys.executable, "-c", SERVE, str(options.run), name, str(port)]
        measure(name[-13:], command, port, name.removeprefix("export/"), options.clients, options.seconds)
        if options.rival and not name.startswith("export/"):
            folder, port = str((options.run / name).resolve()), port + 100
            program = str(Path(sys.executable).with_name("transformers"))
            command = [program, "serve", folder, "--device", "cpu", "--continuous-batching", "--port", str(port)]
            command += ["--cb-num-blocks", "80", "--cb-max-batch-tokens", "512"]  # else most of the memory is its cache
            measure("transformers", command, port, folder, options.clients, options.seconds)


if __name__ == "__main__":
    main()
