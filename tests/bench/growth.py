"""What grows with the work: tokens/s, MFU and memory at three sizes and three contexts, the same tokens a step.

``python tests/bench/growth.py growth.png`` prints a table and draws it; a few minutes on two cores. Each cell is a
process of its own, so that memory is its own: a few steps as ``pretrain`` takes them, with Muon.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = {"1M": (128, 3), "4M": (256, 4), "16M": (512, 5)}
"""Width and depth; a vocabulary of 4,096, tied."""
CONTEXTS = (128, 512, 1024)
STEP_TOKENS = 2048
STEPS = 6


def measure(width: int, depth: int, context: int, folder: Path) -> dict[str, float]:
    """Train a few steps on random rows; what the run recorded of itself."""
    from datasets import Dataset
    from torch import randint
    from transformers import AutoModelForCausalLM, LlamaConfig, Trainer, TrainingArguments

    from hftrain.artifacts import read_json
    from hftrain.models.training_step import lighten
    from hftrain.runtime import forget_peak_memory, peak_memory_bytes, seed_everything
    from hftrain.training.arguments import training_arguments
    from hftrain.training.loop import run_trainer
    from hftrain.training.optimizers import muon_for
    from hftrain.training.rows import collate_rows

    seed_everything(0)
    config = LlamaConfig(
        hidden_size=width, intermediate_size=3 * width, num_hidden_layers=depth, num_attention_heads=width // 64,
        num_key_value_heads=width // 64, head_dim=64, vocab_size=4096, tie_word_embeddings=True,
        max_position_embeddings=context,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    lighten(model)
    batch = STEP_TOKENS // context
    given = {"max_steps": STEPS, "per_device_train_batch_size": batch, "logging_steps": 2, "save_strategy": "no"}
    args = training_arguments(TrainingArguments, given, folder, seed=0, section="growth")
    rows = Dataset.from_dict({"input_ids": randint(0, 4096, (STEPS * batch, context)).tolist()})
    before = forget_peak_memory() or peak_memory_bytes() or 0
    muon = muon_for(args, matrix_learning_rate=0.01, momentum=0.95)
    trainer = Trainer(model, args, train_dataset=rows, data_collator=collate_rows, optimizer_cls_and_kwargs=muon)
    run_trainer(trainer, folder, description="growth")
    found = read_json(folder / "measured.json")
    peak = peak_memory_bytes() or 0
    return {"parameters": model.num_parameters(), "bytes": peak, "over_start": peak - before, **found}


def draw(found: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    """Three panels over the context, a line a size."""
    from matplotlib import pyplot

    panels = {"tokens_per_second": ("tokens/s", 1), "mfu": ("MFU, %", 100), "bytes": ("peak memory, MiB", 2**-20)}
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for axis, (name, (title, scale)) in zip(axes, panels.items(), strict=True):
        for size, by_context in found.items():
            axis.plot(list(by_context), [row[name] * scale for row in by_context.values()], marker="o", label=size)
        axis.set(
            title=title, xlabel="context, tokens", xscale="log", xticks=CONTEXTS, xticklabels=CONTEXTS, ylim=(0, None)
        )
        axis.minorticks_off()
    axes[0].legend(title="parameters")
    figure.savefig(path, dpi=120)


def main(path: Path) -> None:
    """Every cell in a process, a row of the table each."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    print(f"{'size':>6}{'parameters':>12}{'context':>9}{'tokens/s':>10}{'MFU':>7}{'peak MiB':>10}{'more MiB':>10}")
    for size, (width, depth) in SIZES.items():
        for context in CONTEXTS:
            with tempfile.TemporaryDirectory() as folder:
                words = [sys.executable, __file__, "--cell", str(width), str(depth), str(context), folder]
                done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
            row = json.loads(done.stdout.splitlines()[-1])
            found.setdefault(size, {})[context] = row
            numbers = f"{row['tokens_per_second']:>10,.0f}{row['mfu']:>7.1%}{row['bytes'] / 2**20:>10,.0f}"
            print(
                f"{size:>6}{row['parameters']:>12,}{context:>9}{numbers}{row['over_start'] / 2**20:>10,.0f}", flush=True
            )
    draw(found, path)
    print(f"drawn in {path}")


if __name__ == "__main__":
    if sys.argv[1] == "--cell":
        print(json.dumps(measure(*map(int, sys.argv[2:5]), Path(sys.argv[5]))))
    else:
        main(Path(sys.argv[1]))
