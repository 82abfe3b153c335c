"""New rows among old ones, so that little is forgotten."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hftrain.alignment.feedback_folder import COMPARISONS, CORRECTIONS, PARTS, drawn, old_count
from hftrain.alignment.preferences import PREFERENCE_FEATURES
from hftrain.artifacts import write_json
from hftrain.corpus.storage import CONVERSATION_FEATURES, each_row, read_rows, write_rows
from hftrain.models.taking import link_or_copy

TALKS = "conversations"
Row = Mapping[str, Any]


def mixed_corpus(feedback: Path, corpus: Path, out: Path, *, old_share: float, seed: int) -> None:
    """Write a corpus that is the old one but for the conversations to train on: some of those, and the corrections.

    Args:
        feedback: The corrections.
        corpus: The old corpus; its files are not copied where the file system can give them a second name.
        out: Where the new one goes.
        old_share: Of the conversations, how many are old, as far as there are as many.
        seed: Decides which.
    """
    for name in (*PARTS, f"{TALKS}/heldout"):
        if (corpus / name).is_dir():
            shutil.copytree(corpus / name, out / name, copy_function=link_or_copy)
    new = list(each_row(read_rows(feedback / CORRECTIONS)))
    known = list(each_row(read_rows(corpus / TALKS / "train")))
    kept = drawn(known, old_count(len(new), old_share, len(known)), lambda row: str(row["id"]), seed)
    write_rows(out / TALKS / "train", [*kept, *new], CONVERSATION_FEATURES)
    write_json(out / "summary.json", {"conversations_old": len(kept), "conversations_new": len(new)})


def mixed_preferences(feedback: Path, preferences: Path | None, out: Path, *, old_share: float, seed: int) -> None:
    """Write pairs, old ones among the new.

    Args:
        feedback: The new comparisons.
        preferences: The run's pairs; None where it has none.
        out: Where the pairs go.
        old_share: Of the pairs of a split, how many are old, as far as there are as many.
        seed: Decides which.
    """
    told: dict[str, int] = {}
    for split in PARTS:
        new = list(each_row(read_rows(feedback / COMPARISONS / split)))
        old = old_pairs(preferences, split, len(new), old_share, seed)
        write_rows(out / split, [*old, *new], PREFERENCE_FEATURES)
        told |= {f"pairs_{split}": len(old) + len(new), f"pairs_{split}_old": len(old)}
    write_json(out / "summary.json", {"judge": "people", **told})


def old_pairs(preferences: Path | None, split: str, new: int, old_share: float, seed: int) -> Sequence[Row]:
    """Pairs of the run beside so many new rows; none where it has none."""
    if preferences is None:
        return []
    known = list(each_row(read_rows(preferences / split)))
    return drawn(known, old_count(new, old_share, len(known)), _text, seed)


def _text(row: Row) -> str:
    return json.dumps([row["prompt"], row["chosen"], row["rejected"]], ensure_ascii=False)
