import itertools
import re
import unicodedata

import ftfy
import pytest
from ftfy.badness import is_bad
from hypothesis import given, settings
from hypothesis import strategies as st

from hftrain.corpus import repair as repair_module
from hftrain.corpus.batches import Batch
from hftrain.corpus.repair import CONFIG, INVISIBLE, repair, repair_all

SURROGATE = re.compile("[\ud800-\udfff]")

PIECES = st.sampled_from(
    [
        *"abc œÂÃâ€™“”é\n\r&;<¡АВ×²°ñ",
        "e\u0301",
        "ﬁ",
        "\u200b",
        "\u2028",
        "\x85",
        "\x1b[0m",
        "\ud83d",
        "\ude00",
        "\ufeff",
    ]
    + ["&amp;", "â€œ", "Ã©", "&lt;", "Ａ", "\u3000", " "]
)


@pytest.mark.parametrize(
    ("damaged", "meant"),
    [
        ("schÃ¶n", "schön"),
        ("itâ€™s", "it’s"),
        ("cafe\u0301", "café"),
        ("bread &amp; butter", "bread & butter"),
        ("a <b> &amp; c", "a <b> &amp; c"),
        ("one\r\ntwo\rthree\u2028four\x0cfive", "one\ntwo\nthree\nfour\nfive"),
        ("zero\u200bwidth\x00\x07\ufeff", "zerowidth"),
        ("\u202eturned\u202c", "turned"),
        ("eﬃcient", "efficient"),
        ("  “Curly” quotes’ stay — always…  ", "“Curly” quotes’ stay — always…"),
        ("family 👩\u200d👩\u200d👧", "family 👩\u200d👩\u200d👧"),
        ("tab\tand\nline", "tab\tand\nline"),
    ],
)
def test_a_text_becomes_what_was_meant(damaged: str, meant: str) -> None:
    assert repair(damaged) == meant


def through_ftfy(text: str) -> str:
    """The same repair without any shortcut."""
    fixed = ftfy.fix_text(text, CONFIG._replace(unescape_html="<" not in text))
    return unicodedata.normalize("NFC", fixed.translate(INVISIBLE)).strip()


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=20).map("".join) | st.text(max_size=30))
def test_the_shortcuts_change_nothing(text: str) -> None:
    assert repair(text) == through_ftfy(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=8).map("".join).filter(lambda text: not SURROGATE.search(text)), max_size=5))
def test_many_texts_are_repaired_as_each_alone(texts: list[str]) -> None:
    assert repair_all(Batch(texts)) == [repair(text) for text in texts]


def test_what_the_arrays_pass_over_needs_no_repair() -> None:
    texts = ["“Curly” quotes’ stay — always… ", "Tom & Jerry", "bread &amp; butter", "schön", "schÃ¶n", "bell\x07"]
    repaired = ["“Curly” quotes’ stay — always…", "Tom & Jerry", "bread & butter", "schön", "schön", "bell"]
    assert repair_all(Batch(texts)) == repaired


def test_typography_alone_is_never_mojibake() -> None:
    signs = "‘’“”–—…aZ 9.\n?"
    assert not any(is_bad("".join(word)) for word in itertools.product(signs, repeat=4))


@given(st.text(st.sampled_from("aZ ,.\nÃÂâ€™œŒ°éàø’“—×²Øî≈√ВГвЂ\xa0"), max_size=60))
def test_what_is_looked_at_is_all_that_ftfy_could_find(text: str) -> None:
    lines = [line for line in text.split("\n") if is_bad(line)]
    assert bool(lines) <= any(map(is_bad, repair_module._around_unusual(text)))
