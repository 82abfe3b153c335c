"""What a student reads: the corpus's documents as in pretraining, and conversations whose answers are learned.

Conversations are packed whole into rows of the same length; positions begin anew with each, so that none sees another.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from datasets import Dataset, Features, List, Value
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast, TrainingArguments

from hftrain.corpus.splits import conversations_of
from hftrain.corpus.storage import RowWriter, read_rows
from hftrain.errors import DataError
from hftrain.runtime import rank_zero_first
from hftrain.tokens.chat import Messages
from hftrain.tokens.encoding import encode_documents
from hftrain.tokens.lens import IGNORED, label_conversations
from hftrain.tokens.packing import best_fit_decreasing
from hftrain.training.rows import rows_of

Numbers = NDArray[numpy.int64]
COLUMNS = ("input_ids", "labels", "position_ids")


@dataclass(frozen=True)
class Written:
    """What a teacher wrote, to be learned beside the corpus."""

    documents: Sequence[str] = ()
    conversations: Sequence[Messages] = ()


class MixedRows(torch.utils.data.Dataset[Mapping[str, Any]]):
    """Rows of documents and, so that they make up a share of all, rows of conversations again and again."""

    def __init__(self, documents: Dataset, conversations: Dataset, *, share: float, seed: int) -> None:
        """Mix them: the first part are all documents' rows, then passes over the conversations', each shuffled.

        Args:
            documents: Rows of ``input_ids``.
            conversations: Rows of `COLUMNS`.
            share: Of all rows, from 0 to less than 1.
            seed: Of the shuffles.
        """
        self.documents, self.conversations = documents, conversations
        wanted = round(len(documents) * share / (1 - share))
        passes = -(-wanted // max(1, len(conversations)))
        draw = numpy.random.default_rng(seed)
        order = [draw.permutation(len(conversations)) for _ in range(passes)]
        self.order = numpy.concatenate([*order, numpy.zeros(0, dtype=numpy.int64)])[:wanted]

    def __len__(self) -> int:
        """All rows, each pass over the conversations counted."""
        return len(self.documents) + len(self.order)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        """A row of `COLUMNS`, and which of the conversations' rows it is; -1 for a document's."""
        if index >= len(self.documents):
            number = int(self.order[index - len(self.documents)])
            return {**self.conversations[number], "conversation": number}
        ids = self.documents[int(index)]["input_ids"]
        return {"input_ids": ids, "labels": ids, "position_ids": numpy.arange(len(ids)), "conversation": -1}


def mixed_rows(
    corpus: Path,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    args: TrainingArguments,
    *,
    row_tokens: int,
    share: float,
    cache: Path | None,
    written: Written | None = None,
) -> tuple[MixedRows, dict[str, int]]:
    """The rows that a student reads, made once, and how many there are of which.

    Raises:
        DataError: The documents do not fill a row, or no conversation with an answer fits one.
    """
    documents, account = rows_of(corpus, tokenizer, folder / "documents", args, row_tokens=row_tokens, cache=cache)
    where = folder / "conversations"
    with rank_zero_first():
        if not where.is_dir():
            found = written or Written()
            talks = [*conversations_of(corpus, "train", needed=share > 0), *found.conversations] if share else []
            labelled = label_conversations(tokenizer, talks, max_row_tokens=row_tokens)
            items = [(row["input_ids"], row["labels"]) for row in labelled.rows]
            items += _as_items(tokenizer, found.documents, row_tokens)
            if share and not labelled.rows:
                raise DataError(
                    f"{corpus / 'conversations' / 'train'}: none of {len(talks)} conversations has an answer and fits "
                    f"{row_tokens} tokens. One is needed. Raise distill.row_tokens, or set "
                    "distill.conversation_share: 0."
                )
            write_packed(where, items, row_tokens=row_tokens, pad=int(tokenizer.pad_token_id))
    conversations = read_rows(where).with_format("numpy")
    rows = MixedRows(documents, conversations, share=share, seed=args.seed)
    counts = {"document_rows": len(documents), "conversation_rows": len(conversations), "documents": account.documents}
    return rows, counts


def collate_mixed(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch: `COLUMNS`, shape (B, L) each, and ``conversation``, shape (B,). The first token is no label."""
    batch = {name: torch.from_numpy(numpy.stack([row[name] for row in rows]).astype(numpy.int64)) for name in COLUMNS}
    batch["labels"][:, 0] = IGNORED
    return {**batch, "conversation": torch.tensor([row["conversation"] for row in rows])}


def write_packed(
    folder: Path, items: Sequence[tuple[Sequence[int], Sequence[int]]], *, row_tokens: int, pad: int
) -> None:
    """Pack items of ids and labels whole into rows, each item's first label left out: nothing in it predicts it."""
    sizes = numpy.array([len(ids) for ids, _ in items], dtype=numpy.int64)
    bins, places, count = best_fit_decreasing(sizes, row_tokens)
    made = {name: numpy.zeros((count, row_tokens), dtype=numpy.int32) for name in COLUMNS}
    made["input_ids"][:], made["labels"][:] = pad, IGNORED
    made["position_ids"][:] = _padding_positions(bins, places, sizes, count, row_tokens)
    for (ids, labels), row, place in zip(items, bins.tolist(), places.tolist(), strict=True):
        part = slice(place, place + len(ids))
        made["input_ids"][row, part] = ids
        made["labels"][row, part] = [IGNORED, *labels[1:]]
        made["position_ids"][row, part] = numpy.arange(len(ids))
    features = Features({name: List(Value("int32"), length=row_tokens) for name in COLUMNS})
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with RowWriter(partial, features) as writer:
        for row in range(count):
            writer.write({name: made[name][row].tolist() for name in COLUMNS})
    partial.rename(folder)


def _padding_positions(bins: Numbers, places: Numbers, sizes: Numbers, count: int, row_tokens: int) -> Numbers:
    """Positions that begin anew where a row's items end, and go on to its end. Shape (rows, row_tokens)."""
    ends = numpy.zeros(count, dtype=numpy.int64)
    numpy.maximum.at(ends, bins, places + sizes)
    return numpy.maximum(numpy.arange(row_tokens)[None] - ends[:, None], 0)


def _as_items(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], row_tokens: int
) -> list[tuple[list[int], list[int]]]:
    """Texts that a teacher wrote, each with the end of text before it; what does not fit a row is cut off."""
    start = int(tokenizer.bos_token_id or 0)
    rows = [[start, *ids][:row_tokens] for ids in encode_documents(tokenizer, list(texts))] if texts else []
    return [(ids, ids) for ids in rows if len(ids) > 1]
