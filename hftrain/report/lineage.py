"""The page on where everything comes from: which artifact was made from which, down to the sources."""

from hftrain.report import axes
from hftrain.report.axes import WIDTH, label, place
from hftrain.report.frame import Plot
from hftrain.report.marks import dot
from hftrain.report.markup import Markup, clip, fold, join, note, table, tag
from hftrain.report.numbers import MISSING, short_digest
from hftrain.report.parts import figure
from hftrain.report.reading import Artifact, Run, as_mapping

ROW = 42
SPINE = 92
FOUND, STALE = 0, 1


def lineage(run: Run) -> Markup:
    """The graph, what came from outside, and the code."""
    made = run.finished
    stale = [(one.name, source) for one in made for source in _inputs(one) if _is_stale(run, one, source)]
    outside = [
        (clip(name, 100), one.name, clip(_short(version), 40))
        for one in made
        for name, version in as_mapping(one.manifest.get("outside")).items()
    ]
    return join(
        [
            figure(
                graph(run),
                "A line runs from what was read, above, to what was made of it, below. The digits are the "
                "beginning of a digest over all files of a folder: the same digits, the same bytes.",
            ),
            *(
                note(f"{name} was made from an earlier {source} than the one that is here now.")
                for name, source in stale
            ),
            fold(
                f"From outside the run ({len(outside)})",
                table(("what", "read by", "version or digest"), outside[:200], numeric_from=2),
            )
            if outside
            else None,
        ]
    )


def graph(run: Run) -> Plot:
    """Artifacts below each other, arcs from what each was made from."""
    shown = [one for one in run.artifacts.values() if one.state != "missing"]
    row_of = {one.name: row for row, one in enumerate(shown)}
    arcs, nodes = [], []
    for one in shown:
        for source in _inputs(one):
            if row_of.get(source, len(shown)) < row_of[one.name]:
                arcs.append(_arc(row_of[source], row_of[one.name], _is_stale(run, one, source)))
        nodes.append(_node(one, row_of[one.name]))
    return Plot("Lineage", join([*arcs, *nodes]), max(len(shown), 1) * ROW)


def _node(one: Artifact, row: int) -> Markup:
    y = row * ROW + 16
    is_whole = one.state == "finished"
    sources = ", ".join(_inputs(one))
    name = tag("a", label(SPINE + 14, y + 4, one.name, size=13, weight=600), href=f"#{one.name}")
    digest = label(
        WIDTH,
        y + 4,
        short_digest(one.digest) if is_whole else "unfinished",
        anchor="end",
        opacity=0.7,
    )
    below = label(SPINE + 14, y + 18, f"from {sources}", opacity=0.7) if sources else None
    return join([dot(SPINE, y, FOUND, radius=5, is_ring=not is_whole), name, digest, below])


def _arc(start: int, end: int, is_stale: bool) -> Markup:
    y1, y2 = start * ROW + 16, end * ROW + 16
    bulge = SPINE - min(12 + 11 * (end - start), SPINE - 4) if end - start > 1 else SPINE
    return tag(
        "path",
        d=f"M{SPINE} {place(y1)}C{place(bulge)} {place(y1)} {place(bulge)} {place(y2)} {SPINE} {place(y2)}",
        fill="none",
        style=f"stroke:{axes.colour(STALE)}" if is_stale else "stroke:currentColor",
        stroke_width=1.4,
        stroke_opacity=None if is_stale else 0.4,
        stroke_dasharray="4 3" if is_stale else None,
    )


def _inputs(one: Artifact) -> list[str]:
    return list(as_mapping(one.manifest.get("inputs")))


def _is_stale(run: Run, one: Artifact, source: str) -> bool:
    """Whether an input that is here has another digest than the one that was read."""
    there = run.artifacts.get(source)
    read = as_mapping(as_mapping(one.manifest.get("inputs")).get(source)).get("digest")
    return there is not None and bool(there.digest) and isinstance(read, str) and read != there.digest


def _short(version: object) -> str:
    if not isinstance(version, str):
        return MISSING
    return short_digest(version) if version.startswith("sha256:") else version
