"""Every export format of a model: bytes, bits per byte, greedy answers, tokens/s and memory of one stream.

    python tests/bench/formats.py MODEL … [--corpus CORPUS] [--formats NAME,NAME] [--text-bytes 2000] [--out FOLDER]
    python tests/bench/formats.py --random 60M [--formats safetensors,gguf-q4_0]
    python tests/bench/formats.py MODEL --texts 10000

MODEL is the folder of a model with its tokenizer, such as runs/tiny/policy; CORPUS that of a run, for held-out text.
Speeds are the median of --repeats runs, each in a process of its own, by the clock and by the processors' time, which
a busy machine changes less; x is the speed divided by fp32 transformers'. What stands in --out is not written again.
Of random weights speed, size and memory mean something, quality does not: it is left out. --texts compares the token
ids of the model's tokenizer with those of llama.cpp on so many hard texts, and on the corpus's held-out documents.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from hftrain.corpus.storage import read_rows
from hftrain.errors import HftrainError
from hftrain.export.exporters import exporter_for, judge
from hftrain.export.formats import FORMATS, package_version
from hftrain.export.hard_texts import hard_texts
from hftrain.export.measurement import bytes_below, measure_in_transformers
from hftrain.export.one_stream import Job, measure_stream
from hftrain.export.samples import draw_sample
from hftrain.models.loading import load_causal_lm, new_causal_lm, parameter_count, save_model
from hftrain.models.sizes import derive
from hftrain.tokens.chat import encode_prompt, encode_text, load_tokenizer
from hftrain.tokens.vocabulary import learn_vocabulary

PROMPT = [{"role": "user", "content": "What is a dictionary, and what is it good for?"}]
HEAD = ("format", "MB", "of fp32", "bits/byte", "against", "same token", "same answer", "nats",
        "tokens/s", "x", "per cpu s", "x", "MiB")  # fmt: skip
WIDTHS = (18, 8, 8, 10, 9, 11, 12, 8, 9, 7, 10, 7, 7)


def row(*cells: object) -> None:
    """One line of the table."""
    print("".join(f"{cell:<{width}}" if not at else f"{cell:>{width}}" for at, (cell, width) in
                  enumerate(zip(cells, WIDTHS, strict=True))), flush=True)  # fmt: skip


def quality(name: str, model, tokenizer, source: Path, folder: Path, sample, full) -> tuple[str, ...]:
    """What a format loses: written where it is not there yet, loaded, checked and measured."""
    exporter = exporter_for(name)
    exporter.check(model, tokenizer, source)
    if not (folder / exporter.weights).is_file():
        exporter.write(model, tokenizer, source, folder)
    if sample is None:
        return ("",) * 5
    found = judge(name, folder, full, exporter.measure(model, tokenizer, folder, sample))
    return (f"{found['bits_per_byte']:.4f}", f"{found['ratio']:.5f}", f"{found['greedy_agreement']:.1%}",
            f"{found['equal_answers']:.1%}", f"{found['off_by_nats']:.4f}")  # fmt: skip


def compare(source: Path, names: list[str], given: argparse.Namespace, out: Path) -> None:
    """The table of one model."""
    model, tokenizer = load_causal_lm(source), load_tokenizer(source)
    print(f"\n{source}: {parameter_count(model):,} parameters, {len(tokenizer):,} tokens; "
          f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    sample = full = None
    if given.corpus:
        sample = draw_sample(given.corpus, model, tokenizer, text_bytes=given.text_bytes, prompt_count=given.prompts,
                             answer_tokens=given.answer_tokens, seed=1)  # fmt: skip
        full = measure_in_transformers(model, tokenizer, sample)
    ids = tuple(encode_prompt(tokenizer, PROMPT))
    row(*HEAD)
    base, base_bytes = (0.0, 0.0), bytes_below(source, "model.safetensors")
    for name in names:
        folder = out / source.name / name
        try:
            lost = quality(name, model, tokenizer, source, folder, sample, full)
        except HftrainError as problem:
            print(f"{name:18}refused: {problem}", flush=True)
            continue
        job = Job(name, folder, source, ids, given.new_tokens, torch.get_num_threads())
        runs = [measure_stream(job) for _ in range(given.repeats)]
        speed = tuple(statistics.median(each) for each in zip(*(
            (one.tokens_per_second, one.tokens_per_processor_second) for one in runs), strict=True))  # fmt: skip
        base = base if base[0] else speed
        size = bytes_below(folder, exporter_for(name).weights)
        row(name, f"{size / 1e6:.2f}", f"{size / base_bytes:.3f}", *lost, f"{speed[0]:.1f}",
            f"{speed[0] / base[0]:.2f}", f"{speed[1]:.1f}", f"{speed[1] / base[1]:.2f}",
            f"{statistics.median(each.peak_memory_bytes or 0 for each in runs) / 2**20:.0f}")  # fmt: skip


def random_model(size: str, out: Path) -> Path:
    """A Llama of this size with random weights, and a tokenizer of hard texts with spare rows in the table."""
    tokenizer = learn_vocabulary(hard_texts(600, seed=0), vocab_size=2048)
    shape = derive(size, vocab_size=16_384)
    torch.manual_seed(0)
    model = new_causal_lm({**shape.model, "vocab_size": 16_384}, tokenizer, context_tokens=shape.row_tokens)
    save_model(model, tokenizer, out / f"random-{size}")
    return out / f"random-{size}"


def compare_tokens(source: Path, count: int, corpus: Path | None, out: Path) -> None:
    """How many texts llama.cpp splits otherwise than the model's tokenizer."""
    from hftrain.export.gguf_model import FILE
    from hftrain.export.llama_cpp import LlamaCpp

    tokenizer, folder = load_tokenizer(source), out / "gguf-q8_0"
    exporter_for("gguf-q8_0").write(load_causal_lm(source), tokenizer, source, folder)
    llama = LlamaCpp(folder / FILE)
    heldout = [each["text"] for each in read_rows(corpus / "heldout")] if corpus else []
    texts, began = [*heldout, *hard_texts(max(0, count - len(heldout)), seed=1)][:count], time.monotonic()
    plain = sum(llama.tokens(text) != encode_text(tokenizer, text) for text in texts)
    marked = sum(
        llama.tokens(text, special=True) != tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts
    )
    print(f"{source}: {len(texts):,} texts ({min(len(heldout), count):,} held out), {plain} split otherwise by "
          f"llama.cpp as text, {marked} with marks read; {time.monotonic() - began:.0f} s")  # fmt: skip


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="*")
    parser.add_argument("--random", help="a size such as 60M: a model of random weights")
    parser.add_argument("--corpus", type=Path, help="a run's corpus; without it quality is not measured")
    parser.add_argument("--formats", help="names, by commas (default: all that are installed)")
    parser.add_argument("--text-bytes", type=int, default=2000)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--answer-tokens", type=int, default=32)
    parser.add_argument("--new-tokens", type=int, default=64, help="of the answer that is timed")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--texts", type=int, help="compare tokenizers on so many texts, and nothing else")
    parser.add_argument("--out", type=Path, help="where formats are written and kept (default: nowhere)")
    given = parser.parse_args()
    here = [name for name, each in FORMATS.items() if all(map(package_version, each.packages)) and name != "lora"]
    names = given.formats.split(",") if given.formats else here
    names = ["safetensors", *(name for name in names if name != "safetensors")]
    with tempfile.TemporaryDirectory() as scratch:
        out = given.out or Path(scratch)
        for source in given.model:
            if given.texts:
                compare_tokens(source, given.texts, given.corpus, out)
            else:
                compare(source, names, given, out)
        if given.random:
            given.corpus = None
            compare(random_model(given.random, out), names, given, out)


if __name__ == "__main__":
    main()
