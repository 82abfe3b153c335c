"""Markup in whatever a run's files say, in every section at once: on the page it is text."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hftrain.files import write_json
from hftrain.report import page, render_report

PLANTED = """</style></svg></title><script>a("1")</script>'"><img src=x onerror=b()><svg onload=c()>"""
SCORE = {"chance": 0.5, "count": 40, "better": "higher", "value": 0.6, "low": 0.5, "high": 0.7, "says": False}
COMPARED = {"model": "chat", "against": "base", "test": "piqa", "measure": "accuracy", "difference": 0.1, "low": 0.0,
            "high": 0.2, "p_value": 0.2, "method": "McNemar, exact", "count": 40}  # fmt: skip


class Reader(HTMLParser):
    """The tags, the attributes, and the text of each section."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.attributes = set[str](), set[str]()
        self.section, self.said = "", dict[str, str]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "section":
            self.section = str(dict(attrs)["id"])

    def handle_data(self, data: str) -> None:
        self.said[self.section] = self.said.get(self.section, "") + data


def whole_run(life: Any, name: str, planted: str) -> Path:
    """A run with all that a page can show: every artifact, every kind of test, gates, rankings, a cycle."""
    run: Path = life(name, planted=planted)
    scores = [
        {"kind": kind, "model": f"{model}{planted}", "test": f"{kind}{planted}", "measure": "accuracy", **SCORE}
        for kind in ("benchmark", "safety", "bias", "heldout") for model in ("base", "chat")
    ]  # fmt: skip
    groups = {"measure": f"accuracy{planted}", "groups": {f"g{planted}": {"value": 0.5, "count": 9}}}
    write_json(
        run / "evaluation" / "scores.json",
        {
            "scores": scores,
            "comparisons": [{name: f"{value}{planted}" if isinstance(value, str) else value
                             for name, value in COMPARED.items()}],
            "groups": {f"base{planted}": {f"piqa{planted}": groups}},
            "centred_mean": {f"base{planted}": 0.1},
        },
    )  # fmt: skip
    gate = {"model": "base", "test": "piqa", "measure": "accuracy", "bounds": [f"at least 1{planted}"], "value": 0.5}
    write_json(run / "evaluation" / "gates.json", {"gates": [{**gate, "passed": False}]})
    write_json(
        run / "ranking" / "summary.json", {"choices": 1, "raters": {f"Ann{planted}": {"ranked": 1}}, "alpha": 0.5}
    )
    cycle = run / "cycles" / f"001{planted.replace('/', '|')}"
    write_json(cycle / "plan.json", {"model": f"policy{planted}", "learns": {f"thumbs{planted}": 2}})
    write_json(cycle / "decision.json", {"promoted": False, "reasons": [f"worse{planted}"]})
    write_json(cycle / "evaluation" / "gates.json", {"gates": [{**gate, "passed": False}]})
    return run


def every_text(run: Path, planted: str) -> None:
    """Markup after each text of each file, not only where a text of a corpus or a model is looked for."""
    for path in [*run.rglob("*.json"), *run.rglob("*.jsonl")]:
        lines = path.read_text(encoding="utf-8").split("\n") if path.suffix == ".jsonl" else [path.read_text("utf-8")]
        path.write_text("\n".join(json.dumps(_planted(json.loads(line), planted)) for line in lines if line), "utf-8")


def _planted(value: Any, planted: str) -> Any:
    if isinstance(value, dict):
        return {key: _planted(each, planted) for key, each in value.items()}
    if isinstance(value, list):
        return [_planted(each, planted) for each in value]
    return f"{value}{planted}" if isinstance(value, str) else value


@pytest.mark.parametrize("everywhere", [False, True])
def test_no_text_of_any_section_becomes_markup(life: Any, everywhere: bool) -> None:
    plain = Reader(render_report(whole_run(life, "plain", "")).read_text(encoding="utf-8"))
    run = whole_run(life, f"<script>x<{everywhere}", PLANTED)
    if everywhere:
        every_text(run, PLANTED)

    found = Reader(render_report(run).read_text(encoding="utf-8"))

    assert not found.tags & {"script", "img", "iframe", "object", "link", "base", "form"}
    assert found.tags <= plain.tags | {"details", "summary", "pre", "code"}
    assert not {name for name in found.attributes if name.startswith("on")}
    told = {name for name, text in found.said.items() if "<script>" in text}
    assert told >= {"", *(each.artifact for each in page.SECTIONS), "ranking", "cycles", "lineage"}
