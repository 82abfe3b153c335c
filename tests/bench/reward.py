"""Reward models on people's preferences: held-out accuracy beside chance, length alone and a bag of words.

    python tests/bench/reward.py --model RUN/chat --data FOLDER [--sets rasbt_polite …]
    python tests/bench/reward.py --model SMOLLM2 --data FOLDER --pairs 300 --prompt-chars 200 --adapter '{"r": 16}'

Each set goes through the recipes: people's rankings -> preferences/ -> reward/; a tenth of the prompts is held out by
their digest. A prompt longer than ``--prompt-chars`` loses its beginning here, so that its rows fit a small context;
``--pairs`` trains on the first so many and measures on all that are held out.
"""

import argparse
import gzip
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hftrain.alignment.rankings import is_heldout, read_rankings
from hftrain.artifacts import read_json, stage
from hftrain.config import StageConfig
from hftrain.stages.collect_preferences import CollectPreferencesConfig, collect_preferences
from hftrain.stages.reward_model import RewardModelConfig, reward_model

SETS = ("rasbt_polite", "hh_harmless", "finegrained_qa_human", "pandalm_human")
COLUMNS = (
    "set",
    "pairs",
    "held out (prompts)",
    "accuracy",
    "95 %",
    "length",
    "words",
    "over words, 95 %",
    "ECE",
    "T",
    "minutes",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the folder of a chat model")
    parser.add_argument("--data", type=Path, required=True, help="the folder with SET.jsonl.gz")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--prompt-chars", type=int, default=400)
    parser.add_argument("--max-row-tokens", type=int)
    parser.add_argument("--adapter", type=json.loads, default={}, help="LoraConfig as JSON")
    parser.add_argument("--training", type=json.loads, default={}, help="departures from the default, as JSON")
    parser.add_argument("--settings", type=json.loads, default={}, help="other settings of reward_model, as JSON")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        chat, corpus = _finished(given.model, Path(folder) / "chat"), _empty_corpus(Path(folder) / "corpus")
        for name in given.sets:
            rows.append(_measured(name, given, chat, corpus, Path(folder) / name))
            print("\t".join(rows[-1]), flush=True)
    widths = [max(len(row[place]) for row in [COLUMNS, *rows]) for place in range(len(COLUMNS))]
    print(f"\nThe model: {given.model}; chance is 50.0 %")
    for row in [COLUMNS, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def _measured(name: str, given: argparse.Namespace, chat: Path, corpus: Path, folder: Path) -> tuple[str, ...]:
    """One row of the table."""
    folder.mkdir()
    rankings = folder / "rankings.jsonl"
    with rankings.open("w", encoding="utf-8") as file:
        for row in _rows(given.data / f"{name}.jsonl.gz", given.prompt_chars):
            file.write(json.dumps(row) + "\n")
    if given.pairs is not None:
        _keep_first(rankings, given.pairs)
    began = time.monotonic()
    preferences = collect_preferences(
        CollectPreferencesConfig(rankings=rankings, seed=given.seed),
        chat=chat,
        corpus=corpus,
        out=folder / "preferences",
    )
    config = RewardModelConfig(
        seed=given.seed,
        training=RewardModelConfig().training | given.training,
        adapter=given.adapter,
        max_row_tokens=given.max_row_tokens,
        **{"max_dropped_share": 0.9} | given.settings,
    )
    made = read_json(reward_model(config, chat=chat, preferences=preferences, out=folder / "reward") / "summary.json")
    return _cells(name, made, (time.monotonic() - began) / 60)


def _cells(name: str, made: dict[str, Any], minutes: float) -> tuple[str, ...]:
    def share(value: float) -> str:
        return f"{100 * value:.1f}"

    def between(pair: list[float]) -> str:
        return f"{share(pair[0])} to {share(pair[1])}"

    return (
        name,
        f"{made['train_pairs']} (-{made['dropped_too_long']})",
        f"{made['heldout_pairs']} ({made['heldout_prompts']})",
        share(made["heldout_accuracy_after"]),
        between(made["heldout_accuracy_interval"]),
        share(made["length_baseline_accuracy"]),
        share(made["bag_of_words_accuracy"]),
        between(made["over_bag_of_words_interval"]),
        share(made["calibration_error"]),
        f"{made['calibration_temperature']:.2f}",
        f"{minutes:.1f}",
    )


def _rows(path: Path, prompt_chars: int) -> Iterator[dict[str, Any]]:
    """The set's pairs, the prompt its last message cut from the left where it is longer."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            prompt = row["prompt"] if isinstance(row["prompt"], list) else [{"role": "user", "content": row["prompt"]}]
            if sum(len(message["content"]) for message in prompt) > prompt_chars:
                prompt = [prompt[-1] | {"content": prompt[-1]["content"][-prompt_chars:]}]
            yield {"prompt": prompt, "chosen": row["chosen"], "rejected": row["rejected"]}


def _keep_first(rankings: Path, pairs: int) -> None:
    """Keep the first so many training pairs and every held-out one."""
    lines = rankings.read_text(encoding="utf-8").splitlines(keepends=True)
    held = [is_heldout(row) for row in read_rankings(rankings)]
    kept, left = [], pairs
    for line, is_held in zip(lines, held, strict=True):
        left -= not is_held
        if is_held or left >= 0:
            kept.append(line)
    rankings.write_text("".join(kept), encoding="utf-8")


def _finished(model: Path, out: Path) -> Path:
    """The chat model as a finished artifact, whatever folder it came from."""

    @stage(makes="chat")
    def given(config: StageConfig, *, out: Path) -> None:
        for path in model.iterdir():
            if path.suffix in (".json", ".safetensors", ".jinja") and path.name != "manifest.json":
                shutil.copyfile(path, out / path.name)

    return given(StageConfig(seed=0), out=out)


def _empty_corpus(out: Path) -> Path:
    @stage(makes="corpus", uses_torch=False)
    def nothing(config: StageConfig, *, out: Path) -> None:
        (out / "empty").touch()

    return nothing(StageConfig(seed=0), out=out)


if __name__ == "__main__":
    main()
