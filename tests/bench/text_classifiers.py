"""Measure languages, toxicity, word lists and the classifier of quality: ``python tests/bench/text_classifiers.py``.

Reads labelled sets beside the repository, in ../shared/data. Prints tables; takes about a minute.
"""

import gzip
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import pyarrow.parquet as parquet
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from sklearn.metrics import roc_auc_score

from hftrain.corpus import languages, quality_training, toxicity
from hftrain.corpus.batches import Batch, in_batches
from hftrain.corpus.word_lists import explicit_terms

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SEEDS = range(5)
LIMITS = {"minimum_share": 0.1, "maximum_explicit": 10.0, "listed": None}


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a .jsonl.gz or .parquet file."""
    if name.endswith(".parquet"):
        return parquet.read_table(DATA / name).to_pylist()
    return [json.loads(line) for line in gzip.open(DATA / name, "rt", encoding="utf-8").read().split("\n") if line]


def speed(work: Callable[[], object], texts: Sequence[str]) -> float:
    """MB of UTF-8 a second of processor time, the median of five runs after one to warm up."""
    work()
    seconds = []
    for _ in range(5):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return sum(len(text.encode()) for text in texts) / 1e6 / statistics.median(seconds)


def identification(books: list[str]) -> None:
    """Accuracy by length, of both models alone and together."""
    labelled = rows("langid/udhr_40_languages_half.jsonl.gz")
    gold = [languages.language_code(row["lang"]) for row in labelled]
    second = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    print("\nlanguage: accuracy on Universal Declaration of Human Rights, 40 languages", len(gold), "paragraphs")
    print("first chars   fastText lite   py3langid   hftrain   hftrain from score 0.5 on: kept, right of kept")
    for chars in (20, 40, 80, 160, None):
        texts = [row["text"][:chars] for row in labelled]
        first = [languages._code(languages._first_model().predict(text)[0][0]) for text in texts]
        other = [second.classify(text)[0] for text in texts]
        found = languages.identify(texts)
        shares = [
            numpy.mean([languages.language_code(code) == right for code, right in zip(codes, gold, strict=True)])
            for codes in (first, other, [code for code, _ in found])
        ]
        sure = [code == right for (code, score), right in zip(found, gold, strict=True) if score >= 0.5]
        kept = len(sure) / len(found)
        print(f"{chars or 'all':>11}   {shares[0]:13.3f}   {shares[1]:9.3f}   {shares[2]:7.3f}", end="   ")
        print(f"{kept:.3f}, {numpy.mean(sure):.3f}")
    wrong = Counter((right, code) for (code, _), right in zip(found, gold, strict=True) if code != right)
    print("wrong of whole paragraphs (is, taken for):", dict(wrong))
    upper = [code for code, _ in languages.identify([row["text"].upper() for row in labelled])]
    print("in capitals:", round(float(numpy.mean([a == b for a, b in zip(upper, gold, strict=True)])), 3))
    sizes = numpy.random.default_rng(0).integers(2000, 20000, len(books))
    texts = [text[:size] for text, size in zip(books, sizes, strict=True)]
    print(f"speed on 2 to 20 kB of books: {speed(lambda: languages.identify(texts), texts):.0f} MB/s")


def toxic_text(books: list[str]) -> None:
    """AUC of model, lists and both; what is flagged in innocent text."""
    tweets, comments = rows("toxicity/davidson_tweets.jsonl.gz"), rows("toxicity/surge_toxicity.jsonl.gz")
    classes = numpy.array([row["class"] for row in tweets])
    sets = {
        "surge: toxic against not": (
            [row["text"] for row in comments],
            [row["is_toxic"] == "Toxic" for row in comments],
        ),
        "davidson*: hate or offensive against neither": ([row["tweet"] for row in tweets], classes < 2),
        "davidson*: hate against the rest": ([row["tweet"] for row in tweets], classes == 0),
        "davidson*: hate against neither": (
            [row["tweet"] for row in tweets if row["class"] != 1],
            classes[classes != 1] == 0,
        ),
    }
    print(
        "\ntoxicity: AUC (* the model was trained on tweets of this set)      model   lists   both   flagged above 0.9"
    )
    for name, (texts, labels) in sets.items():
        batch, truth = Batch(texts), numpy.asarray(labels)
        model = toxicity.toxicity(batch, threshold=0.9).highest_D
        terms = explicit_terms(batch, ["en"] * len(batch))
        lists = terms.counts_D / (terms.words_D + 10)
        both = 1 - (1 - model) * (1 - numpy.minimum(1, 5 * lists))
        areas = "   ".join(f"{roc_auc_score(truth, scores):.3f}" for scores in (model, lists, both))
        flagged = f"{(model[truth] > 0.9).mean():.3f} of them, {(model[~truth] > 0.9).mean():.3f} of the rest"
        print(f"  {name:<60}   {areas}   {flagged}")
    innocent = {
        "books": books,
        "peps": [row["text"] for row in rows("peps/peps.parquet")],
        "declaration, 40 languages": [row["text"] for row in rows("langid/udhr_40_languages_half.jsonl.gz")],
        "c4": [row["text"] for row in rows("quality/c4_demo.jsonl.gz")],
        "king james bible": [row["text"] for row in rows("embedded-registry-text/kjv.jsonl.gz")],
    }
    for name, texts in innocent.items():
        found = [each for batch in in_batches(texts) for each in toxicity.judge(batch, maximum_score=0.9, **LIMITS)]
        counts = Counter(each[0] for each in found if each)
        print(f"  flagged in {name}: {dict(counts)} of {len(texts)}")
        for text, each in [(text, each) for text, each in zip(texts, found, strict=True) if each][:3]:
            print(f"    {each[0]} ({each[1]}) {text[each[2] :][:110]!r}")
    batches = list(in_batches(books))
    for batch in batches:
        assert len(batch.word_hashes_W)
    rate = speed(lambda: [toxicity.judge(batch, maximum_score=0.9, **LIMITS) for batch in batches], books)
    print(f"speed on books, words of the batch at hand: {rate:.0f} MB/s")


def quality(books: list[str]) -> None:
    """AUC against people, held out, over several deals of the folds."""
    path = DATA / "quality" / "dclm_human_quality_half.jsonl.gz"
    print("\nquality: labels by people, 243 web pages, 3 folds, chosen and trained without the scored fold")
    for weight in (None, "unanimous"):
        table = quality_training.as_table(quality_training.read_examples(path, weight=weight))
        scored = [quality_training.held_out_margins(table, seed=seed) for seed in SEEDS]
        own = [roc_auc_score(table.keep_N, margins) for margins in scored]
        print(f"  weight {weight}: AUC {numpy.mean(own):.3f}, deals {' '.join(f'{area:.3f}' for area in own)}")
        began = time.process_time()
        model = quality_training.train(quality_training.read_examples(path, weight=weight))
        print(f"    trained in {time.process_time() - began:.1f} s;", json.dumps(model.report["held_out"])[:330])
    batches = list(in_batches(books))
    for batch in batches:
        assert len(batch.word_hashes_W)
    print(f"speed on books, words at hand: {speed(lambda: [model.score(batch) for batch in batches], books):.0f} MB/s")
    pages = [row["text"] for row in rows("quality/c4_demo.jsonl.gz")] * 5
    batches = list(in_batches(pages))
    print(f"speed on c4, from strings: {speed(lambda: model.score(pages), pages):.0f} MB/s")


if __name__ == "__main__":
    stories = [row["text"] for row in rows("books-standardebooks/books-2of3.parquet")][:500]
    identification(stories)
    toxic_text(stories)
    quality(stories)
