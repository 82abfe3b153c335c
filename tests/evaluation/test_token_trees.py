import numpy

from hftrain.evaluation.token_trees import Sequence_, batch_of, rows_of


def long_item() -> list[tuple[int, Sequence_]]:
    shared = tuple(range(100, 140))
    return [(0, Sequence_((*shared, 1, 2), 2)), (1, Sequence_((*shared, 3, 4, 5), 3))]


def test_what_alternatives_share_stands_in_a_row_once() -> None:
    (row,) = rows_of([long_item()], branching=True)

    assert len(row) == 43  # 40 shared tokens, and all but the last of each ending: last ones are only asked for
    assert row.branches
    assert sorted(row.targets) == [(39, 1, 0), (39, 3, 1), (40, 2, 0), (41, 4, 1), (42, 5, 1)]
    assert row.depths[40:] == [40, 40, 41]


def test_a_branch_sees_what_is_above_it_and_not_its_neighbour() -> None:
    (row,) = rows_of([long_item()], branching=True)

    sees = row.mask()

    assert sees[41, :40].all() and sees[41, 41] and not sees[41, 40]
    assert sees[42, :40].all() and sees[42, 41:].all() and not sees[42, 40]
    assert not numpy.triu(sees, 1).any()


def test_without_branching_only_endings_of_one_token_share_a_row() -> None:
    shared = tuple(range(30))
    one_token = [(0, Sequence_((*shared, 7), 1)), (1, Sequence_((*shared, 8), 1))]

    assert len(rows_of([long_item()], branching=False)) == 2
    (row,) = rows_of([one_token], branching=False)
    assert not row.branches
    assert row.targets == [(29, 7, 0), (29, 8, 1)]


def test_alternatives_that_share_nothing_stay_apart() -> None:
    apart = [(0, Sequence_((1, 2, 3), 2)), (1, Sequence_((4, 5, 6), 2))]

    assert [len(row) for row in rows_of([apart], branching=True)] == [2, 2]


def test_a_batch_pads_on_the_right_with_tokens_that_see_themselves_alone() -> None:
    rows = rows_of([long_item(), [(2, Sequence_((5, 6, 7), 1))]], branching=True)

    batch = batch_of(rows, pad=0)

    assert batch.ids_BL.shape == (2, 43)
    assert batch.sees_BLL is not None
    assert batch.sees_BLL[1, 5].nonzero().flatten().tolist() == [5]
    assert batch.requests_T.tolist() == [0, 0, 1, 1, 1, 2]
