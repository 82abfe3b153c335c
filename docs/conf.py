"""Sphinx: pages in Markdown (MyST), strict: every unknown reference is an error of the build."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
project = "hftrain"
author = "the hftrain authors"
release = next(
    line.split('"')[1]
    for line in (ROOT / "hftrain" / "__init__.py").read_text(encoding="utf-8").splitlines()
    if line.startswith("__version__")
)
description = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["description"]

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline"]
suppress_warnings = ["myst.header"]

html_theme = "furo"
html_title = "hftrain"
html_copy_source = False
html_show_sphinx = False
html_static_path: list[str] = []
