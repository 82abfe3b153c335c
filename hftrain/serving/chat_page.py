"""The chat page: one file of HTML with its style and its script inside, put together once."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from hftrain.serving.guarding import inline_json

MARK = "/*about*/null"
"""Where the script takes what it is told about this server."""


def chat_page(about: Mapping[str, object]) -> str:
    """The page of a server.

    Args:
        about: ``models`` as in ``/v1/models``, ``keeps`` and ``days``.
    """
    return _whole().replace(MARK, inline_json(dict(about)), 1)


@cache
def _whole() -> str:
    here = files("hftrain.serving")
    page, style, script = ((here / f"chat_page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return page.replace("<!--style-->", f"<style>{style}</style>").replace(
        "<!--script-->", f"<script>{script}</script>"
    )
