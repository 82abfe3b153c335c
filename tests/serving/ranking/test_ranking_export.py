import json
from pathlib import Path

import pytest

from hftrain.alignment.rankings import read_rankings
from hftrain.serving.ranking_export import Rules, export, write_export
from hftrain.serving.ranking_items import Item
from hftrain.serving.ranking_store import Record

APART = Rules(merge="apart")


def said(choice_id: str, rater: str, item: Item, *ranks: int, kind: str = "ranked", **more: object) -> Record:
    order = tuple(range(len(item.answers)))
    return Record(choice_id, rater, item.key, kind, ranks or None, order, **more)  # type: ignore[arg-type]


def test_mean_ranks_merge_raters_and_equal_means_tie(three_items: list[Item]) -> None:
    cat = three_items[0]
    records = [said("1", "Ben", cat, 1, 2, 3), said("2", "Ann", cat, 2, 1, 3, comment="A cat it is.")]
    (row,) = export(three_items, records, Rules()).rows
    assert row["ranking"] == [1, 1, 3]  # means 1.5, 1.5 and 3
    assert (row["raters"], row["rankings"]) == (["Ann", "Ben"], [[2, 1, 3], [1, 2, 3]])
    assert (row["answered_by"], row["split"], row["comments"]) == ("sha256:aa", "train", {"Ann": "A cat it is."})


def test_ties_count_with_the_mean_of_their_ranks(three_items: list[Item]) -> None:
    cat = three_items[0]
    # 1 1 3 is 1.5 1.5 3, so the sums are 4.5, 3.5 and 4; with 1 1 3 as it stands the first and the last would tie.
    records = [said("1", "A", cat, 1, 1, 3), said("2", "B", cat, 3, 2, 1)]
    assert export(three_items, records, Rules()).rows[0]["ranking"] == [3, 1, 2]


def test_raters_apart_give_a_row_each(three_items: list[Item]) -> None:
    cat, _, yes = three_items
    records = [said("1", "Ben", cat, 1, 2, 2), said("2", "Ann", yes, 2, 1), said("3", "Ann", cat, 3, 1, 2)]
    rows = export(three_items, records, APART).rows
    assert [(row["raters"], row["ranking"]) for row in rows] == [
        (["Ann"], [3, 1, 2]),
        (["Ben"], [1, 2, 2]),
        (["Ann"], [2, 1]),
    ]


def test_every_choice_is_used_or_dropped_for_a_counted_reason(three_items: list[Item]) -> None:
    cat, dog, yes = three_items
    records = [
        said("1", "Ann", cat, 1, 2, 3),
        said("2", "Ann", dog, kind="skip"),
        said("3", "Ann", dog, 1, 2, 3),  # replaces the skip
        said("4", "Ben", cat, kind="all_bad"),
        said("5", "Ben", dog, kind="skip"),
        said("6", "Ben", yes, 1, 2),
        said("7", "Ben", yes, kind="undo", undoes="6"),
        said("8", "Cem", yes, 1, 1),
    ]
    summary = export([cat, dog], records, Rules()).summary
    assert summary["choices_dropped"] == {"undone": 1, "replaced": 1, "of_other_answers": 1, "skipped": 1, "all_bad": 1}
    assert (summary["choices"], summary["choices_used"], summary["undos"], summary["rows"]) == (7, 2, 1, 2)
    assert summary["choices"] == summary["choices_used"] + sum(summary["choices_dropped"].values())
    assert summary["raters"] == {
        "Ann": {"ranked": 2, "all_bad": 0, "skip": 0},
        "Ben": {"ranked": 0, "all_bad": 1, "skip": 1},
    }
    assert (summary["prompts"], summary["prompts_ranked"], summary["answered_by"]) == (2, 2, "sha256:aa")


def test_all_bad_is_kept_on_request_with_its_ranking_or_as_all_tied(three_items: list[Item]) -> None:
    cat, dog, _ = three_items
    records = [said("1", "Ann", cat, kind="all_bad"), said("2", "Ann", dog, 2, 1, 3, kind="all_bad")]
    kept = export(three_items, records, Rules(all_bad="keep"))
    assert [row["ranking"] for row in kept.rows] == [[1, 1, 1], [2, 1, 3]]
    assert [row["all_bad"] for row in kept.rows] == [["Ann"], ["Ann"]]
    assert kept.summary["choices_dropped"]["all_bad"] == 0
    left = export(three_items, records, Rules())
    assert (left.rows, left.summary["choices_dropped"]["all_bad"], kept.summary["choices_used"]) == ((), 2, 2)


def test_the_reader_of_rankings_reads_what_is_exported(three_items: list[Item], tmp_path: Path) -> None:
    cat, dog, yes = three_items
    records = [said("1", "Ann", cat, 1, 2, 2), said("2", "Ben", dog, 3, 2, 1), said("3", "Ben", yes, 1, 1)]
    for rules in (Rules(), APART):
        made = export(three_items, records, rules)
        summary = write_export(made, tmp_path / "rankings.jsonl", tmp_path / "run")
        ranked = read_rankings(tmp_path / "rankings.jsonl")
        assert [{answer.text: answer.rank for answer in row.answers} for row in ranked] == [
            dict(zip(item.answers, ranks, strict=True))
            for item, ranks in zip(three_items, [(1, 2, 2), (3, 2, 1), (1, 1)], strict=True)
        ]
        assert json.loads((tmp_path / "run" / "ranking" / "summary.json").read_text()) == summary
        assert summary["rankings"].startswith("sha256:")


def test_pairs_leave_out_ties(three_items: list[Item], tmp_path: Path) -> None:
    made = export(three_items, [said("1", "Ann", three_items[0], 1, 2, 2)], Rules(pairs=True))
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in made.rows] == [
        ("An animal.", "A cat."),
        ("An animal.", "I like it."),
    ]
    assert {row["answered_by"] for row in made.rows} == {"sha256:aa"}
    write_export(made, tmp_path / "pairs.jsonl", tmp_path)
    assert len(read_rankings(tmp_path / "pairs.jsonl")) == 2


@pytest.mark.parametrize("rules", [Rules(), APART, Rules(pairs=True)])
def test_the_order_in_which_choices_came_changes_no_byte(three_items: list[Item], tmp_path: Path, rules: Rules) -> None:
    records = [
        said(f"{rater}{at}", rater, item, *range(1, len(item.answers) + 1))
        for rater in ("Cem", "Ann", "Ben")
        for at, item in enumerate(three_items)
    ]
    for name, order in (("one", records), ("two", records[::-1])):
        write_export(export(three_items, order, rules), tmp_path / name, tmp_path / f"run-{name}")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    first, second = (tmp_path / f"run-{name}" / "ranking" / "summary.json" for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
