import itertools

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftrain.tokens.encoding import Encoded
from hftrain.tokens.packing import best_fit_decreasing, plan_rows, rows_from

DOCUMENTS = st.lists(st.lists(st.integers(2, 99), max_size=30), min_size=1, max_size=20)
START, PAD = 1, 0


def encoded(documents):
    rows = [[*ids, START] for ids in documents]
    return Encoded(ids=numpy.array(sum(rows, [])), ends=numpy.cumsum([len(row) for row in rows]))


def packed(documents, *, order=None, row_tokens, packing, row_limit=None, seed=0):
    """The rows as lists, their labels and positions, and the account."""
    given_ = encoded(documents)
    order = numpy.arange(len(documents)) if order is None else numpy.array(order)
    plan, account = plan_rows(given_, order, row_tokens=row_tokens, packing=packing, row_limit=row_limit, seed=seed)
    made = rows_from(plan, given_, range(account.rows), row_tokens=row_tokens, start=START, pad=PAD)
    return (*(part.tolist() for part in made), account)


def test_rows_of_a_stream_overlap_by_one_token_so_that_each_is_predicted_once() -> None:
    ids, labels, positions, account = packed([[2, 3, 4], [5, 6]], row_tokens=4, packing="stream")

    assert ids == [[1, 2, 3, 4], [4, 1, 5, 6]]
    assert [row[1:] for row in labels] == [row[1:] for row in ids]
    assert positions == [[0, 1, 2, 3], [0, 0, 1, 2]]
    assert (account.documents, account.documents_cut, account.cuts, account.left_out_tokens) == (2, 1, 1, 1)
    assert (account.tokens, account.padding_tokens) == (8, 0)


@settings(deadline=None)
@given(DOCUMENTS, st.integers(2, 9), st.randoms())
def test_a_stream_is_the_documents_in_order_cut_into_rows(documents, row_tokens, random) -> None:
    order = list(range(len(documents)))
    random.shuffle(order)

    ids, _, _, account = packed(documents, order=order, row_tokens=row_tokens, packing="stream")

    stream = [START, *itertools.chain.from_iterable([*documents[index], START] for index in order)]
    step = row_tokens - 1
    assert ids == [stream[at : at + row_tokens] for at in range(0, len(stream) - step, step)]
    assert account.left_out_tokens == len(stream) - 1 - step * len(ids)


@settings(deadline=None)
@given(DOCUMENTS, st.integers(2, 12))
def test_whole_documents_are_learned_once_each_and_cut_only_where_they_fit_in_no_row(documents, row_tokens) -> None:
    ids, labels, _, account = packed(documents, row_tokens=row_tokens, packing="whole")

    learned = [label for row in labels for label in row[1:] if label != -100]
    assert sorted(learned) == sorted(itertools.chain.from_iterable([*each, START] for each in documents))
    rows = [tuple(row) for row in ids]
    for document in documents:
        whole = (START, *document, START)
        if len(whole) <= row_tokens:
            assert any(whole == row[at : at + len(whole)] for row in rows for at in range(row_tokens))
    longer = [each for each in documents if len(each) + 2 > row_tokens]
    assert account.documents_cut == len(longer)
    assert account.padding_tokens == sum(row.count(PAD) for row in ids)
    assert (account.documents, account.left_out_tokens) == (len(documents), 0)


def test_what_is_padded_or_only_read_is_no_label_and_positions_begin_anew() -> None:
    ids, labels, positions, account = packed([[2, 3, 4, 5, 6, 7], [8]], row_tokens=6, packing="whole", seed=3)

    rows = sorted(zip(ids, labels, positions, strict=True), key=lambda row: row[0][1])
    assert rows[0] == ([1, 2, 3, 4, 5, 6], [-100, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5])
    # What remains of the long document, 7 and its end, is read with the 6 before it.
    assert rows[1] == ([1, 6, 7, 1, 8, 1], [-100, -100, 7, 1, 8, 1], [0, 0, 1, 0, 1, 0])
    assert (account.rows, account.padding_tokens, account.documents_cut, account.cuts) == (2, 0, 1, 1)


def test_an_empty_document_is_its_end_alone() -> None:
    ids, labels, _, account = packed([[]], row_tokens=3, packing="whole")

    assert (ids, labels) == ([[1, 1, 0]], [[-100, 1, -100]])
    assert (account.tokens, account.padding_tokens) == (2, 1)


def test_rows_that_will_not_be_read_are_not_made_and_are_counted() -> None:
    documents = [[index] * 4 for index in range(2, 12)]

    for packing in ("stream", "whole"):
        ids, _, _, account = packed(documents, row_tokens=6, packing=packing, row_limit=3)
        assert (len(ids), account.rows, account.left_out_tokens) == (3, 3, 35)


def test_items_go_into_the_fullest_bin_that_has_room() -> None:
    bins, places, count = best_fit_decreasing(numpy.array([3, 7, 2, 6, 3]), 10)

    assert bins.tolist() == [0, 0, 2, 1, 1]  # 7 and 3 fill one, 6 and 3 leave 1, 2 finds no room
    assert places.tolist() == [7, 0, 0, 0, 6]
    assert count == 3


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), max_size=60))
def test_bins_are_those_of_placing_one_item_after_another(sizes) -> None:
    bins, places, count = best_fit_decreasing(numpy.array(sizes, dtype=numpy.int64), 20)

    left = []
    for size in sorted(sizes, reverse=True):
        fits = [index for index, room in enumerate(left) if room >= size]
        if fits:
            left[min(fits, key=lambda index: left[index])] -= size
        else:
            left.append(20 - size)
    taken = [
        sum(size for size, each in zip(sizes, bins.tolist(), strict=True) if each == index) for index in range(count)
    ]
    assert sorted(20 - each for each in taken) == sorted(left)
    spans = sorted(zip(bins.tolist(), places.tolist(), sizes, strict=True))
    assert all(a[0] != b[0] or a[1] + a[2] <= b[1] for a, b in itertools.pairwise(spans))


@pytest.mark.parametrize("packing", ["stream", "whole"])
def test_a_book_is_packed_within_a_second(packing) -> None:
    import time

    lengths = numpy.random.default_rng(0).integers(1, 4000, size=1000)
    book = Encoded(ids=numpy.full(int(lengths.sum()), 5), ends=numpy.cumsum(lengths))
    began = time.process_time()
    plan, account = plan_rows(book, numpy.arange(1000), row_tokens=256, packing=packing, row_limit=None, seed=0)
    rows_from(plan, book, range(account.rows), row_tokens=256, start=START, pad=PAD)

    assert time.process_time() - began < 1
