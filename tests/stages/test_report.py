import subprocess
import sys

from hftrain.stages.report import ReportConfig, report


def test_the_stage_writes_the_page_of_its_run(make_artifact, tmp_path):
    make_artifact(tmp_path / "raw", "raw", lambda out: (out / "summary.json").write_text('{"documents": 321}'))

    path = report(ReportConfig(), tmp_path)

    assert path == tmp_path / "report.html"
    assert "321" in path.read_text(encoding="utf-8")


def test_the_page_shows_as_many_rows_as_it_is_asked_for(make_artifact, tmp_path):
    lines = [f'{{"prompt": "begin {at}", "completion": "end", "step": 1}}\n' for at in range(5)]
    make_artifact(tmp_path / "base", "base", lambda out: (out / "samples.jsonl").write_text("".join(lines)))

    html = report(ReportConfig(sample_rows=2), tmp_path).read_text(encoding="utf-8")

    assert "begin 1" in html and "begin 2" not in html


def test_a_count_below_zero_is_a_problem():
    [problem] = ReportConfig(drop_examples=-1).problems()

    assert problem.startswith("report.drop_examples: -1.")


def test_the_stage_loads_nothing_heavy():
    code = "import sys, hftrain.stages.report; print('hftrain.report.page' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "False"]
