import numpy
from hypothesis import given
from hypothesis import strategies as st

from hftrain.corpus.batches import Batch
from hftrain.corpus.duplicates import SeenTexts, comparison_form, exact_duplicates, exact_keys

INFINITY = float("inf")


def test_case_and_white_space_do_not_count() -> None:
    assert comparison_form(" The  Cat\n\tSAT. ") == "the cat sat."
    assert comparison_form("STRASSE") == comparison_form("Straße")


def test_a_text_is_seen_from_its_second_time_on() -> None:
    seen = SeenTexts()
    asked = ["A cat.", "a  CAT.", "A dog.", "A cat", "A cat."]
    assert [seen.saw(text) for text in asked] == [False, True, False, False, True]


def test_equal_texts_have_one_key_and_others_others() -> None:
    texts = [" The  Cat\n", "the cat", "thecat", "", " \n", "the cat ", "\tTHE\u2003CAT", "the cat.", "the, cat"]
    keys = [tuple(key) for key in exact_keys(Batch(texts)).tolist()]
    assert keys[0] == keys[1] == keys[5] == keys[6]
    assert keys[3] == keys[4]
    assert len(set(keys)) == 5


@given(st.lists(st.text("aA \n.é", max_size=4), max_size=12))
def test_keys_are_equal_where_texts_are(texts: list[str]) -> None:
    keys = exact_keys(Batch(texts))
    assert keys.shape == (len(texts), 2)
    forms = [" ".join(text.lower().split()) for text in texts]
    for one in range(len(texts)):
        for other in range(one):
            assert (keys[one] == keys[other]).all() == (forms[one] == forms[other])


def test_a_text_has_the_same_key_in_any_company() -> None:
    alone = exact_keys(Batch(["  b c "]))
    assert (exact_keys(Batch(["a ", "  b c ", "d"]))[1] == alone[0]).all()


def test_the_first_of_equal_texts_stays() -> None:
    keys = exact_keys(Batch(["a", "b", "A", "c", "a ", "B"]))
    dropped, kept = exact_duplicates(keys)
    assert dropped.tolist() == [2, 4, 5]
    assert kept.tolist() == [0, 0, 1]


def test_the_preferred_of_equal_texts_stays_and_references_all_do() -> None:
    keys = exact_keys(Batch(["a", "A", "b", "a", "b", "b"]))
    dropped, kept = exact_duplicates(keys, numpy.array([1, 3, 2, 3, INFINITY, INFINITY]))
    assert dropped.tolist() == [0, 2, 3]
    assert kept.tolist() == [1, 4, 1]


def test_half_a_key_is_not_enough() -> None:
    keys = numpy.array([[1, 2], [1, 3], [2, 2], [1, 2]], numpy.uint64)
    assert [part.tolist() for part in exact_duplicates(keys)] == [[3], [0]]


def test_no_texts_have_no_duplicates() -> None:
    assert [part.tolist() for part in exact_duplicates(exact_keys(Batch([])))] == [[], []]
