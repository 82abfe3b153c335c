"""Rows of token ids on disk, made once by rank 0, and how they become a batch."""

import itertools
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from datasets import Dataset, Features, List, Value
from transformers import PreTrainedTokenizerFast, TrainingArguments

from hftrain.corpus.splits import texts_of
from hftrain.corpus.storage import read_rows, write_rows
from hftrain.errors import DataError
from hftrain.runtime import progress, rank_zero_first
from hftrain.tokens.chat import END_OF_TEXT
from hftrain.tokens.packing import encode_documents, pack_rows

ROW_FEATURES = Features({"input_ids": List(Value("int32"))})


def rows_of(
    corpus: Path, tokenizer: PreTrainedTokenizerFast, folder: Path, args: TrainingArguments, *, row_tokens: int
) -> Dataset:
    """The rows that a run with these arguments reads, from the corpus's training documents in a shuffled order."""
    texts = texts_of(corpus, "train", shuffled_by=args.seed)
    return packed_rows(texts, tokenizer, folder, row_tokens=row_tokens, row_limit=rows_to_read(args))


def packed_rows(
    texts: Iterable[str],
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    *,
    row_tokens: int,
    row_limit: int | None,
) -> Dataset:
    """Rows of exactly ``row_tokens`` ids on disk, memory-mapped; as many as the texts give, or as the run will read.

    Raises:
        DataError: The texts do not fill one row.
    """
    with rank_zero_first():
        if not folder.is_dir():
            partial = folder.with_name(folder.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            start = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
            rows = pack_rows(encode_documents(tokenizer, texts), row_tokens=row_tokens, start=start)
            limited = progress(
                itertools.islice(rows, row_limit), total=row_limit, unit="row", description="packing rows"
            )
            write_rows(partial, ({"input_ids": row} for row in limited), ROW_FEATURES)
            partial.rename(folder)
    dataset = read_rows(folder)
    if not len(dataset):
        raise DataError(
            f"corpus: its training text does not fill one row of {row_tokens} tokens. At least one row is needed. "
            "Collect more text or lower pretrain.row_tokens."
        )
    return dataset


def rows_to_read(args: TrainingArguments) -> int | None:
    """How many rows a run of ``max_steps`` reads at most; None where epochs decide."""
    if args.max_steps <= 0:
        return None
    return args.max_steps * args.train_batch_size * args.gradient_accumulation_steps * args.world_size


def collate_rows(rows: Sequence[Mapping[str, list[int]]]) -> dict[str, torch.Tensor]:
    """A batch whose labels are its inputs: the model shifts them. Shape (B, L) each."""
    ids = torch.tensor([row["input_ids"] for row in rows], dtype=torch.long)
    return {"input_ids": ids, "labels": ids.clone()}
