"""Two texts agree in a share of minima that is their similarity, whatever their length."""

import numpy
import pytest

from hftrain.corpus import minhash
from hftrain.corpus.batches import Batch
from hftrain.corpus.minhash import BANDS, NO_SHINGLE, found_share, rows_of_bands, shingles, signatures


def test_shingles_are_runs_of_five_words() -> None:
    offsets, numbers = shingles(Batch(["a b c d e f", "B, C! D e\nF", "a b c d e"]))
    assert offsets.tolist() == [0, 2, 3, 4]
    assert numbers[1] == numbers[2]
    assert numbers[0] == numbers[3] != numbers[1]


def test_a_shorter_text_is_one_shingle_and_an_empty_one_none() -> None:
    texts = ["a b", "", "a b c d e", "A. B", "b a", "a b c d", "a"]
    offsets, numbers = shingles(Batch(texts))
    assert numpy.diff(offsets).tolist() == [1, 0, 1, 1, 1, 1, 1]
    a_b, five, a_b_again, b_a, four, one = numbers.tolist()
    assert a_b == a_b_again
    assert len({a_b, five, b_a, four, one}) == 5
    assert five == shingles(Batch(["a b c d e"]))[1][0]


def test_a_text_has_the_same_bands_in_any_company() -> None:
    texts = ["", "one two", "a long text of more than a few words " * 40, "six words are in this one"]
    together = signatures(Batch(texts), 4)
    assert together.shape == (4, BANDS)
    for place, text in enumerate(texts):
        assert (signatures(Batch([text]), 4)[0] == together[place]).all()


def test_bands_are_the_same_on_every_machine() -> None:
    bands = signatures(Batch(["The quick brown fox jumps over the lazy dog."]), 4)
    assert [f"{number:016x}" for number in bands[0, :2].tolist()] == ["8ee832d5004629f7", "5e6e214741b067a7"]


def test_case_and_punctuation_do_not_count() -> None:
    one, other = signatures(Batch(["It was a bright cold day in April", "it was, a BRIGHT\ncold day; in “April”!"]), 4)
    assert (one == other).all()


def test_texts_without_words_are_like_none() -> None:
    assert (signatures(Batch(["", "…!"]), 4) == NO_SHINGLE).all()
    assert (signatures(Batch(["a b"]), 4) != NO_SHINGLE).all()


@pytest.mark.parametrize("count", [3, 20, 120, 1000])
def test_minima_agree_as_often_as_sets_are_similar(count: int) -> None:
    sets, common = 1000, count * 2 // 3
    random = numpy.random.default_rng(count)
    first = random.integers(0, 2**64, (sets, count), dtype=numpy.uint64)
    second = first.copy()
    second[:, common:] = random.integers(0, 2**64, (sets, count - common), dtype=numpy.uint64)
    offsets = numpy.arange(sets + 1) * count
    minima = [minhash._minima(offsets, numbers.ravel(), 128) for numbers in (first, second)]
    expected = common / (2 * count - common)
    # 128,000 draws: the standard error is below 0.0014
    assert abs((minima[0] == minima[1]).mean() - expected) < 0.006
    shared = (minima[0] == minima[1]).reshape(sets, BANDS, 4).all(axis=2).any(axis=1).mean()
    assert abs(shared - found_share(expected, 4)) < 0.06


def test_bands_have_as_many_rows_as_still_find_the_threshold() -> None:
    assert [rows_of_bands(threshold) for threshold in (0.3, 0.5, 0.7, 0.8, 1.0)] == [1, 2, 4, 7, 16]
    assert found_share(0.7, 4) == pytest.approx(1 - (1 - 0.7**4) ** 32)
    assert found_share(0.7, 4) > 0.9998
    assert found_share(1.0, 4) == 1
    with pytest.raises(ValueError, match="not 70"):
        rows_of_bands(70)


def test_bands_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch([" ".join(f"w{number}" for number in range(count)) for count in (40, 3, 0, 0, 9, 200, 1, 60, 0)])
    expected = signatures(batch, 4)
    for shingle_count, documents in ((1, 9), (50, 9), (1000, 2)):
        monkeypatch.setattr(minhash, "BLOCK_SHINGLES", shingle_count)
        monkeypatch.setattr(minhash, "BLOCK_DOCUMENTS", documents)
        assert (signatures(batch, 4) == expected).all()
