"""The decisions of the published filters, as datatrove runs them, document by document."""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from hftrain.corpus.batches import in_batches
from hftrain.corpus.rules import build, judge

DATA = Path(__file__).parents[2].parent / "shared" / "data"
REASONS = {
    "gopher_quality": {
        "gopher_short_doc": "gopher_too_few_words",
        "gopher_long_doc": "gopher_too_many_words",
        "gopher_below_avg_threshold": "gopher_short_words",
        "gopher_above_avg_threshold": "gopher_long_words",
        "gopher_too_many_hashes": "gopher_hash_signs",
        "gopher_too_many_ellipsis": "gopher_ellipses",
        "gopher_too_many_bullets": "gopher_bullet_lines",
        "gopher_too_many_end_ellipsis": "gopher_cut_lines",
        "gopher_below_alpha_threshold": "gopher_few_alphabetic",
        "gopher_enough_stop_words": "gopher_stop_words",
    },
    "gopher_repetition": {
        "empty": "gopher_empty",
        "dup_para_frac": "gopher_repeated_paragraphs",
        "dup_para_char_frac": "gopher_repeated_paragraph_chars",
        "dup_line_frac": "gopher_repeated_lines",
        "dup_line_char_frac": "gopher_repeated_line_chars",
        **{f"top_{size}_gram": f"gopher_top_{size}_gram" for size in (2, 3, 4)},
        **{f"duplicated_{size}_n_grams": f"gopher_duplicate_{size}_grams" for size in range(5, 11)},
    },
    "c4": {
        "lorem_ipsum": "c4_lorem_ipsum",
        "curly_bracket": "c4_curly_bracket",
        "too_few_sentences": "c4_few_sentences",
    },
    "fineweb": {
        "empty": "fineweb_empty",
        "line_punct_ratio": "fineweb_unfinished_lines",
        "short_line_ratio": "fineweb_short_lines",
        "char_dup_ratio": "fineweb_repeated_lines",
        "list_ratio": "fineweb_list",
    },
}


def synthetic() -> Iterator[str]:
    """Texts about the thresholds: the same few lines and words over again, in all kinds of breaks."""
    chance = random.Random(7)
    words = "the of and cat, sat. river; (garden) don't “Why?” go: 12 - • # … [1] end. U.S. children evening"
    for number in range(400):
        lines = [
            " ".join(chance.choices(words.split(), k=chance.choice([2, 8, 20])))
            for _ in range(chance.choice([1, 3, 12]))
        ]
        said = chance.choices(lines, k=chance.choice([1, 3, 10, 30]))
        yield chance.choice([" ", "\n", "\n\n", "\r\n", ".\n", "  "]).join(said) + chance.choice(["", "\n", "..."])
        if number % 4 == 0:
            yield "".join(chance.choices('ab .…\n\r\t"!?[1]{#-•\x85\u2028', k=chance.choice([5, 80, 400])))
    yield from ("", "\n", " ", "\n\n", "...", "a", "#" * 50, "The cat sat on the mat. " * 40, "word " * 100_001)


def real() -> Iterator[str]:
    for name, field, every in (
        ("quality/c4_demo", "text", 6),
        ("quality/dclm_human_quality_half", "text", 6),
        ("storybooks-en/stories", "text", 40),
        ("neardup/docs", "text", 150),
        ("toxicity/davidson_tweets", "tweet", 300),
        ("langid/udhr_40_languages_half", "text", 40),
    ):
        path = DATA / f"{name}.jsonl.gz"
        if path.exists():
            with gzip.open(path, "rt", encoding="utf-8") as file:
                yield from (json.loads(line)[field] for line in [*file][::every])


@pytest.mark.slow
@pytest.mark.parametrize("name", REASONS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_each_document_stays_or_goes_as_in_the_reference(name: str) -> None:
    filters = pytest.importorskip("datatrove.pipeline.filters", reason="datatrove is not installed")
    pytest.importorskip("spacy", reason="spacy, which datatrove splits words with, is not installed")
    from datatrove.data import Document

    kinds = {
        "gopher_quality": filters.GopherQualityFilter,
        "gopher_repetition": filters.GopherRepetitionFilter,
        "c4": filters.C4QualityFilter,
        "fineweb": filters.FineWebQualityFilter,
    }
    reference = kinds[name]()
    texts = [*synthetic(), *real()]
    theirs = [reference.filter(Document(text=text, id=str(number))) for number, text in enumerate(texts)]
    ours = [found for batch in in_batches(texts) for found in judge(batch, build([name], {}))]
    for text, their, our in zip(texts, theirs, ours, strict=True):
        expected = None if their is True else REASONS[name][their[1]]
        assert (our and our[0]) == expected or {our and our[0], expected} == {"c4_lorem_ipsum", "c4_curly_bracket"}, (
            text
        )
