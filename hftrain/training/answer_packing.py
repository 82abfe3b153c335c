"""Several conversations in a row, none of which sees another: less padding, the same loss.

transformers keeps stretches of a row apart where positions begin anew, if it gets no attention mask and keeps no cache
(``create_causal_mask`` in its masking_utils); TRL's SFTTrainer keeps none. A batch has several rows: TRL's own packing
joins them into one, whose mask costs the square of its length.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from transformers import PreTrainedModel

from hftrain.errors import ConfigError
from hftrain.tokens.lens import IGNORED, Row
from hftrain.tokens.packing import best_fit_decreasing
from hftrain.training.rows import check_document_masking

PackedRow = dict[str, list[int]]


@dataclass(frozen=True)
class AnswerPacking:
    """What packing cost, and saved."""

    rows: int
    row_tokens: int
    conversations: int
    tokens: int
    padding_tokens: int
    """That stay empty if every row is filled up to ``row_tokens``."""


def pack_answers(rows: Sequence[Row], *, row_tokens: int) -> tuple[list[PackedRow], AnswerPacking]:
    """Lay whole conversations into rows, best fit decreasing; none is cut.

    Args:
        rows: ``input_ids`` and ``labels``, none longer than ``row_tokens``. What a model is trained on begins after
            the first token of each.
        row_tokens: What a packed row may have.

    Returns:
        Rows that have ``seq_lengths`` too, the tokens of each of their conversations; and an account of them.
    """
    sizes = numpy.array([len(row["input_ids"]) for row in rows], dtype=numpy.int64)
    bins, places, bin_count = best_fit_decreasing(sizes, row_tokens)
    packed: list[PackedRow] = [{"input_ids": [], "labels": [], "seq_lengths": []} for _ in range(bin_count)]
    for index in numpy.lexsort((places, bins)).tolist():
        into = packed[int(bins[index])]
        into["input_ids"] += rows[index]["input_ids"]
        into["labels"] += [IGNORED, *rows[index]["labels"][1:]]
        into["seq_lengths"].append(int(sizes[index]))
    tokens = int(sizes.sum())
    account = AnswerPacking(bin_count, row_tokens, len(rows), tokens, bin_count * row_tokens - tokens)
    return packed, account


class PackedCollator:
    """Makes a batch of packed rows, without an attention mask."""

    def __init__(self, pad_id: int) -> None:
        """Keep what rows are filled up with."""
        self.pad_id = pad_id

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Fill rows up to the longest: ids, labels and positions, which begin anew with each conversation and padding.

        Shape (B, L) each, B rows, L tokens of the longest.
        """
        longest = max(len(row["input_ids"]) for row in rows)
        made: dict[str, list[list[int]]] = {"input_ids": [], "labels": [], "position_ids": []}
        for row in rows:
            empty = longest - len(row["input_ids"])
            made["input_ids"].append([*row["input_ids"], *[self.pad_id] * empty])
            made["labels"].append([*row["labels"], *[IGNORED] * empty])
            positions = [place for length in (*row["seq_lengths"], empty) for place in range(length)]
            made["position_ids"].append(positions)
        return {name: torch.tensor(values) for name, values in made.items()}


def check_packing(model: PreTrainedModel) -> None:
    """Make sure that the model keeps conversations of a row apart.

    Raises:
        ConfigError: A token's logits depend on the conversation before it.
    """
    try:
        check_document_masking(model)
    except ConfigError as problem:
        raise ConfigError(
            f"sft.packing: true, but a {model.config.model_type} model lets tokens attend to the conversation before "
            "theirs. A model that transformers masks by position_ids is needed. Set it to false."
        ) from problem
