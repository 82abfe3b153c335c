import threading

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftrain.corpus.splits import up_to_bytes
from hftrain.tokens.splitting import SPLITS, Split
from hftrain.tokens.words import Tally, batches_of, count_words, in_threads, pieces_of

TEXTS = st.lists(st.text(alphabet="ab Z.,'s\n1²\u00a0”é日", max_size=30), max_size=8)


def test_each_different_piece_is_held_once() -> None:
    pieces = pieces_of(pa.array(["the cat, the cat", "", " the"]))

    assert pieces.different.to_pylist() == [b"the", b" cat", b",", b" the"]
    assert pieces.sequence.tolist() == [0, 1, 2, 3, 1, 3]
    assert pieces.ends.tolist() == [5, 5, 6]


@settings(deadline=None)
@given(TEXTS, st.integers(0, 2))
def test_pieces_in_their_sequence_are_the_texts_again(texts: list[str], skipped: int) -> None:
    pieces = pieces_of(pa.array(texts, type=pa.string())[skipped:])

    ends, different = [0, *pieces.ends.tolist()], pieces.different.to_pylist()
    back = [
        b"".join(different[index] for index in pieces.sequence[first:last]).decode()
        for first, last in zip(ends[:-1], ends[1:], strict=True)
    ]
    assert back == texts[skipped:]


@settings(deadline=None)
@given(TEXTS, st.sampled_from([("gpt2", None), ("gpt2", 2), ("gpt4", 3)]))
def test_words_are_counted_as_the_pre_tokenizer_finds_them(texts: list[str], split: tuple[str, int | None]) -> None:
    pre_tokenizer = Split(*split).pre_tokenizer()

    counts = count_words(texts, pre_tokenizer)

    found = [word for text in texts for word, _ in pre_tokenizer.pre_tokenize_str(text)]
    assert dict(counts) == {word: found.count(word) for word in found}


@pytest.mark.parametrize("split", SPLITS)
def test_a_pattern_is_asked_once_for_pieces_that_differ_in_their_last_letters_but_after_an_apostrophe(split) -> None:
    asked = []

    class Recorder:
        def pre_tokenize_str(self, piece: str) -> list[tuple[str, tuple[int, int]]]:
            asked.append(piece)
            return Split(split).pre_tokenizer().pre_tokenize_str(piece)

    counts = count_words(["so.\nHe so.\nShe don't can'tell"], Recorder())

    assert sorted(asked) == ["'t", "'tell", ".\na"]
    rest = {"gpt2": {".": 2, "Ċ": 2}, "gpt4": {".Ċ": 2}}[split]
    assert counts == rest | {"so": 1, "Ġso": 1, "He": 1, "She": 1, "Ġdon": 1, "Ġcan": 1, "'t": 2, "ell": 1}


def test_batches_close_when_they_are_full() -> None:
    assert list(batches_of(["aa", "bb", "cccc", "d"], batch_bytes=4)) == [["aa", "bb"], ["cccc"], ["d"]]


def test_text_is_taken_up_to_a_size_and_cut_between_characters() -> None:
    assert list(up_to_bytes(["ab", "", "cé", "d"], 4)) == ["ab", "c"]
    assert list(up_to_bytes(["ab", "c"], 99)) == ["ab", "c"]


def test_a_tally_counts_bytes_as_texts_go_by() -> None:
    tally = Tally(["é", "ab"])
    assert (list(tally), tally.bytes) == (["é", "ab"], 4)


def test_threads_keep_the_order_and_work_little_ahead() -> None:
    asked = []

    def numbers():
        for number in range(100):
            asked.append(number)
            yield number

    results = in_threads(lambda number: (number, threading.current_thread().name), numbers())
    assert next(results)[0] == 0
    assert len(asked) < 70
    assert [number for number, _ in results] == list(range(1, 100))


def test_an_error_in_a_thread_is_raised_where_it_is_waited_for() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda number: 1 // number, [1, 0]))
