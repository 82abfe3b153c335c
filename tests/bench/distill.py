"""A student with its teacher beside the same student alone: same rows, same time, everything counted.

    python tests/bench/distill.py runs/tiny-1 runs/tiny-2 runs/tiny-3 --minutes 1

Four students of each run: alone; with the teacher's weights to begin with; with its logits on answers; with both, which
is the default. They are trained one after the other, in another order for each run; the corpus is encoded before,
as pretraining has done in a run. What they know is measured afterwards, on held-out documents and answers.
On a machine that others use too, ``--clock processor`` (with OMP_NUM_THREADS=1) gives each student the same seconds of
a core, whoever has the rest: the same as time on a machine of one core that does nothing else.
"""

import argparse
import math
import os
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import hftrain.alignment.distillation_parts  # noqa: F401  (imports cost seconds: none of them falls on the first student)
from hftrain.artifacts import read_json
from hftrain.corpus.splits import conversations_of, take_bytes, texts_of
from hftrain.models.generation import answer_prompts
from hftrain.models.loading import load_causal_lm
from hftrain.models.scoring import score_answers, score_texts
from hftrain.stages import distill as stage
from hftrain.stages.distill import DistillConfig, TargetSettings, distill
from hftrain.tokens.chat import load_tokenizer, prompt_of, that_fit
from hftrain.tokens.encoded_corpus import encoded_corpus
from hftrain.training import distillation, time_budget

ARMS = {
    "alone": (False, 0.0),
    "weights": (True, 0.0),
    "logits": (False, 0.5),
    "both": (True, 0.5),
}
NUMBERS = ("bits per byte", "answer nats", "ended")
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Student's t for 95%, by the number of runs."""


def main() -> None:
    options = _options()
    clock = time.process_time if options.clock == "processor" else time.monotonic
    for module in (stage, distillation, time_budget):
        vars(module)["time"] = SimpleNamespace(monotonic=clock)
    found: dict[str, list[list[float]]] = {name: [] for name in [*options.arms, "teacher"]}
    for place, run in enumerate(options.runs):
        names = options.arms[place % len(options.arms) :] + options.arms[: place % len(options.arms)]
        teacher = run / options.teacher
        found["teacher"].append(measured(teacher, run))
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(folder) / "cache"
            encoded_corpus(
                run / "corpus", load_tokenizer(run / "tokenizer"), cache / "new", cache=cache, shuffled_by=0,
                token_limit=None,
            )  # fmt: skip
            for name in names:
                began = clock()
                made = train(name, run, teacher, options.minutes, Path(folder) / name, seed=place + 1)
                seconds, steps = clock() - began, read_json(made / "summary.json")["steps"]
                found[name].append(measured(made, run))
                shown = "  ".join(f"{each} {value:.4f}" for each, value in zip(NUMBERS, found[name][-1], strict=True))
                load = os.getloadavg()[0]
                print(f"{run.name:8} {name:8} {steps:5} steps {seconds:4.0f} s  {shown}  load {load:.1f}", flush=True)
    _table(found, options.runs)


def train(name: str, run: Path, teacher: Path, minutes: float, out: Path, *, seed: int) -> Path:
    """One student; what is measured within the stage is kept small, and is the same for all."""
    starts, alpha = ARMS[name]
    config = DistillConfig(
        seed=seed,
        teacher=None if teacher.name == "policy" else str(teacher),
        start_from_teacher=starts,
        target=TargetSettings(alpha=alpha),
        max_minutes=minutes,
        heldout_bytes=10_000,
        heldout_conversations=16,
        look_every_steps=1_000_000,
    )
    return distill(config, policy=run / "policy", tokenizer=run / "tokenizer", corpus=run / "corpus", out=out)


def measured(folder: Path, run: Path) -> list[float]:
    """Bits per byte on 200,000 bytes of held-out documents; nats a token, and ends, of held-out answers."""
    model, tokenizer = load_causal_lm(folder), load_tokenizer(folder)
    texts = take_bytes(texts_of(run / "corpus", "heldout"), 200_000)
    talks = that_fit(tokenizer, conversations_of(run / "corpus", "heldout"), max_tokens=208)
    prompts = [prompt_of(talk) for talk in talks]
    answers = answer_prompts(model, tokenizer, prompts, new_tokens=48, temperature=0, seed=0)
    return [
        score_texts(model, tokenizer, texts, row_tokens=256).bits_per_byte,
        score_answers(model, tokenizer, talks).nats_per_token,
        sum(made[0].ended for made in answers) / len(answers),
    ]


def _table(found: dict[str, list[list[float]]], runs: list[Path]) -> None:
    print("\nmeans, and the difference from alone with its 95% interval over the runs (paired)")
    for name, rows in found.items():
        line = f"{name:8}"
        for place, number in enumerate(NUMBERS):
            values = [row[place] for row in rows]
            line += f"  {number} {statistics.mean(values):.4f}"
            alone = [row[place] for row in found.get("alone", rows)]
            gaps = [value - other for value, other in zip(values, alone, strict=True)]
            if name not in ("alone", "teacher") and "alone" in found and len(runs) in T_95:
                half = T_95[len(runs)] * statistics.stdev(gaps) / math.sqrt(len(runs))
                line += f" ({statistics.mean(gaps):+.4f} ± {half:.4f})"
        print(line)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="finished runs")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each student")
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--teacher", default="policy", help="the artifact of each run that teaches")
    return parser.parse_args()


if __name__ == "__main__":
    main()
