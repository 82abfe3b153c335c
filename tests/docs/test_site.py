"""The site is built by Sphinx without a word of warning."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

needs_sphinx = pytest.mark.skipif(
    importlib.util.find_spec("myst_parser") is None, reason="pip install 'hftrain[docs]': sphinx is not installed"
)


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    words = ["-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky", "-q", "-b", "html"]
    return subprocess.run([sys.executable, *words, str(source), str(out)], capture_output=True, text=True, timeout=600)


@pytest.mark.slow
@needs_sphinx
def test_the_site_is_built_without_a_warning(root: Path, tmp_path: Path) -> None:
    done = build(root / "docs", tmp_path / "site")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "site" / "reference" / "configuration.html").is_file()


@pytest.mark.slow
@needs_sphinx
def test_a_reference_to_nowhere_ends_the_build(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser"]\nmyst_heading_anchors = 4\n')
    (tmp_path / "index.md").write_text("# Title\n\nSee [this](#nowhere).\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0 and "nowhere" in done.stderr
