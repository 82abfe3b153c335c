import json
import os
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest

from hftrain.errors import ArtifactError
from hftrain.files import read_json, write_json
from hftrain.report import page, render_report
from hftrain.report.parts import Options

PLANTED = """</style><script>a("1")</script>'"><img src=x onerror=b()>&amp;"""
ALLOWED_ATTRIBUTES = {
    "aria-label", "charset", "class", "color", "content", "cx", "cy", "d", "fill", "font-family", "font-size",
    "font-weight", "height", "href", "http-equiv", "id", "lang", "name", "opacity", "open", "points", "r", "role", "rx",
    "stroke", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "stroke-opacity", "stroke-width", "style",
    "text-anchor", "viewbox", "width", "x", "x1", "x2", "xmlns", "y", "y1", "y2",
}  # fmt: skip


class Reader(HTMLParser):
    """Every tag, attribute and text of a page, and the text of each section; checks that tags are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.values = set(), set(), []
        self.open, self.sections, self.section = [], {"": ""}, ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.values += [value for _, value in attrs if value]
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "section":
            self.section = dict(attrs)["id"]
            self.sections[self.section] = ""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "section":
            self.section = ""

    def handle_data(self, data):
        if "style" not in self.open:
            self.sections[self.section] += data


def read(path):
    return path.read_text(encoding="utf-8")


def test_a_whole_run_has_every_section_and_its_numbers(life):
    sections = Reader(read(render_report(life("tiny")))).sections

    assert list(sections)[1:] == [each.artifact for each in page.SECTIONS] + ["cost", "lineage"]
    for number in ("2.87", "1.07", "2.13", "49\N{NO-BREAK SPACE}%", "1.52", "+0.94 to +1.28", "1.97", "13 min"):
        assert number in sections[""].replace("\N{NO-BREAK SPACE}min", " min"), number
    assert "Not made yet" not in "".join(sections.values())


def test_text_of_a_corpus_or_a_model_is_never_markup(life):
    plain = Reader(read(render_report(life("plain"))))
    html = read(render_report(life("planted", planted=PLANTED)))
    found = Reader(html)

    assert found.tags == plain.tags
    assert "script" not in found.tags and "img" not in found.tags
    assert found.attributes == plain.attributes <= ALLOWED_ATTRIBUTES
    unplanted = {name for name, text in found.sections.items() if PLANTED not in text and name != "cost"}
    assert unplanted == set()


def test_the_name_of_the_run_folder_is_text_too(life):
    found = Reader(read(render_report(life("<script>alert(1)<", "raw"))))

    assert "script" not in found.tags
    assert "<script>alert(1)<" in found.sections[""]


def test_the_page_asks_for_nothing_from_outside(life):
    html = read(render_report(life("tiny")))

    assert "default-src &#x27;none&#x27;" in html
    links = [value for value in Reader(html).values if ":" in value and "//" in value]
    assert set(links) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in html and "@import" not in html


def test_the_page_follows_the_light_and_the_width_of_its_reader(life):
    html = read(render_report(life("tiny", "raw")))

    assert "prefers-color-scheme: dark" in html
    assert 'content="width=device-width, initial-scale=1"' in html


def test_an_empty_run_says_that_nothing_was_made_yet(tmp_path):
    sections = Reader(read(render_report(tmp_path))).sections

    assert all("Not made yet" in sections[each.artifact] for each in page.SECTIONS)


def test_a_run_in_progress_shows_what_is_finished(life):
    run_dir = life("half", "raw", "corpus", "tokenizer")
    (run_dir / "base.partial").mkdir()
    (run_dir / "corpus.partial").mkdir()

    sections = Reader(read(render_report(run_dir))).sections

    assert "4,096" in sections["tokenizer"]
    assert "Unfinished" in sections["base"]
    assert "being made anew" in sections["corpus"]
    assert "Not made yet" in sections["chat"]


def test_a_run_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="is not there"):
        render_report(tmp_path / "nowhere")


def test_nothing_is_written_when_nothing_changed(life):
    run_dir = life("tiny")
    path = render_report(run_dir)
    first = path.stat().st_ino

    assert render_report(run_dir).stat().st_ino == first

    manifest = read_json(run_dir / "base" / "manifest.json")
    write_json(run_dir / "base" / "manifest.json", manifest | {"digest": "sha256:" + "0" * 64})
    assert render_report(run_dir).stat().st_ino != first


@pytest.mark.parametrize("change", ["unfinished", "options", "code"])
def test_a_change_of_what_the_page_would_show_renders_it_again(life, monkeypatch, change):
    run_dir, options = life("tiny", "raw"), Options()
    before = page.KEY.search(render_report(run_dir).read_bytes())[1]

    if change == "unfinished":
        (run_dir / "corpus.partial").mkdir()
    elif change == "options":
        options = Options(sample_rows=1)
    else:
        monkeypatch.setattr(page, "_code", lambda: "another version")

    assert page.KEY.search(render_report(run_dir, options).read_bytes())[1] != before


def test_two_renderings_of_one_run_are_the_same_bytes(life):
    run_dir = life("tiny")
    first = render_report(run_dir).read_bytes()
    (run_dir / "report.html").unlink()

    assert render_report(run_dir).read_bytes() == first


def test_the_page_is_replaced_whole_or_not_at_all(life, monkeypatch):
    run_dir = life("tiny", "raw")
    before = render_report(run_dir).read_bytes()
    life("tiny", "corpus")

    def power_cut(source, target):
        raise OSError("power cut")

    monkeypatch.setattr(os, "replace", power_cut)
    with pytest.raises(OSError, match="power cut"):
        render_report(run_dir)
    assert (run_dir / "report.html").read_bytes() == before


JUNK = {
    "empty": b"",
    "cut": b'{"models": {"base": {"bits',
    "not utf-8": b"\xff\xfe\x00",
    "list": b'[1, "two", null, [3]]',
    "text": b'"<script>"',
    "null": b"null",
    "nested": b"[" * 100_000,
    "empty object": b"{}",
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("where", ["files", "manifests"])
def test_odd_files_leave_dashes_and_never_stop_the_page(life, junk, where):
    run_dir = life("odd")
    for path in run_dir.glob("*/*.json*"):
        if (path.name == "manifest.json") == (where == "manifests"):
            path.write_bytes(junk)

    html = read(render_report(run_dir))

    Reader(html)
    assert "<script>" not in html


ODD = {"null": None, "text": "a <b>word</b>", "list": [1], "object": {"a": 1}, "true": True, "nan": float("nan")}


@pytest.mark.parametrize("odd", [*ODD.values(), 10**400, -1e308], ids=[*ODD, "huge", "far"])
def test_odd_values_leave_dashes_and_never_stop_the_page(life, odd):
    run_dir = life("odd")
    for path in run_dir.glob("*/*.json*"):
        lines = path.read_bytes().split(b"\n") if path.suffix == ".jsonl" else [path.read_bytes()]
        replaced = [json.dumps(_with_leaves(json.loads(line), odd)) for line in lines if line]
        path.write_text("\n".join(replaced), encoding="utf-8")

    html = read(render_report(run_dir))

    assert "<b>word</b>" not in html
    assert Reader(html).sections["base"].count("–") >= 3


def _with_leaves(value, leaf):
    if isinstance(value, dict):
        return {key: _with_leaves(each, leaf) for key, each in value.items()}
    return [_with_leaves(each, leaf) for each in value] if isinstance(value, list) else leaf


def test_long_logs_and_long_texts_make_no_large_page(life):
    run_dir = life("long")
    rows = [{"step": step, "loss": 1 / (step + 1), "grad_norm": 1.0} for step in range(50_000)]
    (run_dir / "base" / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    said = [{"prompt": "p" * 9000, "completion": "word " * 50_000, "step": step} for step in range(30)]
    (run_dir / "chat" / "samples.jsonl").write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    sources = [{"name": f"file {at} " * 40, "bytes": at, "documents": 1} for at in range(20_000)]
    (run_dir / "raw" / "sources.jsonl").write_text("\n".join(map(json.dumps, sources)), encoding="utf-8")

    began = time.process_time()
    size = render_report(run_dir).stat().st_size

    assert size < 500_000
    assert time.process_time() - began < 5


def test_the_report_needs_no_heavy_library():
    code = "import sys; import hftrain.report; print({'torch', 'transformers', 'datasets', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_an_input_that_was_made_anew_is_told(life):
    run_dir = life("tiny")
    manifest = read_json(run_dir / "corpus" / "manifest.json")
    write_json(run_dir / "corpus" / "manifest.json", manifest | {"digest": "sha256:" + "0" * 64})

    lineage = Reader(read(render_report(run_dir))).sections["lineage"]

    assert "tokenizer was made from an earlier corpus" in lineage
    assert "reward was made from an earlier" not in lineage


def test_other_artifacts_of_the_run_join_cost_and_lineage(life):
    run_dir = life("tiny", "raw", "chat")
    (run_dir / "chat").rename(run_dir / "student")

    sections = Reader(read(render_report(run_dir))).sections

    assert "student" in sections["cost"] and "student" in sections["lineage"]
