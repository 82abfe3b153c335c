"""Rows of token ids on disk, made once by rank 0, and how they become a batch."""

import dataclasses
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import pyarrow as pa
import torch
from datasets import Dataset, Features, List, Value
from transformers import PreTrainedModel, PreTrainedTokenizerFast, TrainingArguments

from hftrain.corpus.storage import RowWriter, read_rows
from hftrain.errors import ConfigError, DataError
from hftrain.files import read_json, write_json
from hftrain.runtime import progress, rank_zero_first
from hftrain.tokens.encoded_corpus import encoded_corpus
from hftrain.tokens.encoding import Encoded, document_end
from hftrain.tokens.packing import PACKINGS, Packing, PackingAccount, RowPlan, plan_rows, rows_from

ACCOUNT_FILE = "packing.json"
BLOCK_TOKENS = 1 << 20
"""Tokens of rows that are made at a time."""


def rows_of(
    corpus: Path,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    args: TrainingArguments,
    *,
    row_tokens: int,
    packing: Packing = "stream",
    document_masking: bool = False,
    cache: Path | None = None,
) -> tuple[Dataset, PackingAccount]:
    """The rows that a run with these arguments reads, memory-mapped, and what packing them cost.

    The corpus's training documents come in an order shuffled by ``args.seed``; as many are packed as the run reads. A
    row has ``input_ids``; ``labels`` too where some are not learned (-100); ``position_ids`` too with
    ``document_masking``.

    Args:
        corpus: A corpus's folder.
        tokenizer: Encodes documents.
        folder: Where the rows are written, or were by a run that was cut.
        args: How many rows are read, and the seed.
        row_tokens: Tokens in a row.
        packing: See `hftrain.tokens.packing.plan_rows`.
        document_masking: Number positions within documents, so that no token attends to another document.
        cache: Folder of encoded documents that runs share; see `hftrain.tokens.encoded_corpus`.

    Raises:
        ConfigError: Nobody knows the packing.
        DataError: The documents do not fill one row.
    """
    if packing not in PACKINGS:
        raise ConfigError(f"pretrain.packing: {packing!r}. One of {', '.join(PACKINGS)} is needed. Mend the word.")
    with rank_zero_first():
        if not folder.is_dir():
            limit = rows_to_read(args)
            scratch = folder.with_name(folder.name + ".documents")
            encoded, order = encoded_corpus(
                corpus,
                tokenizer,
                scratch,
                cache=cache,
                shuffled_by=args.seed,
                token_limit=None if limit is None else limit * (row_tokens - 1),
            )
            plan, account = plan_rows(
                encoded, order, row_tokens=row_tokens, packing=packing, row_limit=limit, seed=args.seed
            )
            columns = ["input_ids", *(["labels"] * (packing == "whole")), *(["position_ids"] * document_masking)]
            partial = folder.with_name(folder.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            _write(partial, plan, account, encoded, tokenizer, columns)
            write_json(partial / ACCOUNT_FILE, dataclasses.asdict(account))
            partial.rename(folder)
            shutil.rmtree(scratch, ignore_errors=True)
    dataset, account = read_rows(folder), PackingAccount(**read_json(folder / ACCOUNT_FILE))
    if not len(dataset):
        raise DataError(
            f"corpus: its training text does not fill one row of {row_tokens} tokens. At least one row is needed. "
            "Collect more text or lower pretrain.row_tokens."
        )
    return dataset.with_format("numpy"), account


def rows_to_read(args: TrainingArguments) -> int | None:
    """How many rows a run of ``max_steps`` reads at most; None where epochs decide."""
    if args.max_steps <= 0:
        return None
    return args.max_steps * args.train_batch_size * args.gradient_accumulation_steps * args.world_size


def collate_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch whose labels are its inputs unless they are given: the model shifts them. Shape (B, L) each."""
    batch = {name: torch.from_numpy(numpy.stack([row[name] for row in rows]).astype(numpy.int64)) for name in rows[0]}
    return batch if "labels" in batch else {**batch, "labels": batch["input_ids"].clone()}


def check_document_masking(model: PreTrainedModel) -> None:
    """Make sure that the model keeps documents of a row apart where positions begin anew.

    transformers does so for most models, where it gets no attention mask and keeps no cache. Source:
    https://github.com/huggingface/transformers/blob/main/src/transformers/masking_utils.py

    Raises:
        ConfigError: A token's logits depend on the document before it, or on nothing before it at all.
    """
    ids = torch.tensor([[1, 2, 3, 1, 2, 3], [2, 3, 3, 1, 2, 3], [1, 2, 3, 1, 3, 3]], device=model.device)
    positions = torch.tensor([[0, 1, 2, 0, 1, 2]], device=model.device).expand_as(ids)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits
    model.train(was_training)
    last, other_document, other_token = logits[:, -1].float()
    if not torch.equal(last, other_document) or torch.equal(last, other_token):
        raise ConfigError(
            f"pretrain.document_masking: true, but a {model.config.model_type} model lets tokens attend to the "
            "document before them. A model that transformers masks by position_ids is needed. Set it to false, or use "
            "model_type llama or qwen3."
        )


def _write(
    folder: Path,
    plan: RowPlan,
    account: PackingAccount,
    encoded: Encoded,
    tokenizer: PreTrainedTokenizerFast,
    columns: Sequence[str],
) -> None:
    width = account.row_tokens
    features = Features({name: List(Value("int32"), length=width) for name in columns})
    start, pad = document_end(tokenizer), tokenizer.pad_token_id
    with (
        RowWriter(folder, features) as writer,
        progress(total=account.rows, unit="row", description="packing rows") as bar,
    ):
        for block in _blocks(account.rows, max(1, BLOCK_TOKENS // width)):
            made = rows_from(plan, encoded, block, row_tokens=width, start=start, pad=pad)
            by_name = dict(zip(("input_ids", "labels", "position_ids"), made, strict=True))
            arrays = [pa.FixedSizeListArray.from_arrays(pa.array(by_name[name].ravel()), width) for name in columns]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, names=list(columns)))
            bar.update(len(block))


def _blocks(rows: int, size: int) -> Iterator[range]:
    for first in range(0, rows, size):
        yield range(first, min(first + size, rows))
