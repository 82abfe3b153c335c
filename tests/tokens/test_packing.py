import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hftrain.tokens.chat import load_tokenizer
from hftrain.tokens.packing import encode_documents, pack_rows


def test_rows_overlap_by_one_token_so_that_each_is_predicted_once() -> None:
    rows = list(pack_rows([[1, 2, 3, 0], [4, 5, 0]], row_tokens=4, start=0))
    assert rows == [[0, 1, 2, 3], [3, 0, 4, 5]]


@given(st.lists(st.lists(st.integers(1, 99), max_size=30), max_size=20), st.integers(2, 9))
def test_every_token_but_the_last_part_row_is_predicted_exactly_once(documents: list[list[int]], size: int) -> None:
    rows = list(pack_rows(documents, row_tokens=size, start=0))
    predicted = list(itertools.chain.from_iterable(row[1:] for row in rows))
    stream = list(itertools.chain.from_iterable(documents))
    assert all(len(row) == size for row in rows)
    assert predicted == stream[: len(predicted)]
    assert len(stream) - len(predicted) < size - 1


def test_documents_end_in_the_end_of_text_token(tokenizer_dir: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_dir)
    encoded = list(encode_documents(tokenizer, ["The cat", "", "<|endoftext|>"], batch_documents=2))
    assert [ids[-1] for ids in encoded] == [1, 1, 1]
    assert encoded[1] == [1]
    assert encoded[2].count(1) == 1
