"""A comparison as one page that works offline."""

from collections.abc import Mapping, Sequence
from typing import Any

from hftrain.report.comparison_sections import Table, is_share, tables
from hftrain.report.differences import differences
from hftrain.report.document import document
from hftrain.report.markup import Markup, clip, join, note, table, tag
from hftrain.report.parts import figure, figures

Row = Mapping[str, Any]
MOST_LINES = 24
"""So many differences stand in one plot."""


def comparison_page(found: Row) -> str:
    """The page as text; the same two runs give the same text."""
    first, second = found["runs"]
    return document(
        f"{first} and {second}",
        tag(
            "header",
            tag("p", "Two runs side by side", class_="kicker"),
            tag("h1", first, tag("span", " and ", class_="quiet"), second),
            tag("p", "A is the first, B the second; differences are B less A.", class_="lead"),
        ),
        tag("main", _plots(found["tests"]), *(_section(each) for each in tables(found))),
        tag("footer", "Made by hftrain from the manifests, logs and evaluations of both runs."),
    )


def _section(each: Table) -> Markup:
    rows = [[clip(cell, 200) for cell in row] for row in each.rows]
    body = (
        table([clip(name, 60) for name in each.head], rows, numeric_from=each.numeric_from)
        if rows
        else note("Nothing.")
    )
    said = each.said[:1].upper() + each.said[1:]
    return tag("section", tag("h2", each.title), tag("p", said, class_="lead"), body)


def _plots(tests: Sequence[Row]) -> Markup | None:
    """For each model the differences of shares that were tested on the same items."""
    drawn = []
    for model in dict.fromkeys(row["model"] for row in tests):
        rows = [
            (f"{row['test']}", row["difference"], row["paired"]["low"], row["paired"]["high"])
            for row in tests
            if row["model"] == model and row["paired"] and is_share(row["measure"]) and row["kind"] != "heldout"
            and row["measure"] in _FIRST
        ][:MOST_LINES]  # fmt: skip
        if rows:
            title = f"{clip(model, 40)}: B less A"
            drawn.append(figure(differences(rows, title=title, unit="percentage points", is_share=True)))
    if not drawn:
        return None
    said = "A dot right of the line: B scores higher. Rings: the interval holds no difference."
    return join([tag("section", tag("h2", "At a glance"), tag("p", said, class_="lead"), figures(*drawn))])


_FIRST = ("accuracy", "refused", "refused_safe", "pass_at_1", "stereotype_preferred", "toxic_share")
