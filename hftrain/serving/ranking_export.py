"""Rankings for training, from the log of choices: by declared rules, every choice counted."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from hftrain.alignment.agreement import competition_ranks, mid_ranks
from hftrain.files import digest_file, write_json, write_jsonl
from hftrain.serving.ranking_desk import Team, team_of
from hftrain.serving.ranking_items import Item
from hftrain.serving.ranking_store import Record, standing

Merge = Literal["mean_rank", "apart"]
AllBad = Literal["leave_out", "keep"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """What becomes of the choices."""

    merge: Merge = "mean_rank"
    """mean_rank: a row for each item, the answers in the order of their mean rank; apart: a row for each rater."""
    all_bad: AllBad = "leave_out"
    """leave_out: such choices are counted only; keep: they count with their ranking, without one as all tied."""
    pairs: bool = False
    """Rows of prompt, chosen and rejected in place of rankings, one for each pair that is not tied."""


@dataclass(frozen=True)
class Export:
    """Rows for ``collect_preferences.rankings``, and what became of every choice."""

    rows: tuple[Row, ...]
    summary: Mapping[str, Any]


def export(items: Sequence[Item], records: Sequence[Record], rules: Rules) -> Export:
    """Rankings from the choices about these items; the same choices give the same rows."""
    by_key = {item.key: item for item in items}
    stands = standing(records)
    here = [record for record in stands.values() if record.item in by_key]
    used = [ranked for record in here if (ranked := _ranking(record, by_key[record.item], rules)) is not None]
    by_item: dict[str, list[Record]] = {}
    for record in sorted(used, key=lambda each: each.rater):
        by_item.setdefault(record.item, []).append(record)
    ranked_items = [(item, by_item[item.key]) for item in items if item.key in by_item]
    rows = [row for item, chosen in ranked_items for row in _rows(item, chosen, rules)]
    summary = {
        **_counts(records, stands, here, used),
        **_about(items, ranked_items),
        **team_numbers(team_of(here)),
        "rows": len(rows),
        "merge": rules.merge,
        "all_bad_rule": rules.all_bad,
        "row_shape": "pairs" if rules.pairs else "rankings",
    }
    return Export(tuple(rows), summary)


def write_export(made: Export, path: Path, run: Path) -> Mapping[str, Any]:
    """Write the rows, and ``ranking/summary.json`` in the run, which the run's page reads; returns the summary."""
    write_jsonl(path, made.rows)
    return write_summary({**made.summary, "rankings": digest_file(path)}, run)


def write_summary(summary: Mapping[str, Any], run: Path) -> Mapping[str, Any]:
    """Write ``ranking/summary.json`` in the run; returns it."""
    write_json(run / "ranking" / "summary.json", dict(summary))
    return summary


def team_numbers(team: Team) -> dict[str, Any]:
    """Alpha, its interval and each rater's counts, as JSON holds them."""
    agreement = team.agreement
    return {
        "alpha": None if agreement.alpha is None else round(agreement.alpha, 6),
        "alpha_interval": None if agreement.interval is None else [round(end, 6) for end in agreement.interval],
        "shared_prompts": agreement.shared_groups,
        "pairable_ratings": agreement.pairable_ratings,
        "raters": {name: dict(counts) for name, counts in team.raters.items()},
    }


def _ranking(record: Record, item: Item, rules: Rules) -> Record | None:
    """The choice with a ranking, or None where it gives no row."""
    if record.kind == "ranked":
        return record
    if record.kind == "all_bad" and rules.all_bad == "keep":
        return replace(record, ranking=record.ranking or (1,) * len(item.answers))
    return None


def _rows(item: Item, chosen: Sequence[Record], rules: Rules) -> Iterator[Row]:
    """The rows of one item; raters in the order of their names."""
    groups = [chosen] if rules.merge == "mean_rank" else [[record] for record in chosen]
    for group in groups:
        rankings = [record.ranking or () for record in group]
        by_answer = zip(*map(mid_ranks, rankings), strict=True)
        ranking = competition_ranks([Fraction(sum(ranks)) / len(group) for ranks in by_answer])
        about = {
            "answered_by": item.answered_by,
            "split": item.split,
            "raters": [record.rater for record in group],
            "rankings": [list(ranks) for ranks in rankings],
            "shown_orders": [list(record.shown_order) for record in group],
            "all_bad": [record.rater for record in group if record.kind == "all_bad"],
            "comments": {record.rater: record.comment for record in group if record.comment},
        }
        if rules.pairs:
            yield from _pairs(item, ranking, about)
        else:
            yield {"prompt": list(item.prompt), "answers": list(item.answers), "ranking": ranking, **about}


def _pairs(item: Item, ranking: Sequence[int], about: Mapping[str, Any]) -> Iterator[Row]:
    ordered = sorted(range(len(ranking)), key=lambda at: ranking[at])
    kept = {name: about[name] for name in ("answered_by", "split", "raters")}
    for first, better in enumerate(ordered):
        for worse in ordered[first + 1 :]:
            if ranking[better] < ranking[worse]:
                yield {
                    "prompt": list(item.prompt),
                    "chosen": [{"role": "assistant", "content": item.answers[better]}],
                    "rejected": [{"role": "assistant", "content": item.answers[worse]}],
                    **kept,
                }


def _counts(
    records: Sequence[Record],
    stands: Mapping[tuple[str, str], Record],
    here: Sequence[Record],
    used: Sequence[Record],
) -> Row:
    """What became of every choice: those used and those dropped are all of them."""
    undone = {record.undoes for record in records if record.kind == "undo"}
    chosen = [record for record in records if record.kind != "undo"]
    kinds = Counter(record.kind for record in here)
    used_bad = sum(record.kind == "all_bad" for record in used)
    dropped = {
        "undone": sum(record.choice_id in undone for record in chosen),
        "replaced": sum(record.choice_id not in undone for record in chosen) - len(stands),
        "of_other_answers": len(stands) - len(here),
        "skipped": kinds["skip"],
        "all_bad": kinds["all_bad"] - used_bad,
    }
    return {
        "choices": len(chosen),
        "undos": len(records) - len(chosen),
        "choices_used": len(used),
        "choices_dropped": dropped,
        "all_bad": kinds["all_bad"],
        "skipped": kinds["skip"],
        "comments": sum(bool(record.comment) for record in here),
        "with_ties": sum(len(set(record.ranking or ())) < len(record.ranking or ()) for record in used),
    }


def _about(items: Sequence[Item], ranked: Sequence[tuple[Item, Sequence[Record]]]) -> Row:
    models = sorted({item.answered_by for item in items if item.answered_by})
    return {
        "prompts": len(items),
        "prompts_ranked": len(ranked),
        "prompts_ranked_by_two_or_more": sum(len(chosen) > 1 for _, chosen in ranked),
        "answered_by": models[0] if len(models) == 1 else models or None,
    }
