from pathlib import Path

from hftrain.files import write_json
from hftrain.report.reading import read_run
from hftrain.report.sections_cycle import cycle_key, cycles

GATE = {"test": "sampled answers", "measure": "toxic_share", "value": 0.31, "passed": False, "bounds": ["no worse"]}


def write_cycle(run: Path, name: str, *, promoted: bool) -> None:
    folder = run / "cycles" / name
    write_json(folder / "plan.json", {"model": "policy", "learns": {"thumbs": 195}})
    reasons = [] if promoted else ["sampled answers toxic_share is 0.31; <b>no</b> worse is needed"]
    write_json(folder / "decision.json", {"promoted": promoted, "reasons": reasons})
    write_json(folder / "feedback" / "summary.json", {"said": 200, "people": 20, "dropped": {"unfinished": 5}})
    write_json(
        folder / "evaluation" / "summary.json",
        {"models": {"promoted": {"drawn_answer_tokens": 9.96}, "candidate": {"drawn_answer_tokens": 7.69}}},
    )
    write_json(folder / "evaluation" / "gates.json", {"gates": [GATE]})
    answers = {"promoted": ["A long one."], "candidate": ["<i>Short.</i>"]}
    write_json(folder / "evaluation" / "samples.json", {"prompts": ["Who?"], "answers": answers})


def test_the_section_says_what_was_learned_of_what_and_what_became_of_it(tmp_path: Path) -> None:
    write_cycle(tmp_path, "001", promoted=True)
    write_cycle(tmp_path, "002", promoted=False)
    entry = {
        "model": "cycles/001/liked",
        "by": "cycle",
        "at": "2026-01-02T03:04:05+00:00",
        "digest": "sha256:0123456789ab",
    }
    write_json(tmp_path / "promoted.json", {"history": [entry]})
    page = cycles(read_run(tmp_path))
    assert page is not None
    for said in (
        "Cycle 001: promoted",
        "Cycle 002: refused",
        "195 thumbs",
        "10.0",
        "7.7",
        "0123456789",
        "2026-01-02 03:04",
    ):
        assert said in page, said
    assert "dropped: unfinished" in page
    assert "<b>no" not in page and "&lt;b&gt;no" in page
    assert "<i>Short" not in page and "Short." in page
    assert page.index("Cycle 002") < page.index("Cycle 001")


def test_a_run_without_cycles_has_no_section_and_a_cut_or_odd_one_does_not_stop_the_page(tmp_path: Path) -> None:
    assert cycles(read_run(tmp_path)) is None
    before = cycle_key(read_run(tmp_path))
    write_json(tmp_path / "cycles" / "001" / "plan.json", {"model": 3, "learns": []})
    write_json(tmp_path / "cycles" / "001" / "evaluation" / "gates.json", {"gates": [3, {"passed": 1}]})
    page = cycles(read_run(tmp_path))
    assert page is not None and "under way, or cut" in page
    assert cycle_key(read_run(tmp_path)) != before
