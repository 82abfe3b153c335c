"""Ranked answers on disk: all of them to read, and the pairs that come of them to train on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from hftrain.alignment.preferences import PREFERENCE_FEATURES, PairCounts, RankedPrompt, pairs_of
from hftrain.artifacts import write_json, write_jsonl
from hftrain.corpus.storage import write_rows
from hftrain.errors import DataError


@dataclass(frozen=True)
class Collected:
    """Ranked prompts and where they come from."""

    splits: Mapping[str, Sequence[RankedPrompt]]
    """The ranked prompts of train and heldout."""
    origin: Mapping[str, Any]
    """Who answered and who ranked, and what was left out on the way; goes into the summary."""
    asked: Sequence[Mapping[str, object]] = field(default=())
    """What a judge was asked, with its replies."""


def write_preferences(collected: Collected, out: Path, *, minimum_margin: float, pairs_per_prompt: int) -> None:
    """Write ``train/``, ``heldout/``, ``answers.jsonl``, ``summary.json``, and ``verdicts.jsonl`` if a model judged.

    Raises:
        DataError: A split has no pair.
    """
    counts = {split: PairCounts() for split in collected.splits}
    written = {}
    for split, prompts in collected.splits.items():
        made = (
            pairs_of(each, counts[split], minimum_margin=minimum_margin, limit=pairs_per_prompt) for each in prompts
        )
        written[f"pairs_{split}"] = write_rows(out / split, chain.from_iterable(made), PREFERENCE_FEATURES)
        if not written[f"pairs_{split}"]:
            raise _no_pairs(split, prompts, counts[split], collected.origin.get("judge_flipped_share"))
    rows = (_as_row(split, each) for split, prompts in collected.splits.items() for each in prompts)
    write_jsonl(out / "answers.jsonl", rows)
    if collected.asked:
        write_jsonl(out / "verdicts.jsonl", collected.asked)
    dropped = {
        "ties_dropped": sum(each.ties for each in counts.values()),
        "unfinished_pairs_dropped": sum(each.unfinished for each in counts.values()),
        "pairs_over_limit_dropped": sum(each.over_limit for each in counts.values()),
    }
    write_json(out / "summary.json", {**collected.origin, **written, **_numbers(collected.splits), **dropped})


def _no_pairs(
    split: str, prompts: Sequence[RankedPrompt], counts: PairCounts, flipped_share: float | None
) -> DataError:
    same = sum(each.duplicates for each in prompts)
    judged = (
        f"In {100 * flipped_share:.0f} % of its pairs the judge named another winner when the answers swapped places. "
        if flipped_share
        else ""
    )
    return DataError(
        f"collect_preferences: no pair for {split} from {len(prompts)} prompts. {same} answers were the same as "
        f"another, {counts.ties} pairs differ by less than minimum_margin, {counts.unfinished} hold an answer that did "
        f"not end by itself. {judged}Training and measuring need pairs. Raise prompts, new_tokens or temperature, "
        "lower minimum_margin, or train the chat model longer; if they are people's, give more rows."
    )


def _numbers(ranked: Mapping[str, Sequence[RankedPrompt]]) -> dict[str, Any]:
    """Counts and means over the distinct answers; null where people gave no scores."""
    answers = {split: [answer for each in prompts for answer in each.answers] for split, prompts in ranked.items()}
    both = [*answers["train"], *answers["heldout"]]
    return {
        "prompts": sum(map(len, ranked.values())),
        "prompts_heldout": len(ranked["heldout"]),
        "answers": len(both),
        "duplicates_collapsed": sum(each.duplicates for prompts in ranked.values() for each in prompts),
        "mean_score": _mean([each.score for each in both]),
        "mean_score_heldout": _mean([each.score for each in answers["heldout"]]),
        "ended_share": _mean([float(each.ended) for each in both]),
        "mean_words": _mean([float(len(each.text.split())) for each in both]),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _as_row(split: str, ranked: RankedPrompt) -> dict[str, object]:
    return {
        "split": split,
        "prompt": list(ranked.prompt),
        "answers": [
            {"text": each.text, "ended": each.ended, "score": each.score, "rank": each.rank} for each in ranked.answers
        ],
    }
