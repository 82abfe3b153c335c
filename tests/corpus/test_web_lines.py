import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hftrain.corpus.batches import Batch
from hftrain.corpus.web_lines import c4_lines, judged_line, sentence_count, web_lines

PARTS = [
    "the",
    "cat",
    "sat",
    "don't",
    "Mr.",
    "U.S.",
    "end.",
    "So!",
    "“Why?”",
    "(yes.)",
    "...",
    "…",
    ". '",
    '"',
    "-",
    ".",
]
PARTS += ["Lorem", "ipsum", "lorem ipsum", "JavaScript", "{a}", "cookie policy", "use cookies", "terms of use", "3.5"]
PARTS += ["[1]", "[12].", "[edit]", "x" * 1001]
GAPS = st.sampled_from([" ", " ", " ", " ", "  ", "\xa0", "\n", "\r\n", "\u2028"])
TEXTS = st.lists(st.tuples(st.sampled_from(PARTS), GAPS), max_size=40).map(
    lambda parts: "".join(part + gap for part, gap in parts)
)


@given(st.lists(TEXTS, max_size=4))
@example(["The end.  . cat sat.", "The cat sat.\n" + "x" * 1001 + " is no word."])
@settings(max_examples=100, deadline=None)
def test_the_lines_of_a_batch_are_judged_as_one_by_one(texts: list[str]) -> None:
    found = web_lines(Batch(texts))
    for document, text in enumerate(texts):
        verdicts = [judged_line(line) for line in text.splitlines()]
        sentences = sum(sentence_count(verdict.kept) for verdict in verdicts if verdict.kept is not None)
        assert found.sentences_D[document] == sentences
        assert found.placeholders_D[document] == sum(verdict.placeholder for verdict in verdicts)
        assert found.brackets_D[document] == sum(verdict.bracket for verdict in verdicts)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("This line is a sentence.", "This line is a sentence."),
        ("  And so is 'this one.'  ", "And so is 'this one.'"),
        ("A fact that is cited.[12]", "A fact that is cited."),
        ("A menu entry without an end", None),
        ("It is cut off...", None),
        ("Two words.", None),
        ("A word of " + "x" * 1001 + " characters.", None),
        ("Please turn JavaScript on.", None),
        ("Read our Privacy Policy here.", None),
    ],
)
def test_a_line_stays_if_it_ends_like_a_sentence_and_talks_about_its_subject(line: str, kept: str | None) -> None:
    assert judged_line(line).kept == kept


def test_cleaning_leaves_the_lines_that_stay() -> None:
    assert (
        c4_lines("Home\nThe cat sat there.[1]\nClick here\n\nIt was warm, too!")
        == "The cat sat there.\nIt was warm, too!"
    )
    assert c4_lines("") == ""


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("One sentence.", 1),
        ("One. Two? Three!", 3),
        ("He said: “One.” Two.", 2),
        ("Mr. Smith came at 3.5 p.m. sharp.", 1),
        ("Well... so.", 1),
        (". One", 2),
        ("One.  !", 2),  # the second space is a word
        ("", 1),
    ],
)
def test_a_sentence_begins_at_the_first_word_after_a_final_mark(line: str, count: int) -> None:
    assert sentence_count(line) == count


def test_sentences_are_counted_as_the_reference_counts_them() -> None:
    spacy = pytest.importorskip("spacy", reason="the reference, spacy's sentencizer, is not installed")
    reference = spacy.blank("en")
    reference.add_pipe("sentencizer")
    for line in ("One. Two?! (Three.) 'Four.' Five…", "A.B. c. d.  ! e", "¿Que? ¡Si! No.", "x .y. Z; q.”A", ". . ' ."):
        assert sentence_count(line) == len(list(reference(line).sents)), line
