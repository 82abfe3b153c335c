from hftrain.corpus.batches import Batch
from hftrain.corpus.known_hashes import KnownHashes


def test_known_words_are_found_among_others_where_they_stand() -> None:
    places, words = KnownHashes(["the", "of"]).find(Batch(["of all the things", "The of"]).chunk_hashes_K)
    assert places.tolist() == [0, 2, 5]
    assert words.tolist() == [1, 0, 1]


def test_nothing_is_found_in_nothing() -> None:
    places, words = KnownHashes(["the"]).find(Batch([""]).chunk_hashes_K)
    assert not len(places) and not len(words)
