import numpy

from hftrain.corpus.batches import Batch
from hftrain.corpus.known_words import SLOT_BITS, KnownWords


def known(words: list[str]) -> KnownWords:
    return KnownWords(numpy.sort(Batch(words).word_hashes_W))


def test_each_known_word_is_found_where_it_stands() -> None:
    batch = Batch(["The cat saw the Dog.", "Dogs and cats", "cat"])
    table = known(["cat", "dog", "mouse"])
    positions, places = table.find(batch.word_hashes_W)
    assert positions.tolist() == [1, 4, 8]
    assert (table.hashes_V[places] == batch.word_hashes_W[positions]).all()


def test_a_word_that_shares_only_its_lowest_bits_is_not_taken_for_it() -> None:
    table = known(["cat"])
    near = table.hashes_V ^ numpy.uint64(1 << 40)
    assert not len(table.find(near)[0])


def test_words_that_share_their_lowest_bits_are_all_found() -> None:
    low = (1 << SLOT_BITS) - 1
    hashes = numpy.array([low, low + (1 << 30), low + (1 << 40), 2**63 + 5], numpy.uint64)
    table = KnownWords(hashes)
    positions, places = table.find(numpy.array([7, *hashes[::-1].tolist(), low + (1 << 50)], numpy.uint64))
    assert positions.tolist() == [1, 2, 3, 4]
    assert places.tolist() == [3, 2, 1, 0]


def test_a_batch_without_words_has_none() -> None:
    assert not len(known(["cat"]).find(Batch(["", "..."]).word_hashes_W)[0])


def test_chunks_are_known_with_their_case_and_marks() -> None:
    chunks = Batch(["of all the things", "The of, of"]).chunk_hashes_K
    positions, _ = KnownWords.of_chunks(["the", "of"]).find(chunks)
    assert positions.tolist() == [0, 2, 6]
