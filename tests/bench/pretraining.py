"""Bits per byte by wall clock, everything counted, against what a user would pick instead; paired, in one run.

    python tests/bench/pretraining.py [--minutes 10] [--seeds 3] [--search-minutes 1 4] [--longer 3] [--out DIR]
    python tests/bench/pretraining.py --by processor --minutes 20 --search-minutes 2 8
    python tests/bench/pretraining.py --size 1.3M --best 1M 2e-3 --longer 0

The same training documents, the same two cores, one contender after the other. Counted is the process from its start
to the saved model: imports, tokenizer, packing, training. Scored is each saved model, by one function, on held-out
documents that none has seen: ``kids.parquet`` and ``stories.jsonl.gz``, curated, split by hash.

hftrain   ``train_tokenizer`` and ``pretrain`` with a size, a type of model and ``max_minutes``, all else as derived.
trainer   what run_clm.py does: the same tokenizer size, blocks joined and cut, Trainer, AdamW, cosine; the best of
          three learning rates and three model sizes, which it is given beforehand and which cost it nothing: each of
          the nine runs for the first of the search's minutes, each size's best rate again for the second. ``--best``
          names what a search has found, and none is made.
nanogpt   GPT-2's architecture with the settings of nanoGPT's train_shakespeare_char.py: 6 layers of 384, dropout 0.2,
          AdamW 1e-3 with beta2 0.99, cosine to a tenth, 100 steps of warm-up, batches of 64 rows.

``--by processor`` is for a machine that has other work: every contender has one thread, two run at a time, and minutes
are those of its own processor time, so twenty of them are what two quiet cores do in ten.

trainer and nanogpt take steps until their minutes are over, and their cosine ends then: it goes by the clock, so that
neither is cut short nor given more. What is finished stays in DIR: a cut benchmark goes on where it was.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SOURCES = [DATA / "books-standardebooks" / "kids.parquet", DATA / "storybooks-en" / "stories.jsonl.gz"]
VOCABULARY = 4096
ROW_TOKENS = 256
SHAPES = {"1M": (128, 4), "2.6M": (192, 4), "4.3M": (256, 4)}
LEARNING_RATES = (1e-3, 2e-3, 4e-3)
TRAINER_ROWS = 16
NANOGPT_ROWS = 64
ONE_AT_A_TIME = threading.Lock()
ENDING_SECONDS = 2.0
"""For saving, in the plain contenders; hftrain plans its own end."""
WARMUP_SHARE = 0.05
"""Of the time: trainer's."""
WARMUP_STEPS = 100
"""nanogpt's."""
MOST_STEPS = 10**7
"""More than any has time for."""


def corpus(out: Path) -> Path:
    """The corpus of all contenders."""
    from hftrain.config import load_section
    from hftrain.stages.collect import CollectConfig, collect
    from hftrain.stages.curate import CurateConfig, curate

    sources = f"collect.text={json.dumps([str(path) for path in SOURCES])}"
    raw = collect(load_section(CollectConfig, "collect", None, [sources, "collect.conversations=[]"]), out=out / "raw")
    return curate(load_section(CurateConfig, "curate", None, []), raw=raw, out=out / "corpus")


def hftrain(folder: Path, out: Path, minutes: float, seed: int, size: str, model_type: str, tied: bool) -> None:
    """The product, as its recipes call it; what it needs to start and for its tokenizer comes off the budget."""
    from hftrain.config import load_section
    from hftrain.stages.pretrain import PretrainConfig, pretrain
    from hftrain.stages.train_tokenizer import TrainTokenizerConfig, train_tokenizer

    words = load_section(TrainTokenizerConfig, "train_tokenizer", None, [f"train_tokenizer.vocab_size={VOCABULARY}"])
    tokenizer = train_tokenizer(words, corpus=folder, out=out / "tokenizer")
    left = minutes - (time.monotonic() - BEGAN) / 60
    given = {"size": size, "max_minutes": round(left, 3), "seed": seed, "row_tokens": ROW_TOKENS}
    settings = [f"pretrain.{name}={value}" for name, value in given.items()]
    settings += [f"pretrain.model.model_type={model_type}", f"pretrain.model.tie_word_embeddings={str(tied).lower()}"]
    pretrain(
        load_section(PretrainConfig, "pretrain", None, settings), corpus=folder, tokenizer=tokenizer, out=out / "base"
    )


def plain(folder: Path, out: Path, minutes: float, seed: int, kind: str, width: int, layers: int, rate: float) -> None:
    """A Trainer recipe in a few lines, as run_clm.py or nanoGPT would have it."""
    import torch
    from datasets import Dataset
    from tokenizers import ByteLevelBPETokenizer
    from torch.optim.lr_scheduler import LambdaLR
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        PreTrainedTokenizerFast,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from hftrain.corpus.splits import texts_of

    torch.manual_seed(seed)
    texts = list(texts_of(folder, "train"))
    learned = ByteLevelBPETokenizer()
    learned.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=["<|endoftext|>"], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=learned._tokenizer, eos_token="<|endoftext|>")
    stream = [token for ids in tokenizer(texts)["input_ids"] for token in [*ids, tokenizer.eos_token_id]]
    blocks = [stream[i : i + ROW_TOKENS] for i in range(0, len(stream) - ROW_TOKENS, ROW_TOKENS)]
    rows = Dataset.from_dict({"input_ids": blocks, "labels": blocks})
    is_gpt = kind == "nanogpt"
    common = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 0}
    shape = (
        {"n_embd": width, "n_layer": layers, "n_head": 6, "n_positions": ROW_TOKENS, "resid_pdrop": 0.2,
         "embd_pdrop": 0.2, "attn_pdrop": 0.2}
        if is_gpt
        else {"hidden_size": width, "intermediate_size": width * 8 // 3, "num_hidden_layers": layers,
              "num_attention_heads": width // 64, "num_key_value_heads": width // 64,
              "max_position_embeddings": ROW_TOKENS, "tie_word_embeddings": True}
    )  # fmt: skip
    batch = NANOGPT_ROWS if is_gpt else TRAINER_ROWS
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2" if is_gpt else "llama", **common, **shape))
    args = TrainingArguments(
        output_dir=str(out / "scratch"), max_steps=MOST_STEPS, per_device_train_batch_size=batch, learning_rate=rate,
        adam_beta2=0.99 if is_gpt else 0.95, weight_decay=0.1, report_to="none", save_strategy="no", use_cpu=True,
        seed=seed, disable_tqdm=True, logging_steps=1000,
    )  # fmt: skip
    began, end = time.monotonic(), BEGAN + minutes * 60 - ENDING_SECONDS

    def share(step: int) -> float:
        """Of the highest learning rate: warm-up, then cosine, both by the time that has gone."""
        gone = min(1.0, (time.monotonic() - began) / (end - began))
        warmup = step / WARMUP_STEPS if is_gpt else gone / WARMUP_SHARE
        cosine = 0.5 + 0.5 * math.cos(math.pi * gone)
        return min(1.0, warmup, 0.1 + 0.9 * cosine if is_gpt else cosine)

    class Clocked(Trainer):
        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, share)
            return self.lr_scheduler

    class Ending(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = time.monotonic() >= end

    trainer = Clocked(model, args, train_dataset=rows, callbacks=[Ending()])
    trainer.train()
    trainer.save_model(str(out / "base"))
    tokenizer.save_pretrained(out / "base")
    print(f"{trainer.state.global_step} steps, {trainer.state.epoch:.2f} passes")


def processor_seconds() -> float:
    """Processor time of this process and of those it has waited for."""
    return sum(os.times()[:4])


def run_and_count(command: list[str], log: Path, by: str) -> float:
    """Seconds of a process: by the clock with every core, or its own and one core's."""
    began = time.monotonic()
    with log.open("w") as file:
        alone = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"} if by == "processor" else {}
        process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **alone})
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{log}: {log.read_text()[-2000:]}")
    return used.ru_utime + used.ru_stime if by == "processor" else time.monotonic() - began


def contender(name: str, minutes: float, place: str, seed: int, how: argparse.Namespace, **given: Any) -> float:
    """Run one in a process of its own, count its seconds, score what it saved, in bits per byte; once."""
    out = how.out / place
    result = out.with_suffix(".json")
    if result.is_file():
        return json.loads(result.read_text())["bits_per_byte"]
    out.mkdir(parents=True, exist_ok=True)
    settings = {"name": name, "corpus": str(how.out / "corpus"), "out": str(out), "minutes": minutes, "seed": seed}
    command = [sys.executable, __file__, "--by", how.by, "--run", json.dumps({**settings, **given})]
    seconds = run_and_count(command, out.with_suffix(".log"), how.by)
    with ONE_AT_A_TIME:
        bits, parameters = scored(how.out / "corpus", out / "base")
    result.write_text(json.dumps({"bits_per_byte": bits, "seconds": seconds, "parameters": parameters}))
    said = f"{bits:.4f} bits per byte, {parameters:,} parameters"
    took = f"{seconds / 60:5.2f} of {minutes:.1f} minutes"
    print(f"{name:9} {took}, seed {seed}: {said} {given or ''}", flush=True)
    return bits


def scored(folder: Path, base: Path) -> tuple[float, int]:
    """Bits per byte of a saved model on the held-out documents, by its own tokenizer, and its parameters."""
    from transformers import AutoTokenizer

    from hftrain.corpus.splits import texts_of
    from hftrain.models.loading import load_causal_lm, parameter_count
    from hftrain.models.scoring import score_texts

    model, tokenizer = load_causal_lm(base), AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token  # pads what is masked when it is scored
    score = score_texts(model, tokenizer, list(texts_of(folder, "heldout")), row_tokens=ROW_TOKENS)
    return score.bits_per_byte, parameter_count(model)


def best_plain(how: argparse.Namespace, lanes: ThreadPoolExecutor) -> dict[str, Any]:
    """The settings of the plain recipe that score best: of nine for the rate of each size, of three for the size."""
    if how.best:
        return plain_settings(how.best[0], float(how.best[1]))

    def tried(turn: int, choices: list[tuple[str, float]]) -> dict[tuple[str, float], float]:
        def score(choice: tuple[str, float]) -> float:
            place = f"search-{turn}-{choice[0].replace('.', '_')}-{choice[1] * 1000:g}e-3"
            return contender("trainer", how.search_minutes[turn], place, 0, how, **plain_settings(*choice))

        return dict(zip(choices, lanes.map(score, choices), strict=True))

    first = tried(0, [(name, rate) for name in SHAPES for rate in LEARNING_RATES])
    rates = {name: min(LEARNING_RATES, key=lambda rate: first[name, rate]) for name in SHAPES}
    second = tried(1, list(rates.items()))
    return plain_settings(*min(second, key=lambda choice: second[choice]))


def plain_settings(size: str, rate: float) -> dict[str, Any]:
    """One of the plain recipe's shapes at a learning rate."""
    width, layers = SHAPES[size]
    return {"width": width, "layers": layers, "rate": rate}


def main(how: argparse.Namespace) -> None:
    """Search, then the seeds, each contender in turn; then the plain recipe with more time."""
    corpus(how.out)
    minutes, more = how.minutes, how.longer * how.minutes
    with ThreadPoolExecutor(2 if how.by == "processor" else 1) as lanes:
        best = best_plain(how, lanes)
        settings: dict[str, dict[str, Any]] = {
            "hftrain": {"size": how.size, "model_type": how.model_type, "tied": how.tied},
            "trainer": best,
            "nanogpt": {"width": 384, "layers": 6, "rate": 1e-3},
        }
        waiting = {
            (name, seed): lanes.submit(contender, name, minutes, f"{name}-{seed}", seed, how, **given)
            for seed in range(1, how.seeds + 1)
            for name, given in settings.items()
        }
        longer = lanes.submit(contender, "trainer", more, "trainer-longer", 1, how, **best) if how.longer else None
        scores = {key: each.result() for key, each in waiting.items()}
    for name in ("trainer", "nanogpt"):
        less = [1 - scores["hftrain", seed] / scores[name, seed] for seed in range(1, how.seeds + 1)]
        print(f"hftrain below {name}: {', '.join(f'{share:.1%}' for share in less)}; mean {mean(less):.1%}")
    if longer:
        ours = mean(scores["hftrain", seed] for seed in range(1, how.seeds + 1))
        print(f"hftrain after {minutes:g} minutes: {ours:.4f}; trainer after {more:g}: {longer.result():.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--search-minutes", type=float, nargs=2, default=[1, 4])
    parser.add_argument("--best", nargs=2, metavar=("SIZE", "RATE"), help=f"of {', '.join(SHAPES)}: no search is made")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--longer", type=float, default=3, help="the plain recipe once with so many times the minutes")
    parser.add_argument("--size", default="mini")
    parser.add_argument("--model-type", default="lfm2", help="hftrain's; the plain recipe has a llama")
    parser.add_argument("--untied", dest="tied", action="store_false", help="hftrain's output has a table of its own")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-pretraining"))
    parser.add_argument("--by", choices=("clock", "processor"), default="clock")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.by == "processor" and chosen.run:
        time.monotonic = processor_seconds  # what plans by the clock plans by this one
    BEGAN = time.monotonic()
    if chosen.run:
        asked = json.loads(chosen.run)
        name, folder, out = asked.pop("name"), Path(asked.pop("corpus")), Path(asked.pop("out"))
        if name == "hftrain":
            hftrain(folder, out, **asked)
        else:
            plain(folder, out, kind=name, **asked)
    else:
        main(chosen)
