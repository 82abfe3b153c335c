"""Pairs as answers that are desirable or not, which KTO learns from."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from hftrain.alignment.preference_policy import Row, TokenPairs
from hftrain.errors import DataError


def as_unpaired(pairs: TokenPairs, args: Any, max_row_tokens: int) -> tuple[list[Row], list[Row], Mapping[str, int]]:
    """The rows that KTO reads: each answer once, labelled, in an order of the seed, each batch with its strangers.

    KTO measures how far the policy has moved on answers to other prompts: ``KL_completion_ids``. TRL takes the
    answer before, in batches that must stay together, so the order is fixed here and kept.

    Source: Ethayarajh et al. 2024, arXiv:2402.01306.
    """
    train, ambiguous = labelled_answers(pairs.train)
    heldout, _ = labelled_answers(pairs.heldout)
    random.Random(args.seed).shuffle(train)
    desirable = sum(row["label"] for row in train)
    counts = {
        "train_answers": len(train),
        "desirable_answers": desirable,
        "undesirable_answers": len(train) - desirable,
        "ambiguous_answers": ambiguous,
    }
    batch, limit = args.per_device_train_batch_size, max_row_tokens
    return with_strangers(train, batch, limit), with_strangers(heldout, batch, limit), counts


def labelled_answers(pairs: Sequence[Row]) -> tuple[list[dict[str, Any]], int]:
    """Each distinct answer to a prompt, desirable if it was chosen more often than rejected.

    Returns:
        Rows of ``prompt_ids``, ``completion_ids``, ``label``, in the order of first appearance; and how many answers
        were left out because they were chosen as often as rejected.
    """
    wins: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    for pair in pairs:
        for which, by in (("chosen", 1), ("rejected", -1)):
            key = tuple(pair["prompt_ids"]), tuple(pair[f"{which}_ids"])
            wins[key] = wins.get(key, 0) + by
    rows = [
        {"prompt_ids": list(prompt), "completion_ids": list(answer), "label": won > 0}
        for (prompt, answer), won in wins.items()
        if won
    ]
    return rows, len(wins) - len(rows)


def with_strangers(rows: Sequence[Row], batch_rows: int, max_row_tokens: int) -> list[Row]:
    """Each row with an answer to another prompt: the nearest one before it in its batch, round the batch's end.

    Where no other prompt is in the batch, or its answer would make a row too long, any other row's answer serves.

    Raises:
        DataError: No answer to another prompt fits.
    """
    found: list[Row] = []
    for place, row in enumerate(rows):
        first = place - place % batch_rows
        batch = list(range(first, min(first + batch_rows, len(rows))))
        here = place - first
        near = [*reversed(batch[:here]), *reversed(batch[here + 1 :])]
        room = max_row_tokens - len(row["prompt_ids"])
        for other in (*near, *range(len(rows))):
            answer = rows[other]["completion_ids"]
            if rows[other]["prompt_ids"] != row["prompt_ids"] and len(answer) <= room:
                found.append({**row, "KL_completion_ids": answer})
                break
        else:
            raise DataError(
                f"preferences: no answer to another prompt fits {max_row_tokens} tokens behind a prompt of "
                f"{len(row['prompt_ids'])}. KTO compares each prompt with the answers to others. Collect preferences "
                "on more prompts, or raise kto.max_row_tokens."
            )
    return found
