"""Run a configuration with several seeds and print what each stage moved, as the README's table.

    python tests/bench/three_seeds.py recipes/configs/tiny.yaml --runs runs/seeds

Runs that are there already are read, not made again.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from hftrain.artifacts import read_json, read_manifest
from hftrain.lineage import artifacts_of

ROWS = (
    ("held-out bits per byte: uniform", "base", "uniform_bits_per_byte", ".2f"),
    ("… of a unigram model", "base", "unigram_bits_per_byte", ".2f"),
    ("… before pretraining", "base", "heldout_bits_per_byte_before", ".2f"),
    ("… **after pretraining**", "base", "heldout_bits_per_byte_after", ".2f"),
    ("held-out answers, nats per token: before SFT", "chat", "heldout_answer_nats_before", ".2f"),
    ("… **after SFT**", "chat", "heldout_answer_nats_after", ".2f"),
    ("answers that end by themselves: before SFT", "chat", "ended_share_before", ".0%"),
    ("… **after SFT**", "chat", "ended_share_after", ".0%"),
    ("… sampled at temperature 0.7", "chat", "ended_share_sampled_after", ".0%"),
    ("bits per byte of documents (a part): before SFT", "chat", "bits_per_byte_before", ".2f"),
    ("… after SFT, which forgets", "chat", "bits_per_byte_after", ".2f"),
    ("reward model, held-out pairs", "reward", "heldout_pairs", ",d"),
    ("… accuracy before training (chance 50%)", "reward", "heldout_accuracy_before", ".0%"),
    ("… **accuracy after**", "reward", "heldout_accuracy_after", ".0%"),
    ("… its 95% interval", "reward", "heldout_accuracy_interval", "interval%"),
    ("… accuracy of length alone", "reward", "length_baseline_accuracy", ".0%"),
    ("… accuracy of a bag of words", "reward", "bag_of_words_accuracy", ".0%"),
    ("held-out reward: before PPO", "policy", "heldout_reward_before", ".2f"),
    ("… **after PPO**", "policy", "heldout_reward_after", ".2f"),
    ("… gain, 95% interval", "policy", "heldout_reward_gain_interval", "interval"),
    ("… at a KL to the chat model of, nats", "policy", "heldout_kl", ".2f"),
    ("different word pairs in sampled answers: before PPO", "policy", "distinct_2_before", ".0%"),
    ("… **after PPO**", "policy", "distinct_2_after", ".0%"),
    ("student, a quarter of the parameters, bits per byte", "student", "heldout_bits_per_byte_after", ".2f"),
    ("… nats per token of held-out answers", "student", "heldout_answer_nats_after", ".2f"),
    ("… the same of its teacher, the policy", "student", "heldout_answer_nats_teacher", ".2f"),
    ("minutes, the whole flow", None, "minutes", ".1f"),
    ("peak memory, GiB", None, "memory", ".2f"),
)


def measured(run: Path) -> dict[str | None, dict[str, Any]]:
    """The summaries of a run's artifacts by kind, and under None what the manifests say of cost."""
    found: dict[str | None, dict[str, Any]] = {}
    for folder in artifacts_of(run):
        path = folder / "summary.json"
        found[folder.name] = read_json(path) if path.exists() else {}
    manifests = [read_manifest(folder) for folder in artifacts_of(run)]
    found[None] = {
        "minutes": sum(manifest["seconds"] for manifest in manifests) / 60,
        "memory": max(manifest["peak_memory_bytes"] or 0 for manifest in manifests) / 2**30,
    }
    return found


def shown(value: Any, form: str) -> str:
    """A value as the table has it."""
    if form.startswith("interval"):
        percent = form.endswith("%")
        return " to ".join(f"{side:.0%}" if percent else f"{side:.2f}" for side in value)
    return format(value, form)


def main() -> None:
    """Make the runs that are missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--table-only", action="store_true", help="read the runs that are there as they are")
    options = parser.parse_args()
    runs = {}
    for seed in options.seeds:
        run = options.runs / f"{options.config.stem}-{seed}"
        if options.table_only:
            runs[seed] = measured(run)
            continue
        flow = [sys.executable, "recipes/full_flow.py", "--config", options.config, "--run-dir", run]
        subprocess.run([*map(str, flow), "--set", f"seed={seed}"], check=True)
        runs[seed] = measured(run)
    print("| |", " | ".join(f"seed {seed}" for seed in runs), "| median |")
    print("|---|" + "---:|" * (len(runs) + 1))
    for name, kind, key, form in ROWS:
        values = [run[kind][key] for run in runs.values()]
        middle = "" if form.startswith("interval") else shown(median(values), form if form != ",d" else ",.0f")
        print(f"| {name} |", " | ".join(shown(value, form) for value in values), f"| {middle} |")


if __name__ == "__main__":
    main()
