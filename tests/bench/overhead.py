"""What the recipe costs over a bare loop with the same model, optimizer and rows, and whether memory grows meanwhile.

``python tests/bench/overhead.py [--steps 60] [--pairs 3]`` trains the demo's model in turn by a loop of a few lines and
by Trainer as ``pretrain`` runs it (callbacks, logging, checkpoints as by default), and prints the median of each pair's
ratio of seconds a step; then the resident memory over the recipe's run. A few minutes on two cores.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROWS, ROW_TOKENS, VOCABULARY = 16, 256, 4096
WIDTH, DEPTH = 128, 4
FIRST = 5
"""Steps that are not counted: the first ones fill caches."""


def model_and_args(folder: Path, steps: int) -> tuple[Any, Any]:
    """The demo's shape, from one seed, and the arguments of both ways."""
    from transformers import AutoModelForCausalLM, LlamaConfig, TrainingArguments

    from hftrain.models.training_step import lighten
    from hftrain.runtime import seed_everything
    from hftrain.training.arguments import training_arguments

    seed_everything(0)
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(
            hidden_size=WIDTH, intermediate_size=3 * WIDTH, num_hidden_layers=DEPTH, num_attention_heads=WIDTH // 64,
            num_key_value_heads=WIDTH // 64, head_dim=64, vocab_size=VOCABULARY, tie_word_embeddings=True,
            max_position_embeddings=ROW_TOKENS,
        )
    )  # fmt: skip
    lighten(model)
    given = {"max_steps": steps, "per_device_train_batch_size": ROWS, "lr_scheduler_type": "constant"}
    return model, training_arguments(TrainingArguments, given, folder, seed=0, section="overhead")


def bare(rows: Any, steps: int, folder: Path) -> float:
    """Seconds a step of a loop that does what must be done and nothing else."""
    import torch

    from hftrain.training.optimizers import muon_for

    model, args = model_and_args(folder, steps)
    factory, settings = muon_for(args, matrix_learning_rate=0.01, momentum=0.95)
    optimizer = factory()(model, **settings)
    model.train()
    ids = torch.tensor(rows["input_ids"][: steps * ROWS]).view(steps, ROWS, ROW_TOKENS)
    seconds = []
    for batch in ids:
        began = time.monotonic()
        model(input_ids=batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.monotonic() - began)
    return sum(seconds[FIRST:]) / len(seconds[FIRST:])


def recipe(rows: Any, steps: int, folder: Path) -> tuple[float, list[int]]:
    """Seconds a step from the first counted to the last, and resident bytes at each tenth of the way."""
    import psutil
    from transformers import Trainer, TrainerCallback

    from hftrain.training.loop import run_trainer
    from hftrain.training.optimizers import muon_for
    from hftrain.training.rows import collate_rows

    model, args = model_and_args(folder, steps)
    marks: list[float] = []
    resident: list[int] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            marks.append(time.monotonic())
            if state.global_step % max(1, steps // 10) == 0:
                resident.append(psutil.Process().memory_info().rss)

    muon = muon_for(args, matrix_learning_rate=0.01, momentum=0.95)
    trainer = Trainer(
        model, args, train_dataset=rows, data_collator=collate_rows, callbacks=[Clock()], optimizer_cls_and_kwargs=muon
    )
    run_trainer(trainer, folder, description="overhead")
    return (marks[-1] - marks[FIRST - 1]) / (len(marks) - FIRST), resident


def main(steps: int, pairs: int) -> None:
    """The two ways in turn."""
    import torch
    from datasets import Dataset

    torch.manual_seed(0)
    rows = Dataset.from_dict({"input_ids": torch.randint(0, VOCABULARY, (steps * ROWS, ROW_TOKENS)).tolist()})
    ratios = []
    for number in range(pairs):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            plain = bare(rows, steps, Path(one))
            ours, resident = recipe(rows, steps, Path(other))
        ratios.append(ours / plain)
        took = f"bare loop {plain * 1e3:.0f} ms a step, recipe {ours * 1e3:.0f}: {ours / plain - 1:+.1%}"
        print(f"pair {number + 1}: {took}")
        print("    resident MiB by tenths: " + " ".join(f"{size / 2**20:,.0f}" for size in resident), flush=True)
    print(f"median overhead {median(ratios) - 1:+.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=3)
    chosen = parser.parse_args()
    main(chosen.steps, chosen.pairs)
