from pathlib import Path
from typing import Any

from hftrain.files import write_json
from hftrain.report import render_report
from hftrain.report.reading import read_run
from hftrain.report.states import absence, listed


def said(run: Path, name: str) -> str:
    found = read_run(run)
    return "".join(map(str, absence(found, found[name])))


def test_what_was_left_out_of_a_run_is_told_from_what_is_still_to_come(life: Any) -> None:
    run = life("tiny", "raw", "corpus", "tokenizer", "base", "export")

    assert said(run, "student") == "Left out of this run: export was made without it."
    assert said(life("begun", "raw"), "corpus") == "Not made yet."


def test_what_is_gone_is_told_with_what_was_made_from_it(life: Any) -> None:
    run = life("tiny", "corpus", "tokenizer")

    assert said(run, "raw") == "Not here any more: corpus was made from it."


def test_a_stage_that_failed_says_with_what(life: Any) -> None:
    run = life("tiny", "raw", "corpus")
    (run / "tokenizer.partial").mkdir()
    assert said(run, "tokenizer").startswith("Unfinished")

    write_json(run / "tokenizer.partial" / "ended.json", {"error": "DataError", "said": "<script>no text</script>"})

    text = said(run, "tokenizer")
    assert text.startswith("Failed: its stage ended with DataError.")
    page = render_report(run).read_text(encoding="utf-8")
    assert "&lt;script&gt;no text&lt;/script&gt;" in page and "<script>" not in page


def test_a_failure_makes_the_page_anew(life: Any) -> None:
    run = life("tiny", "raw")
    (run / "corpus.partial").mkdir()
    before = render_report(run).read_bytes()

    write_json(run / "corpus.partial" / "ended.json", {"error": "DataError", "said": "why"})

    assert render_report(run).read_bytes() != before


def test_names_are_listed_as_in_a_sentence() -> None:
    assert [listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
