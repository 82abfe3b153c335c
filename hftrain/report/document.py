"""The frame of a page: one file that loads nothing, runs nothing, and follows the reader's light and width."""

import functools
from pathlib import Path

from hftrain.report.markup import Markup, tag

NO_REQUESTS = "default-src 'none'; style-src 'unsafe-inline'"
"""The page's security policy: nothing is loaded and no script runs, whatever a text may try."""


def document(title: str, *body: object, key: str | None = None) -> str:
    """A whole page as text.

    Args:
        title: What the browser's tab says.
        body: Markup, or text that is escaped.
        key: Of what the page shows; written into its head.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=NO_REQUESTS),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="hftrain-report-key", content=key) if key is not None else None,
        tag("title", f"{title} · hftrain"),
        Markup(f"<style>{_style()}</style>"),
    )
    return "<!doctype html>\n" + tag("html", head, tag("body", *body), lang="en") + "\n"


@functools.cache
def _style() -> str:
    return Path(__file__).with_name("style.css").read_text(encoding="utf-8")
