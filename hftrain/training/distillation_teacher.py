"""A teacher that is asked for the same rows again and again, and need not think twice.

Conversations are few and come many times. What the teacher's last layer gives for their answers is computed once, in
the order of the rows, and kept on disk: D numbers a token instead of V logits, and exact.

Shape legend: B rows, L tokens in a row, T positions, D the teacher's width.
"""

from pathlib import Path
from typing import Any

import numpy
import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel

from hftrain.models.training_step import CHUNKED_TYPES
from hftrain.runtime import progress, rank_zero_first
from hftrain.training.distillation_loss import Scores, learned_positions, scores_of

BATCH_ROWS = 8


class Teacher:
    """What a model makes of rows: computed when it is asked for, or remembered."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Ask this model, which is not trained."""
        self.model: Any = model
        self.remembered_PD: Any = None
        """Of all learned positions of all conversations' rows."""
        self.ends: Any = None
        """Where each row's end."""

    def remember(self, conversations: Dataset, path: Path) -> None:
        """Compute all rows of conversations once, if logits can be made from what is kept; kept at ``path``."""
        if self.model.config.model_type not in CHUNKED_TYPES:
            return
        labels = numpy.stack([row["labels"] for row in conversations])
        counts = learned_positions(torch.from_numpy(labels))[0].sum(1)
        self.ends = counts.cumsum(0)
        with rank_zero_first():
            if not path.is_file():
                self._write(conversations, path)
        self.remembered_PD = numpy.load(path, mmap_mode="r")

    @torch.no_grad()
    def scores(self, numbers_B: Tensor, *, where_BL: Tensor, input_ids: Tensor, position_ids: Tensor) -> Scores:
        """What the teacher predicts after the marked positions of some rows, T in all.

        Args:
            numbers_B: Which of the conversations' rows each is; -1 for a document.
            where_BL: The positions.
            input_ids: Shape (B, L).
            position_ids: Shape (B, L).
        """
        if self.remembered_PD is None:
            return scores_of(self.model, where_BL, input_ids=input_ids, position_ids=position_ids)
        is_known_B = numbers_B >= 0
        is_known_T = is_known_B[:, None].expand_as(where_BL)[where_BL]
        known = self._recalled(numbers_B[is_known_B]).to(input_ids.device)
        found = Scores(known, self.model.get_output_embeddings().weight)
        if bool(is_known_B.all()):
            return found
        new = scores_of(
            self.model, where_BL[~is_known_B], input_ids=input_ids[~is_known_B], position_ids=position_ids[~is_known_B]
        )
        order = torch.cat([is_known_T.nonzero(), (~is_known_T).nonzero()])[:, 0].argsort()
        return found.and_then(new).of(order)

    def _recalled(self, numbers: Tensor) -> Tensor:
        ends = self.ends
        parts = [self.remembered_PD[(ends[number - 1] if number else 0) : ends[number]] for number in numbers.tolist()]
        width = self.remembered_PD.shape[1]
        return torch.from_numpy(numpy.concatenate([numpy.zeros((0, width), dtype=numpy.float32), *parts]))

    @torch.no_grad()
    def _write(self, conversations: Dataset, path: Path) -> None:
        made = []
        for first in progress(
            range(0, len(conversations), BATCH_ROWS), unit="batch", description="the teacher reads the conversations"
        ):
            rows = conversations[first : first + BATCH_ROWS]
            batch = {name: torch.from_numpy(numpy.stack(rows[name])).long().to(self.model.device) for name in rows}
            where_BL, _ = learned_positions(batch["labels"])
            read = {name: batch[name] for name in ("input_ids", "position_ids")}
            made.append(scores_of(self.model, where_BL, **read).hidden_TD.float().cpu().numpy())
        partial = path.with_suffix(".partial.npy")
        numpy.save(partial, numpy.concatenate(made))
        partial.rename(path)
