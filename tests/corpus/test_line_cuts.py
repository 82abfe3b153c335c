import numpy

from hftrain.corpus.batches import Batch
from hftrain.corpus.line_cuts import Cut, without_lines


def test_lines_are_cut_with_one_of_the_empty_lines_around_them() -> None:
    batch = Batch(["a\n\nMenu\n\nb\nc", "Menu\nd", "e"])
    cuts = without_lines(batch, numpy.array([2, 6]))
    assert cuts == [Cut("a\n\nb\nc", 1, 6, "Menu"), Cut("d", 1, 5, "Menu"), Cut("e")]


def test_bytes_are_those_of_utf_8_and_texts_may_become_empty() -> None:
    cuts = without_lines(Batch(["é\n ü\nx", " Übrig "]), numpy.array([0, 1, 3]))
    assert cuts == [Cut("x", 2, 7, "é"), Cut("", 1, 8, "Übrig")]
