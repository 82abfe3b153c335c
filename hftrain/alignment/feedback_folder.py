"""Feedback on disk: three sets of rows in the shapes that TRL's trainers read, and what was dropped."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Features, List, Value

from hftrain.alignment.feedback import SortedFeedback, Voice
from hftrain.alignment.preferences import PREFERENCE_FEATURES, RankedPrompt, prompt_key
from hftrain.alignment.rankings import is_heldout
from hftrain.artifacts import write_json, write_jsonl
from hftrain.corpus.records import conversation_id
from hftrain.corpus.storage import CONVERSATION_FEATURES, read_rows, write_rows
from hftrain.errors import DataError

CORRECTIONS, THUMBS, COMPARISONS = "corrections", "thumbs", "comparisons"
SOURCE = "feedback"
"""What corrections are called where sources are named."""

THUMB_FEATURES = Features(
    {
        "prompt": List({"role": Value("string"), "content": Value("string")}),
        "completion": List({"role": Value("string"), "content": Value("string")}),
        "label": Value("bool"),
    }
)
"""One answer a row, and whether it was liked: what TRL calls an unpaired preference."""

Row = Mapping[str, Any]


def write_feedback(found: SortedFeedback, pairs: Sequence[Row], out: Path) -> None:
    """Write ``corrections/``, ``thumbs/`` and ``comparisons/`` (each with ``train`` and ``heldout``), and the account.

    Args:
        found: What people said to a server.
        pairs: Further pairs, rows of ``preferences``.
        out: The artifact's folder.

    Raises:
        DataError: There is nothing.
    """
    counts = found.counts()
    if not (found.corrections or found.thumbs or found.comparisons or pairs):
        raise DataError(
            f"collect_feedback: nothing is left of {found.said} things said; dropped: {counts['dropped']}. "
            "Corrections, thumbs or comparisons are needed. Collect more, or loosen collect_feedback."
        )
    write_rows(out / CORRECTIONS, map(_conversation, found.corrections), CONVERSATION_FEATURES)
    compared = [*map(_pair, found.comparisons), *pairs]
    written = {"ranked_pairs": len(pairs)}
    for name, rows, features in (
        (THUMBS, [_thumb(voice) for voice in found.thumbs], THUMB_FEATURES),
        (COMPARISONS, compared, PREFERENCE_FEATURES),
    ):
        train, heldout = set_aside(rows)
        write_rows(out / name / "train", train, features)
        write_rows(out / name / "heldout", heldout, features)
        written |= {f"{name}_train": len(train), f"{name}_heldout": len(heldout)}
    write_jsonl(out / "dropped.jsonl", sorted(found.dropped, key=lambda row: (row["reason"], row["id"], row["kind"])))
    write_json(out / "summary.json", counts | written)


def set_aside(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Rows to train on and rows to measure on, by the requests' digests; one request at least on either side.

    A single request is on neither side alone: it is trained on.
    """
    prompts = {prompt_key(row["prompt"]): row["prompt"] for row in rows}
    aside = {key for key, prompt in prompts.items() if is_heldout(RankedPrompt(prompt, ()))}
    ordered = sorted(prompts, key=_digest)
    if not aside:
        aside = set(ordered[:1] if len(ordered) > 1 else [])
    elif len(aside) == len(ordered):
        aside -= set(ordered[-1:])
    keyed = [(prompt_key(row["prompt"]), row) for row in rows]
    return [row for key, row in keyed if key not in aside], [row for key, row in keyed if key in aside]


def requests_in(feedback: Path) -> list[str]:
    """The first words of users in all that was said, each once, in the order of their digests."""
    folders = [feedback / CORRECTIONS, *(feedback / kind / part for kind in (THUMBS, COMPARISONS) for part in PARTS)]
    found = set()
    for folder in folders:
        rows = read_rows(folder)
        column: Iterable[Any] = rows["messages" if "messages" in rows.column_names else "prompt"]
        for messages in column:
            found.add(next((each["content"] for each in messages if each["role"] == "user"), ""))
    return sorted(found - {""}, key=_digest)


def drawn(rows: Sequence[Row], count: int, key: Callable[[Row], str], seed: int) -> list[Row]:
    """So many of the rows, by the digests of seed and key; they keep their order."""
    places = sorted(range(len(rows)), key=lambda place: _digest(f"{seed} {key(rows[place])}"))
    return [rows[place] for place in sorted(places[:count])]


def old_count(new: int, share: float, available: int) -> int:
    """How many old rows beside so many new ones make up this share of both: new * share / (1 - share)."""
    return min(available, round(new * share / (1 - share)))


PARTS = ("train", "heldout")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _turn(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _conversation(voice: Voice) -> Row:
    messages = [*map(dict, voice.prompt), *_turn(voice.better)]
    origin = {"source": SOURCE, "license": "unknown", "meta": "{}"}
    return {"id": conversation_id(messages), "messages": messages, **origin}


def _thumb(voice: Voice) -> Row:
    return {"prompt": list(voice.prompt), "completion": _turn(voice.better), "label": voice.liked}


def _pair(voice: Voice) -> Row:
    return {
        "prompt": list(voice.prompt), "chosen": _turn(voice.better), "rejected": _turn(voice.worse), "margin": 1.0,
    }  # fmt: skip
