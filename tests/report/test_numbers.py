import pytest

from hftrain.report import numbers
from hftrain.report.markup import Markup, clip, escape, join, sample, tag


def near(text):
    return text.replace("_", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (numbers.decimal, -1.2345, "−1.234"),
        (numbers.signed, 0.3, "+0.30"),
        (numbers.count, 1234567.2, "1,234,567"),
        (numbers.short_count, 3_146_112, "3.15_M"),
        (numbers.percent, 0.614, "61_%"),
        (numbers.size_in_bytes, 1536, "1.5_KiB"),
        (numbers.size_in_bytes, 12, "12_B"),
        (numbers.duration, 4.25, "4.2_s"),
        (numbers.duration, 59.6, "1_min 0_s"),
        (numbers.duration, 3725, "1_h 2_min"),
        (numbers.interval, [0.52, 0.7], "52_% to 70_%"),
        (numbers.short_digest, "sha256:0123456789abcdef", "0123456789"),
    ],
)
def test_numbers_are_written_for_people(write, value, text):
    assert write(value) == near(text)


@pytest.mark.parametrize("value", [None, "1", True, float("nan"), float("inf"), [1], {}])
def test_what_is_no_number_is_a_dash(value):
    for write in (numbers.decimal, numbers.count, numbers.percent, numbers.size_in_bytes, numbers.duration):
        assert write(value) == "–"


def test_markup_is_kept_and_text_is_escaped():
    inner = tag("b", "a < b")

    assert tag("p", inner, " & ", None, class_="x y") == '<p class="x y"><b>a &lt; b</b> &amp; </p>'
    assert join([inner, "<"]) == "<b>a &lt; b</b>&lt;"
    assert isinstance(inner, Markup) and not isinstance(inner + "<", Markup)


def test_attributes_cannot_be_left_by_their_value():
    assert tag("a", href='x" onclick="y') == '<a href="x&quot; onclick=&quot;y"></a>'


def test_characters_that_cannot_be_seen_or_written_are_drawn():
    assert escape("a\x00b\x1b\x7fc\td\ne") == "a␀b␛␡c\td\ne"
    assert escape("\ud800") == "?"


def test_a_sample_of_no_words_says_so():
    assert sample("\n" * 40) == '<div class="sample">↵×40\n</div>'
    assert "nothing" in sample("") and "only spaces" in sample(" \n ")


def test_a_cut_text_says_how_much_is_left_out():
    assert clip("abcdef", 4) == "abcd … (+2 characters)"
    assert clip("abcd", 4) == "abcd"
    assert clip(None) == "–"
