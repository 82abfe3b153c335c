"""Each measure of prose against a plain definition on strings."""

import re

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftrain.corpus import character_marks, prose_measures
from hftrain.corpus.batches import Batch
from hftrain.corpus.word_splitting import pieces

WORDS = "enable uses the OF cat, don't (x) - • * 12) 3. … .... ... 4² #a _ İs end.” {b} Java script cookies"
GAPS = [" ", " ", " ", "\n", "\n\n", "\r\n", "\t", "\x85"]
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS.split()), st.sampled_from(GAPS)), max_size=50).map(
    lambda parts: "".join(word + gap for word, gap in parts)
)
BULLET = re.compile(r"\s*(?:[-*•‣▪●]|\d{1,3}[.)])\s")
SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]*_`]*(?:\s|$)")
LETTERLESS = re.compile(r"(?<!\S)(?:[^\w\s]|[\d_])+(?!\S)")
TERMINAL = {chr(code) for code in numpy.flatnonzero(character_marks.mark_table() & character_marks.TERMINAL)}
SILENT = {chr(code) for code in numpy.flatnonzero(character_marks.mark_table() & character_marks.PUNCTUATION)}


def words_of(text: str) -> list[str]:
    return [piece for chunk in text.split() for piece in pieces(chunk)]


def share(flags: list[bool]) -> float:
    return sum(flags) / max(1, len(flags))


def written(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def asked_of_long(text: str, value: float) -> float:
    return value if len(text.split()) > prose_measures.SHORT_WORDS else float("nan")


def cut_share(text: str) -> float:
    lines = written(text)
    return share([line.rstrip().endswith(("...", "…")) for line in lines]) if len(lines) > 2 else float("nan")


DEFINITIONS = {
    "whitespace_words": lambda text: len(text.split()),
    "whitespace_word_chars": lambda text: sum(map(len, text.split())) / max(1, len(text.split())),
    "wordlike_share": lambda text: 1 - len(LETTERLESS.findall(text)) / max(1, len(text.split())),
    "whitespace_stop_words": lambda text: asked_of_long(
        text, len(set(prose_measures.STOP_WORDS) & set(text.lower().split()))
    ),
    "code_sign_share": lambda text: sum(map(text.count, character_marks.CODE_SIGNS)) / max(1, len(text)),
    "sentence_ends": lambda text: asked_of_long(text, len(SENTENCE_END.findall(text))),
    "listed_line_share": lambda text: share([bool(BULLET.match(line)) for line in written(text)]),
    "cut_line_share": cut_share,
    "boilerplate_phrases": lambda text: min(1, len(prose_measures.WEB_BOILERPLATE.findall(text.lower()))),
    "piece_words": lambda text: sum(not set(word) <= SILENT for word in words_of(text)),
    "hash_sign_share": lambda text: text.count("#") / max(1, len(words_of(text))),
    "ellipsis_share": lambda text: (text.count("...") + text.count("…")) / max(1, len(words_of(text))),
    "bullet_line_share": lambda text: share([line.lstrip().startswith(("•", "-")) for line in text.splitlines()]),
    "ellipsis_line_share": lambda text: share([line.rstrip().endswith(("...", "…")) for line in text.splitlines()]),
    "alphabetic_piece_share": lambda text: share([any(map(str.isalpha, word)) for word in words_of(text)]),
    "piece_stop_words": lambda text: len(set(prose_measures.STOP_WORDS) & set(words_of(text))),
    "final_line_share": lambda text: share([line[-1] in TERMINAL for line in written(text)]),
    "short_line_share": lambda text: share([len(line) <= 30 for line in written(text)]),
    "written_lines": lambda text: len(written(text)),
    "line_feeds_a_piece": lambda text: text.count("\n") / max(1, len(words_of(text))),
    "characters": len,
}


@pytest.mark.parametrize("name", DEFINITIONS)
@given(texts=st.lists(TEXTS, max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_measure_is_what_its_definition_says(name: str, texts: list[str]) -> None:
    found = getattr(prose_measures, name)(Batch(texts)).tolist()
    assert found == pytest.approx([DEFINITIONS[name](text) for text in texts], abs=1e-12, nan_ok=True)


def test_the_final_marks_are_those_of_the_references() -> None:
    reference = pytest.importorskip("datatrove.utils.text", reason="datatrove is not installed")
    assert TERMINAL == reference.TERMINAL_PUNCTUATION and SILENT == reference.PUNCTUATION_SET
    sentencizer = pytest.importorskip("spacy.pipeline", reason="spacy is not installed").Sentencizer
    ends = numpy.flatnonzero(character_marks.mark_table() & character_marks.SENTENCE_END)
    assert set(map(chr, ends)) == set(sentencizer.default_punct_chars)
