from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from hftrain.corpus.storage import read_rows
from hftrain.training.distillation_loss import learned_positions, next_token_nats, scores_of
from hftrain.training.distillation_rows import MixedRows, collate_mixed, write_packed

ITEMS = [([11, 12, 13], [-100, 12, 13]), ([21, 22], [21, 22]), ([31, 32, 33, 34], [-100, -100, 33, 34])]


@pytest.fixture
def packed(tmp_path: Path) -> Any:
    write_packed(tmp_path / "rows", ITEMS, row_tokens=6, pad=0)
    return read_rows(tmp_path / "rows").with_format("numpy")


def test_items_share_rows_and_each_begins_at_position_0(packed: Any) -> None:
    rows = [{name: row[name].tolist() for name in row} for row in packed]
    assert rows == [
        {
            "input_ids": [31, 32, 33, 34, 21, 22],
            "labels": [-100, -100, 33, 34, -100, 22],
            "position_ids": [0, 1, 2, 3, 0, 1],
        },
        {
            "input_ids": [11, 12, 13, 0, 0, 0],
            "labels": [-100, 12, 13, -100, -100, -100],
            "position_ids": [0, 1, 2, 0, 1, 2],
        },
    ]


def test_items_in_one_row_cost_what_they_cost_alone(packed: Any, tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    model = tiny_model()[0].eval()

    def nats(batch: dict[str, torch.Tensor]) -> float:
        where, labels = learned_positions(batch["labels"])
        inputs = {name: batch[name] for name in ("input_ids", "position_ids")}
        with torch.no_grad():
            return next_token_nats(scores_of(model, where, **inputs), labels).item()

    together = nats(collate_mixed([{**row, "conversation": 0} for row in packed]))
    alone = [
        nats(
            {
                "input_ids": torch.tensor([ids]),
                "labels": torch.tensor([[-100, *labels[1:]]]),
                "position_ids": torch.arange(len(ids))[None],
            }
        )
        for ids, labels in ITEMS
    ]
    assert together == pytest.approx(sum(alone), rel=1e-5)


def test_conversations_come_again_until_they_make_up_their_share(packed: Any) -> None:
    documents: Any = [{"input_ids": numpy.arange(place, place + 6)} for place in range(12)]
    rows = MixedRows(documents, packed, share=0.25, seed=1)
    assert len(rows) == 16
    kinds = [rows[place]["conversation"] >= 0 for place in range(16)]
    assert kinds == [False] * 12 + [True] * 4
    firsts = [int(rows[place]["input_ids"][0]) for place in range(12, 16)]
    assert sorted(firsts) == [11, 11, 31, 31]
    assert collate_mixed([rows[3]])["labels"].tolist() == [[-100, 4, 5, 6, 7, 8]]


def test_without_a_share_there_are_documents_alone(packed: Any) -> None:
    documents: Any = [{"input_ids": numpy.arange(6)}] * 3
    assert len(MixedRows(documents, packed, share=0, seed=1)) == 3
