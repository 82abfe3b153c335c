"""Pairs are verified, large buckets stay cheap, and who goes is similar to one that stays."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy
import pytest

from hftrain.corpus.batches import Batch, Integers, in_batches
from hftrain.corpus.minhash import rows_of_bands, shingles, signatures
from hftrain.corpus.near_duplicates import Pairs, choose, near_duplicate_pairs
from hftrain.corpus.shingle_sets import Floats, ShingleSets

INFINITY = float("inf")


def bands_of(texts: Sequence[str], threshold: float = 0.7) -> numpy.ndarray:
    return numpy.concatenate([signatures(batch, rows_of_bands(threshold)) for batch in in_batches(texts)])


def fetching(texts: Sequence[str]) -> Callable[[Sequence[int]], list[str]]:
    def fetched(documents: Sequence[int]) -> list[str]:
        assert list(documents) == sorted(documents)
        return [texts[document] for document in documents]

    return fetched


def shingle_sets(texts: Sequence[str]) -> list[set[int]]:
    return [set(shingles(Batch([text]))[1].tolist()) for text in texts]


def jaccard(one: set[int], other: set[int]) -> float:
    return len(one & other) / len(one | other)


def varied(words: Sequence[str], changes: int, draw: random.Random) -> str:
    words = list(words)
    for _ in range(changes):
        words[draw.randrange(len(words))] = f"x{draw.randrange(10**6)}"
    return " ".join(words)


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_all_similar_pairs_are_found_with_their_exact_similarity(threshold: float) -> None:
    draw = random.Random(7)
    texts = []
    for _ in range(30):
        words = [f"w{draw.randrange(3000)}" for _ in range(draw.randrange(5, 400))]
        texts += [varied(words, draw.randrange(1 + len(words) // 15), draw) for _ in range(4)]
    draw.shuffle(texts)
    found = near_duplicate_pairs(bands_of(texts, threshold), fetching(texts), threshold)
    sets = shingle_sets(texts)
    expected = {
        (one, other): similarity
        for other in range(len(texts))
        for one in range(other)
        if (similarity := jaccard(sets[one], sets[other])) >= threshold
    }
    pairs = zip(found.first_P.tolist(), found.second_P.tolist(), strict=True)
    assert dict(zip(pairs, found.jaccard_P.tolist(), strict=True)) == expected


def test_a_pair_just_below_the_threshold_is_not_one() -> None:
    words = [f"w{number}" for number in range(24)]  # 20 shingles, of which the last word changes one
    texts = [" ".join(words), " ".join([*words[:-1], "other"])]
    assert jaccard(*shingle_sets(texts)) == 19 / 21
    assert len(near_duplicate_pairs(bands_of(texts), fetching(texts), 19 / 21)) == 1
    assert len(near_duplicate_pairs(bands_of(texts), fetching(texts), 0.905)) == 0


def test_texts_without_words_are_not_compared() -> None:
    texts = ["", "…", "!", "a"]
    assert len(near_duplicate_pairs(bands_of(texts), fetching(texts), 0.7)) == 0


def test_no_texts_have_no_pairs() -> None:
    pairs = near_duplicate_pairs(numpy.zeros((0, 32), numpy.uint64), fetching([]), 0.7)
    assert len(pairs) == len(choose(pairs, numpy.zeros(0))) == 0


def test_who_is_left_out_is_in_no_pair() -> None:
    texts = ["the same five words here"] * 3
    among = numpy.array([True, False, True])
    pairs = near_duplicate_pairs(bands_of(texts), fetching(texts), 0.7, among=among)
    assert (pairs.first_P.tolist(), pairs.second_P.tolist()) == ([0], [2])


def test_words_that_a_text_repeats_count_once() -> None:
    words = " ".join(f"w{number}" for number in range(30))
    texts = [words, f"{words} {words} {words}"]  # 26 shingles, and 4 more over each of two equal seams
    pairs = near_duplicate_pairs(bands_of(texts), fetching(texts), 0.7)
    assert pairs.jaccard_P.tolist() == [26 / 30]


def test_many_equal_texts_are_compared_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the same words over and over again"] * 3000 + ["quite another text with its own words"]
    compared = []
    of_pairs = ShingleSets.jaccard

    def counted(sets: ShingleSets, first: Integers, second: Integers) -> Floats:
        compared.extend(first)
        return of_pairs(sets, first, second)

    monkeypatch.setattr(ShingleSets, "jaccard", counted)
    preference = numpy.arange(3001) % 2000  # document 1999 is preferred
    pairs = near_duplicate_pairs(bands_of(texts), fetching(texts), 0.7, preference_D=preference)
    choice = choose(pairs, preference)
    assert set(choice.kept_P.tolist()) == {1999}
    assert len(choice) == len(pairs) == len(compared) == 2999


@pytest.mark.parametrize("seed", range(3))
def test_in_large_buckets_of_similar_texts_the_same_stay_as_if_all_were_compared(seed: int) -> None:
    draw = random.Random(seed)
    words = [f"w{number}" for number in range(150)]
    texts = [varied(words, draw.randrange(5), draw) for _ in range(400)]
    sets = shingle_sets(texts)
    preference = numpy.array([draw.randrange(9) for _ in texts], float)
    stay: list[int] = []
    for one in numpy.argsort(-preference, kind="stable").tolist():
        if all(jaccard(sets[one], sets[other]) < 0.7 for other in stay):
            stay.append(one)
    pairs = near_duplicate_pairs(bands_of(texts), fetching(texts), 0.7, preference_D=preference)
    choice = choose(pairs, preference)
    assert abs(len(texts) - len(choice) - len(stay)) <= 0.05 * len(stay)
    assert not set(choice.kept_P.tolist()) & set(choice.dropped_P.tolist())


def pairs_of(*pairs: tuple[int, int, float]) -> Pairs:
    first, second, similar = zip(*pairs, strict=True)
    return Pairs(numpy.array(first), numpy.array(second), numpy.array(similar))


def test_of_a_chain_the_middle_goes_and_the_ends_stay() -> None:
    choice = choose(pairs_of((0, 1, 0.8), (1, 2, 0.9)), numpy.zeros(3))
    assert list(choice) == [(1, 0, 0.8)]


def test_the_preferred_stays_and_takes_all_similar_ones_along() -> None:
    choice = choose(pairs_of((0, 1, 0.8), (1, 2, 0.9)), numpy.array([5.0, 7.0, 5.0]))
    assert list(choice) == [(0, 1, 0.8), (2, 1, 0.9)]


def test_references_never_go_and_are_not_compared_with_each_other() -> None:
    texts = ["the very same words once more"] * 30
    preference = numpy.array([INFINITY] * 20 + [1.0] * 10)
    pairs = near_duplicate_pairs(bands_of(texts), fetching(texts), 0.7, preference_D=preference)
    assert (pairs.second_P >= 20).all()
    choice = choose(pairs, preference)
    assert choice.dropped_P.tolist() == list(range(20, 30))
    assert set(choice.kept_P.tolist()) == {0}
    assert list(choose(pairs_of((0, 1, 0.9), (1, 2, 0.8)), numpy.array([INFINITY, INFINITY, 0]))) == [(2, 1, 0.8)]


def test_bands_on_disk_give_the_same_pairs(tmp_path: Path) -> None:
    texts = [" ".join(f"{number // 2}-{word}" for word in range(9)) for number in range(50)]
    bands = bands_of(texts)
    mapped = numpy.memmap(tmp_path / "bands.bin", numpy.uint64, "w+", shape=bands.shape)
    mapped[:] = bands
    assert len(near_duplicate_pairs(mapped, fetching(texts), 0.7)) == 25
