import io
import json
from pathlib import Path
from typing import Any

import pytest

from hftrain.errors import ArtifactError
from hftrain.evaluation.kept_items import row_of
from hftrain.evaluation.scores import measured, score_of
from hftrain.files import read_json, write_json, write_jsonl
from hftrain.report.comparison import compare_runs, compared

PLANTED = """</td><script>a("1")</script>'"><img src=x onerror=b()>\x1b[31m"""


def asked(run: Path, right: dict[str, list[float]], *, items: str = "same") -> None:
    """An evaluation of one benchmark: the model's hits, item by item."""
    made = {model: measured("piqa", "accuracy", hits, chance=0.5, items=items) for model, hits in right.items()}
    scores = [{"kind": "benchmark", **score_of(model, each, seed=0).row()} for model, each in made.items()]
    write_json(run / "evaluation" / "scores.json", {"scores": scores})
    write_jsonl(run / "evaluation" / "items.jsonl", [row_of(model, each) for model, each in made.items()])


def change(run: Path, name: str, **given: Any) -> None:
    path = run / name / "manifest.json"
    write_json(path, read_json(path) | given)


@pytest.fixture
def pair(life: Any) -> tuple[Path, Path]:
    first, second = life("first"), life("second")
    asked(first, {"base": [1.0] * 10 + [0.0] * 30, "chat": [1.0] * 20 + [0.0] * 20})
    asked(second, {"base": [1.0] * 30 + [0.0] * 10, "chat": [1.0] * 20 + [0.0] * 20})
    return first, second


def test_models_are_tested_against_each_other_on_the_same_items(pair: tuple[Path, Path]) -> None:
    base, chat = compared(*pair)["tests"]

    assert (base["difference"], base["paired"]["count"], base["paired"]["method"]) == (0.5, 40, "McNemar, exact")
    assert base["paired"]["p_value"] == pytest.approx(2 / 2**20)  # twenty items that the second alone has right
    assert chat["paired"]["p_value"] == 1.0


def test_where_other_items_were_asked_nothing_is_tested(pair: tuple[Path, Path]) -> None:
    asked(pair[1], {"base": [1.0] * 40}, items="other")

    (base,) = compared(*pair)["tests"]

    assert (base["paired"], base["unpaired_because"], base["difference"]) == (None, "other items", 0.75)


def test_an_evaluation_that_kept_no_items_is_shown_untested(pair: tuple[Path, Path]) -> None:
    (pair[0] / "evaluation" / "items.jsonl").unlink()

    assert compared(*pair)["tests"][0]["unpaired_because"] == "items not kept"


def test_settings_that_differ_are_told_and_seeds_once(pair: tuple[Path, Path]) -> None:
    change(pair[0], "base", config={"size": "micro", "training": {"max_steps": 10}, "seed": 1})
    change(pair[1], "base", config={"size": "micro", "training": {"max_steps": 20, "beta": 1}, "seed": 2})

    found = compared(*pair)

    assert [(row["setting"], row["values"]) for row in found["settings"]] == [
        ("training.beta", ["not set", 1]), ("training.max_steps", [10, 20]),
    ]  # fmt: skip


def test_each_stages_figures_the_formats_and_the_cost_stand_beside_each_other(pair: tuple[Path, Path]) -> None:
    write_json(pair[1] / "base" / "summary.json", {"parameters": 99, "packing": {"rows": 3}})
    change(pair[1], "base", seconds=524.0, joules=900.0)

    found = compared(*pair)

    rows = {(row["artifact"], row["figure"]): row for row in found["figures"]}
    assert rows["base", "parameters"]["values"] == [3_146_112, 99]
    assert rows["base", "packing.rows"]["values"] == [None, 3]
    assert "safetensors" in [row["format"] for row in found["exports"]]
    (base,) = [row for row in found["cost"] if row["artifact"] == "base"]
    assert (base["seconds"], base["joules"]) == ([262.0, 524.0], [None, 900.0])


def test_a_run_that_lacks_stages_is_compared_in_what_it_has(life: Any) -> None:
    found = compared(life("whole"), life("part", "raw", "corpus"))

    states = {row["artifact"]: row["state"] for row in found["artifacts"]}
    assert (states["raw"], states["base"]) == ("the same bytes", "only in the first")
    assert found["tests"] == []


def test_folders_that_are_no_runs_are_refused(life: Any, tmp_path: Path) -> None:
    run = life("tiny", "raw")

    with pytest.raises(ArtifactError, match="no finished artifact"):
        compared(run, tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="with itself"):
        compared(run, run)


def test_runs_of_one_name_are_told_apart_by_their_folders(life: Any, tmp_path: Path) -> None:
    life("a/tiny", "raw")
    life("b/tiny", "raw")

    assert compared(tmp_path / "a" / "tiny", tmp_path / "b" / "tiny")["runs"] == ["a/tiny", "b/tiny"]


def said(pair: tuple[Path, Path], **how: Any) -> str:
    out = io.StringIO()
    compare_runs(*pair, out, **how)
    return out.getvalue()


def test_the_terminal_shows_plain_tables(pair: tuple[Path, Path]) -> None:
    text = said(pair)

    (row,) = [line for line in text.split("\n") if line.strip().startswith("base") and "piqa" in line]
    assert "25.0\N{NO-BREAK SPACE}%" in row and "75.0\N{NO-BREAK SPACE}%" in row and "+50.0" in row
    assert "< 0.001*" in row and text.startswith("A  first\nB  second")
    for title in ("Artifacts", "Tests", "Figures", "Settings", "Formats", "Cost", "Made with"):
        assert f"\n{title}" in text


def test_as_json_it_is_one_object(pair: tuple[Path, Path]) -> None:
    text = said(pair, as_json=True)

    assert text.count("\n") == 1
    assert set(json.loads(text)) == {
        "runs", "artifacts", "made_with", "settings", "figures", "tests", "exports", "cost",
    }  # fmt: skip


def test_the_page_is_one_file_that_loads_nothing(pair: tuple[Path, Path], tmp_path: Path) -> None:
    said(pair, html=tmp_path / "both.html")
    said(pair, html=tmp_path / "again.html")

    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "default-src &#x27;none&#x27;" in page and "<svg" in page and "<script" not in page
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_what_a_run_says_is_text_on_the_page_and_harmless_in_the_terminal(life: Any, tmp_path: Path) -> None:
    plain = life("plain"), life("other")
    planted = life("p", planted=PLANTED), life(f"q{PLANTED.replace('/', '|')}", planted=PLANTED + "2")
    for run in (*plain, *planted):
        model = f"base{PLANTED}" if run in planted else "base"
        asked(run, {model: [1.0] * 20 + [0.0] * 20})
        change(run, "base", config={f"size{PLANTED}" if run in planted else "size": run.name})
    said(plain, html=tmp_path / "plain.html")

    text = said(planted, html=tmp_path / "planted.html")

    page = (tmp_path / "planted.html").read_text(encoding="utf-8")
    assert "<script" not in page and "<img" not in page and "&lt;script&gt;" in page
    assert "\x1b" not in text and "\x1b" not in page
