from pathlib import Path

from hftrain.files import write_json
from hftrain.report.reading import read_run
from hftrain.report.sections_ranking import ranked_by_people, ranking_key

SUMMARY = {
    "choices": 160,
    "choices_used": 150,
    "choices_dropped": {"undone": 4, "replaced": 0, "of_other_answers": 0, "skipped": 5, "all_bad": 1},
    "prompts": 50,
    "prompts_ranked": 49,
    "shared_prompts": 48,
    "alpha": 0.7134,
    "alpha_interval": [0.6021, 0.8],
    "raters": {"Ann": {"ranked": 50, "all_bad": 0, "skip": 0}, "<b>Ben</b>": {"ranked": 44, "all_bad": 1, "skip": 5}},
    "merge": "mean_rank",
    "all_bad_rule": "leave_out",
    "answered_by": "sha256:0123456789abcdef",
}


def test_the_section_says_who_ranked_how_much_and_how_far_they_agree(tmp_path: Path) -> None:
    write_json(tmp_path / "ranking" / "summary.json", SUMMARY)
    page = ranked_by_people(read_run(tmp_path))
    assert page is not None
    for said in ("150 used", "0.71", "0.60 to 0.80", "mean rank", "0123456789", "taken back by the rater"):
        assert said in page, said
    assert "decided anew" not in page
    assert "<b>Ben" not in page and "&lt;b&gt;Ben" in page


def test_a_run_that_nobody_ranked_has_no_section_and_odd_summaries_do_not_stop_the_page(tmp_path: Path) -> None:
    assert ranked_by_people(read_run(tmp_path)) is None
    before = ranking_key(read_run(tmp_path))
    write_json(tmp_path / "ranking" / "summary.json", {"raters": 3, "choices_dropped": [], "alpha": "x"})
    assert ranked_by_people(read_run(tmp_path)) is not None
    assert ranking_key(read_run(tmp_path)) != before
