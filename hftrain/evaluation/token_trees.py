"""Alternatives that begin alike as one row of tokens: what they share is computed once.

The sequences of one item (a question with each of its choices) are laid into a tree: each token is one node, and
sees the nodes above it and itself. A row is such a tree in the order in which its nodes came; its mask keeps branches
apart, its positions are the depths. What a node is given so is what it would be given in its own sequence.

Shape legend: B rows, L tokens of the longest, T targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy
import torch
from numpy.typing import NDArray

SQUARE_TOKENS = 512
"""Where a masked row's attention costs as much as all else of it: measured with models of one and four million
parameters on two cores."""

Booleans = NDArray[numpy.bool_]


@dataclass(frozen=True, slots=True)
class Sequence_:
    """The tokens of one continuation after its context."""

    tokens: tuple[int, ...]
    scored: int
    """How many of the last ones are the continuation's."""


@dataclass(slots=True)
class Row:
    """Tokens of one row, what each is under, and what is asked of which."""

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    targets: list[tuple[int, int, int]] = field(default_factory=list)
    """Node whose successor is asked for, that successor, and the request it is of."""
    branches: bool = False

    def __len__(self) -> int:
        return len(self.tokens)

    def mask(self) -> Booleans:
        """Which nodes (columns) a node (row) sees. Shape (L, L)."""
        size = len(self)
        if not self.branches:
            return numpy.tri(size, dtype=numpy.bool_)
        sees = numpy.zeros((size, size), numpy.bool_)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                sees[node, : parent + 1] = sees[parent, : parent + 1]
            sees[node, node] = True
        return sees


def rows_of(groups: Sequence[Sequence[tuple[int, Sequence_]]], *, branching: bool) -> list[Row]:
    """The rows in which all sequences are computed, each sequence given with the number of its request.

    Args:
        groups: Alternatives of an item each; they share a row where that is less work.
        branching: Whether a row may branch. Without, only alternatives that differ in their last token share one.
    """
    rows = []
    for group in groups:
        tree = _tree(group)
        alone = sum(_work(len(each.tokens) - 1, is_masked=False) for _, each in group)
        is_less = _work(len(tree), is_masked=tree.branches) < alone
        if len(group) == 1 or (is_less and (branching or not tree.branches)):
            rows.append(tree)
        else:
            rows += [_tree([one]) for one in group]
    return rows


def _work(tokens: int, *, is_masked: bool) -> float:
    """Roughly what a row costs, in tokens: attention grows with their square, and twice as fast where it is masked."""
    return tokens * (1 + tokens / (SQUARE_TOKENS if is_masked else 2 * SQUARE_TOKENS))


def _tree(group: Sequence[tuple[int, Sequence_]]) -> Row:
    row = Row()
    children: dict[tuple[int, int], int] = {}
    for request, sequence in group:
        tokens, node = sequence.tokens, -1
        first_target = len(tokens) - sequence.scored
        for place in range(len(tokens) - 1):
            key = (node, tokens[place])
            child = children.get(key)
            if child is None:
                child = children[key] = len(row.tokens)
                row.tokens.append(tokens[place])
                row.parents.append(node)
                row.depths.append(place)
                row.branches |= node != child - 1
            node = child
            if place + 1 >= first_target:
                row.targets.append((node, tokens[place + 1], request))
    return row


@dataclass(frozen=True)
class Batch:
    """Rows as tensors, padded on the right."""

    ids_BL: torch.Tensor
    positions_BL: torch.Tensor
    sees_BLL: torch.Tensor | None
    """Which columns a place sees; None where every row is a plain sequence, which sees all before it."""
    rows_T: torch.Tensor
    places_T: torch.Tensor
    wanted_T: torch.Tensor
    requests_T: torch.Tensor


def batch_of(rows: Sequence[Row], pad: int) -> Batch:
    """The tensors of some rows. A pad token sees itself alone, so that no row of a softmax is empty."""
    longest = max(len(row) for row in rows)
    ids = numpy.full((len(rows), longest), pad, numpy.int64)
    positions = numpy.zeros((len(rows), longest), numpy.int64)
    sees = None
    if any(row.branches for row in rows):
        sees = numpy.broadcast_to(numpy.eye(longest, dtype=numpy.bool_), (len(rows), longest, longest)).copy()
    for place, row in enumerate(rows):
        size = len(row)
        ids[place, :size] = row.tokens
        positions[place, :size] = row.depths
        if sees is not None:
            sees[place, :size, :size] = row.mask()
    targets = numpy.array([(place, *target) for place, row in enumerate(rows) for target in row.targets], numpy.int64)
    columns = torch.from_numpy(targets).unbind(1)
    return Batch(
        torch.from_numpy(ids), torch.from_numpy(positions), None if sees is None else torch.from_numpy(sees), *columns
    )
