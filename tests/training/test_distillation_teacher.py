from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hftrain.corpus.storage import read_rows
from hftrain.training.distillation_loss import learned_positions
from hftrain.training.distillation_rows import write_packed
from hftrain.training.distillation_teacher import Teacher

ITEMS = [(list(range(first, first + length)),) * 2 for first, length in ((10, 5), (40, 8), (70, 3), (90, 7))]


def test_what_is_remembered_of_some_rows_is_what_would_be_computed(
    tiny_model: Callable[..., tuple[Any, Any]], tmp_path: Path
) -> None:
    write_packed(tmp_path / "rows", ITEMS, row_tokens=8, pad=0)
    rows = read_rows(tmp_path / "rows").with_format("numpy")
    model = tiny_model()[0].eval()
    remembers, computes = Teacher(model), Teacher(model)
    remembers.remember(rows, tmp_path / "teacher.npy")
    assert len(rows) == 3

    some = rows[[2, 0, 1]]
    batch = {name: torch.from_numpy(some[name]).long() for name in some}
    where, _ = learned_positions(batch.pop("labels"))
    for numbers in ([2, 0, 1], [2, -1, 1], [-1, 0, -1]):  # -1: as if it were a document, which is computed anew
        asked = {"where_BL": where, **batch}
        found = remembers.scores(torch.tensor(numbers), **asked)
        expected = computes.scores(torch.tensor(numbers), **asked)
        every = slice(None)
        torch.testing.assert_close(found.logits(every), expected.logits(every), atol=1e-5, rtol=1e-4)
