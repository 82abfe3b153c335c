"""How fast the whole of curation is, and how its time and memory grow.

Asked for: the published rule sets, language, toxicity, personal data, overlap with two benchmarks, near-duplicates.

    python tests/bench/curation.py [MEGABYTES ...]        default: 5 50

Text: books, technical English and documentation of ../shared/data; beyond what there is, the same documents again with
every 5th word replaced by a random one of the corpus (seeded), so that no run of five words is the same.
Each size is a process of its own. Memory is the most that it and its workers held together, looked at twice a second.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from hftrain.artifacts import stage
from hftrain.config import StageConfig
from hftrain.corpus.records import document_id
from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, write_rows
from hftrain.stages.curate import CurateConfig, curate

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SETTINGS = {
    "rules": ["gopher_quality", "gopher_repetition", "c4", "fineweb"],
    "languages": {"keep": ["en"]},
    "overlap": {"against": [str(DATA / "eval-core" / "gsm8k.jsonl.gz"), str(DATA / "eval-code")]},
}
LOOK_EVERY_SECONDS = 0.5
REPLACED_ONE_IN = 5


def documents() -> Iterator[str]:
    """Texts without end: first those that there are, then the same with other words in them."""
    texts = []
    for path in sorted((DATA / "books-standardebooks").glob("*.parquet")) + [DATA / "peps" / "peps.parquet"]:
        texts += pq.read_table(path, columns=["text"])["text"].to_pylist()
    random.Random(1).shuffle(texts)
    yield from texts
    words = [word for text in texts[:200] for word in text.split(" ")]
    turn = 1
    while True:
        drawn = random.Random(turn)
        for text in texts:
            pieces = text.split(" ")
            for place in range(drawn.randrange(REPLACED_ONE_IN), len(pieces), REPLACED_ONE_IN):
                pieces[place] = words[drawn.randrange(len(words))]
            yield " ".join(pieces)
        turn += 1


@stage(makes="raw")
def make_raw(config: StageConfig, *, out: Path) -> None:
    """So many megabytes (``seed`` says how many) of documents, and no conversations."""

    def rows() -> Iterator[dict[str, str]]:
        left = (config.seed or 0) * 1_000_000
        for text in documents():
            yield {"id": document_id(text), "text": text, "source": "bench", "license": "CC0-1.0", "meta": "{}"}
            left -= len(text.encode())
            if left <= 0:
                return

    write_rows(out / "documents", rows(), DOCUMENT_FEATURES)
    write_rows(out / "conversations", [], CONVERSATION_FEATURES)


def measured(megabytes: int, folder: Path) -> dict[str, float]:
    """Curate so much text in a process of its own."""
    raw = make_raw(StageConfig(seed=megabytes), out=folder / f"raw-{megabytes}" / "raw")
    command = [sys.executable, __file__, "--curate", str(raw), str(folder / f"raw-{megabytes}" / "corpus")]
    began = time.monotonic()
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        try:
            everyone = [process, *process.children(recursive=True)]
            peak = max(peak, sum(each.memory_info().rss for each in everyone))
        except psutil.NoSuchProcess:
            pass
        time.sleep(LOOK_EVERY_SECONDS)
    said = json.loads(process.stdout.read().strip().splitlines()[-1])
    return {**said, "wall_seconds": time.monotonic() - began, "peak_gib": peak / 2**30}


def work(raw: Path, out: Path) -> None:
    """One curation; says what it took."""
    config = load(CurateConfig)
    began, cpu_began = time.monotonic(), time.process_time()
    curate(config, raw=raw, out=out)
    seconds = time.monotonic() - began
    summary = json.loads((out / "summary.json").read_text())
    print(json.dumps({"seconds": seconds, "parent_cpu_seconds": time.process_time() - cpu_began, **summary}))


def load(kind: type[CurateConfig]) -> CurateConfig:
    """The settings above."""
    from hftrain.config import load_section

    overrides = [f"curate.{key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    return load_section(kind, "curate", None, overrides)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--curate"]:
        work(Path(sys.argv[2]), Path(sys.argv[3]))
        sys.exit(0)
    with tempfile.TemporaryDirectory() as scratch:
        print("   MB   documents   kept   seconds   MB/s   peak GiB")
        for size in [int(word) for word in sys.argv[1:]] or [5, 50]:
            found = measured(size, Path(scratch))
            rate = found["bytes_in"] / 1e6 / found["seconds"]
            print(
                f"{size:5} {found['documents_in']:11,} {found['documents_kept']:6,} {found['seconds']:9.1f} "
                f"{rate:6.1f} {found['peak_gib']:10.2f}",
                flush=True,
            )
