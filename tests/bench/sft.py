"""Supervised fine-tuning: what is trained, packing, data sets, and declining, on a run that has a base and a corpus.

    python tests/bench/sft.py runs/tiny --data ../shared/data --out /tmp/sft [--only methods sets abstain]

Every row is one run of the ``sft`` stage on the run's base: minutes and memory of the stage, answer loss of the base
and after, held-out answers that end by themselves, by likeliest words and sampled, and bits per byte of held-out
documents before and after.
"""

import argparse
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hftrain.artifacts import read_json, read_manifest, stage
from hftrain.config import StageConfig
from hftrain.corpus.gathering import Gathering
from hftrain.corpus.heldout import is_held_out
from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, read_rows, write_rows
from hftrain.stages.sft import AbstainSettings, SFTStageConfig, sft

TRAINING = {"num_train_epochs": 3, "learning_rate": 1e-3, "lr_scheduler_type": "cosine", "warmup_steps": 20}
ALONE = {"packing": False, "per_device_train_batch_size": 16}
PACKED = {"packing": True, "per_device_train_batch_size": 3}
"""As many conversations in a step as ``ALONE``, more or less."""
LORA = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
ADAPTED = {"learning_rate": 5e-3}
METHODS: dict[str, dict[str, Any]] = {
    "full": ALONE,
    "full, rows of like length together": ALONE | {"train_sampling_strategy": "group_by_length"},
    "full, packed": PACKED,
    "LoRA, packed": PACKED | ADAPTED | {"adapter": LORA},
    "DoRA, packed": PACKED | ADAPTED | {"adapter": LORA | {"use_dora": True}},
    "QLoRA nf4, packed": PACKED | ADAPTED | {"adapter": LORA, "quantize_base": "nf4"},
    "QLoRA int8, packed": PACKED | ADAPTED | {"adapter": LORA, "quantize_base": "int8"},
}
SETS = {
    "instructions_rasbt": 800,
    "instructions_selfinstruct_seed": 800,
    "instructions_dolly_small_CCBYSA": 800,
    "chat_taskmaster4_CCBY": 800,
    "shell_tldr_CCBY": 800,
    "math_gsm8k_train": 800,
}
"""File -> how many of its conversations."""
TRIVIA = "trivia_opentriviaqa_CCBYSA"


def main() -> None:
    """Make the rows that were asked for and print them as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="has base/ and corpus/")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=("methods", "sets", "abstain"))
    options = parser.parse_args()
    parts = options.only or ("methods", "sets", "abstain")
    head = ("", "rows", "steps", "minutes", "CPU min", "MiB", "parameters", "nats/token")
    head += ("ended", "sampled", "bits/byte")
    print(f"{head[0]:44}" + "".join(f"{name:>12}" for name in head[1:]) + "   tokens a row, padding")
    if "methods" in parts:
        for name, how in METHODS.items():
            report(name, made(options, name, options.run / "corpus", how))
    if "sets" in parts:
        for name, count in SETS.items():
            report(name, made(options, name, corpus_of(options, [name], count), PACKED))
        mixed = corpus_of(options, list(SETS), 200)
        report("all of them, mixed", made(options, "mixed", mixed, PACKED))
        report("... six epochs", made(options, "mixed six", mixed, PACKED | {"num_train_epochs": 6}))
    if "abstain" in parts:
        abstain = AbstainSettings(questions=(str(options.data / "sft" / f"{TRIVIA}.jsonl.gz"),), share=0.1)
        folder = made(options, "abstain", options.run / "corpus", PACKED | {"abstain": abstain})
        report("full, packed, declining taught", folder)
        print(*declining(read_json(folder / "summary.json")), sep="\n")


def made(options: argparse.Namespace, name: str, corpus: Path, how: dict[str, Any]) -> Path:
    """One run of the stage, made anew."""
    ours = {key: value for key, value in how.items() if key in ("packing", "adapter", "quantize_base", "abstain")}
    training = TRAINING | {key: value for key, value in how.items() if key not in ours}
    config = SFTStageConfig(seed=1, training=training, max_dropped_share=0.5, look_every_steps=100_000, **ours)
    out = options.out / "".join(letter if letter.isalnum() else "_" for letter in name)
    shutil.rmtree(out, ignore_errors=True)
    began = cpu_seconds()
    sft(config, base=options.run / "base", corpus=corpus, out=out)
    CPU[out] = cpu_seconds() - began
    return out


CPU: dict[Path, float] = {}


def cpu_seconds() -> float:
    """Of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def corpus_of(options: argparse.Namespace, names: list[str], count: int) -> Path:
    """The run's held-out documents, and the first conversations of these files, split by their first request."""
    folder: Path = options.out / f"corpus_{'_'.join(names)[:40]}_{count}"
    held = read_rows(options.run / "corpus" / "heldout").select(range(200))

    def rows(split: str) -> Iterator[Any]:
        for name in names:
            found = Gathering().conversations([str(options.data / "sft" / f"{name}.jsonl.gz")])
            for _, row in zip(range(count), found, strict=False):
                asked: Any = row["messages"]
                if is_held_out(asked[0]["content"], 0.15) == (split == "heldout"):
                    yield row

    @stage(makes="corpus", uses_torch=False)
    def corpus(config: StageConfig, *, out: Path) -> None:
        for split in ("train", "heldout"):
            write_rows(out / "conversations" / split, rows(split), CONVERSATION_FEATURES)
            write_rows(out / split, iter(held), DOCUMENT_FEATURES)

    return corpus(StageConfig(seed=0), out=folder)


def report(name: str, folder: Path) -> None:
    """Print the line of a run."""
    summary, manifest = read_json(folder / "summary.json"), read_manifest(folder)
    packing = summary.get("packing")
    waste = ""
    if packing:
        waste = f"{packing['row_tokens']}, {packing['padding_tokens'] / (packing['rows'] * packing['row_tokens']):.1%}"
    moved = [
        f"{summary[f'{stem}_before']:{form}}→{summary[f'{stem}_after']:{form}}"
        for stem, form in (("heldout_answer_nats", ".2f"), ("bits_per_byte", ".2f"))
    ]
    cells = (
        f"{summary['train_conversations']:,}",
        f"{summary['steps']:,}",
        f"{manifest['seconds'] / 60:.2f}",
        f"{CPU[folder] / 60:.2f}",
        f"{(manifest['peak_memory_bytes'] or 0) / 2**20:.0f}",
        f"{summary['trained_parameters']:,}",
        moved[0],
        f"{summary['ended_share_after']:.1%}",
        f"{summary['ended_share_sampled_after']:.1%}",
        moved[1],
    )
    print(f"{name:44}" + "".join(f"{cell:>12}" for cell in cells) + f"   {waste}", flush=True)


def declining(summary: dict[str, Any]) -> Iterator[str]:
    """What was declined, of questions that nobody taught."""
    yield f"  questions: {summary['abstain']}"
    for group, said in (("held", "the corpus answers"), ("not_held", "it does not answer")):
        for when in ("before", "after"):
            outcomes = ", ".join(
                f"{name} {summary[f'{group}_{name}_{when}']}" for name in ("right", "wrong", "declined")
            )
            yield f"  {summary[f'{group}_questions']} held-out questions that {said}, {when}: {outcomes}"
    yield f"  ordinary held-out requests declined: {summary['declined_share_after']:.1%}"


if __name__ == "__main__":
    main()
