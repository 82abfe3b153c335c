"""Declining what was never read: made-up facts of which a model reads half, and questions about all of them.

    python tests/bench/abstaining.py runs/tiny --out /tmp/abstaining

The run's base goes on with short documents that say the capital of one made-up country each, in several ways. It is
then tuned on the run's conversations: once with questions about countries that it read, once with as many about
countries that it did not, which are declined. Both are asked about countries that neither tuning named.
"""

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hftrain.artifacts import read_json, stage
from hftrain.config import StageConfig
from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, read_rows, write_rows
from hftrain.models.loading import load_causal_lm
from hftrain.stages.pretrain import PretrainConfig, pretrain
from hftrain.stages.sft import AbstainSettings, SFTStageConfig, sft
from hftrain.tokens.chat import load_tokenizer
from hftrain.training.abstaining import Question, SortedQuestions, outcomes

PLACES, CITIES = 500, 20
WAYS = (
    "The capital of {place} is {city}.",
    "{city} is the capital of {place}.",
    "The country {place} has the capital {city}.",
    "In {place} the capital is called {city}.",
    "The government of {place} sits in {city}, the capital.",
    "Question: What is the capital of {place}? Answer: {city}.",
)
ANSWER = "I don't know."
TRAINING = {
    "num_train_epochs": 8, "per_device_train_batch_size": 4, "learning_rate": 1e-3, "lr_scheduler_type": "cosine",
    "warmup_steps": 20,
}  # fmt: skip


def names(count: int, seed: int) -> list[str]:
    """Words that nobody uses, all different."""
    draw, found = random.Random(seed), dict[str, None]()
    while len(found) < count:
        parts = (draw.choice("BDFGKLMNPRSTVZ") + draw.choice("aeiou") for _ in range(3))
        found["".join(parts).capitalize()] = None
    return list(found)


def questions() -> tuple[list[Question], list[Question]]:
    """About places that are read of, and about places that are not."""
    places = names(PLACES + CITIES, 0)
    cities, draw = places[PLACES:], random.Random(1)
    asked = [Question(f"What is the capital of {place}?", draw.choice(cities)) for place in places[:PLACES]]
    return asked[: PLACES // 2], asked[PLACES // 2 :]


def place_of(question: Question) -> str:
    """What it asks about."""
    return question.text.removesuffix("?").rpartition(" ")[2]


def corpus_of(run: Path, folder: Path, more: list[Question]) -> Path:
    """The facts as documents, and the run's conversations with more of them."""
    common = {"source": "facts", "license": "CC0-1.0", "meta": "{}"}
    facts = [
        {"id": f"{place_of(each)}{number}", "text": way.format(place=place_of(each), city=each.answer), **common}
        for each in questions()[0]
        for number, way in enumerate(WAYS)
    ]
    random.Random(2).shuffle(facts)
    taught = [{"id": each.text, "messages": each.taught(each.answer), **common} for each in more]

    @stage(makes="corpus", uses_torch=False)
    def corpus(config: StageConfig, *, out: Path) -> None:
        write_rows(out / "train", facts, DOCUMENT_FEATURES)
        write_rows(out / "heldout", read_rows(run / "corpus" / "heldout").select(range(50)), DOCUMENT_FEATURES)
        for split in ("train", "heldout"):
            talks = list(read_rows(run / "corpus" / "conversations" / split))
            write_rows(
                out / "conversations" / split, talks + (taught if split == "train" else []), CONVERSATION_FEATURES
            )

    return corpus(StageConfig(seed=0), out=folder)


def lines(model: Path, asked: SortedQuestions) -> Iterator[str]:
    """What became of the questions."""
    found = outcomes(load_causal_lm(model), load_tokenizer(model), asked, answer=ANSWER, new_tokens=24)
    for group, said in (("held", "read of"), ("not_held", "never read of")):
        parts = ", ".join(f"{name} {found[f'{group}_{name}']}" for name in ("right", "wrong", "declined"))
        yield f"  {found[f'{group}_questions']} countries {said}: {parts}"


def main() -> None:
    """Read, tune twice, ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="has base/ and corpus/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400, help="of reading the facts")
    parser.add_argument("--share", type=float, default=0.15)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    held, others = questions()
    taught, asked = SortedQuestions(held, others).split()
    file = options.out / "questions.jsonl"
    file.write_text("".join(json.dumps({"question": q.text, "answer": q.answer}) + "\n" for q in held + others))
    plain = corpus_of(options.run, options.out / "corpus", [])
    reading = PretrainConfig(seed=1, base=str(options.run / "base"), look_every_steps=100_000, packing="whole",
                             document_masking=True, training={"max_steps": options.steps})  # fmt: skip
    base = pretrain(reading, corpus=plain, tokenizer=options.run / "tokenizer", out=options.out / "base")
    common: dict[str, Any] = {"seed": 1, "packing": True, "training": TRAINING, "look_every_steps": 100_000}
    wanted = AbstainSettings(questions=(str(file),), answer=ANSWER, share=options.share)
    chat = sft(SFTStageConfig(abstain=wanted, **common), base=base, corpus=plain, out=options.out / "declining")
    summary = read_json(chat / "summary.json")
    known = corpus_of(options.run, options.out / "known", taught.held[: summary["abstain"]["taught_to_answer"]])
    usual = sft(SFTStageConfig(**common), base=base, corpus=known, out=options.out / "usual")
    print("declining not taught:", *lines(usual, asked), sep="\n")
    print(f"declining taught, {summary['abstain']}:", *lines(chat, asked), sep="\n")
    print(f"  ordinary held-out requests declined: {summary['declined_share_after']:.1%}")


if __name__ == "__main__":
    main()
