"""The page on where everything comes from: which artifact was made from which, down to the sources."""

from hftrain.report import axes
from hftrain.report.axes import WIDTH, label, place
from hftrain.report.frame import Plot
from hftrain.report.marks import dot
from hftrain.report.markup import Markup, clip, fold, join, note, table, tag
from hftrain.report.numbers import MISSING, short_digest
from hftrain.report.parts import figure
from hftrain.report.reading import Artifact, Run, as_mapping

ROW, LINE = 42, 13
LANE = 11
"""Between two lanes; each holds the line of what was read further below than the next row."""
CURVE = 12


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
                "From each artifact a line of its own colour runs down to what was made from it; dashed where it was "
                "made anew since. The digits begin a digest over all files of a folder: same digits, same bytes.",
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
    """Artifacts below each other; from each a line of its own colour runs to everything that was made from it."""
    shown = [one for one in run.artifacts.values() if one.state != "missing"]
    row_of = {one.name: row for row, one in enumerate(shown)}
    readers: dict[int, list[tuple[int, bool]]] = {row: [] for row in row_of.values()}
    for one in shown:
        for source in _inputs(one):
            if row_of.get(source, len(shown)) < row_of[one.name]:
                readers[row_of[source]].append((row_of[one.name], _is_stale(run, one, source)))
    lanes = _lanes({row: max(place for place, _ in found) for row, found in readers.items() if found})
    spine = 14 + LANE * (max(lanes.values(), default=-1) + 1) + 6
    texts = [_wrapped(", ".join(_inputs(one)), WIDTH - spine - 14) for one in shown]
    tops = [0.0]
    for lines in texts:
        tops.append(tops[-1] + ROW + LINE * max(0, len(lines) - 1))
    lines_drawn = [
        _lines(row, found, lanes.get(row), spine, [top + 16 for top in tops]) for row, found in readers.items()
    ]
    nodes = [_node(one, row, spine, tops[row] + 16, texts[row]) for row, one in enumerate(shown)]
    return Plot("Lineage", join([*lines_drawn, *nodes]), max(tops[-1], ROW))


def _lanes(last_of: dict[int, int]) -> dict[int, int]:
    """For each row that is read below the next one: the first lane that is free from it to its last reader."""
    lanes: dict[int, int] = {}
    for row, last in sorted(last_of.items()):
        if last > row + 1:
            taken = {lane for other, lane in lanes.items() if last_of[other] > row}
            lanes[row] = next(lane for lane in range(len(last_of) + 1) if lane not in taken)
    return lanes


def _lines(row: int, readers: list[tuple[int, bool]], lane: int | None, spine: float, heights: list[float]) -> Markup:
    """From a row straight down to the next one, and along its lane to those further below."""
    parts, x = [], spine - 10 - LANE * (lane or 0)
    start = heights[row]
    far = [(reader, is_stale) for reader, is_stale in readers if reader > row + 1]
    for reader, is_stale in readers:
        if reader == row + 1:
            parts.append(_path(f"M{place(spine)} {place(start)}V{place(heights[reader])}", row, is_stale=is_stale))
    if far:
        end = max(heights[reader] for reader, _ in far) - CURVE
        trunk = f"M{place(spine)} {place(start)}C{place(x)} {place(start)} {place(x)} {place(start)} {place(x)} "
        parts.append(_path(f"{trunk}{place(start + CURVE)}V{place(end)}", row))
    for reader, is_stale in far:
        y = heights[reader]
        branch = f"M{place(x)} {place(y - CURVE)}C{place(x)} {place(y)} {place(x)} {place(y)} {place(spine)} {place(y)}"
        parts.append(_path(branch, row, is_stale=is_stale))
    return join(parts)


def _path(path: str, row: int, *, is_stale: bool = False) -> Markup:
    return tag("path", d=path, fill="none", style=f"stroke:{axes.colour(row)}", stroke_width=1.6, stroke_opacity=0.8,
               stroke_dasharray="3 3" if is_stale else None)  # fmt: skip


def _node(one: Artifact, row: int, spine: float, y: float, sources: list[str]) -> Markup:
    is_whole = one.state == "finished"
    name = tag("a", label(spine + 14, y + 4, one.name, size=13, weight=600), href=f"#{one.name}")
    digest = short_digest(one.digest) if is_whole else "unfinished"
    parts = [
        dot(spine, y, row, radius=5, is_ring=not is_whole),
        name,
        label(WIDTH, y + 4, digest, anchor="end", opacity=0.7),
    ]
    parts += [
        label(spine + 14, y + 18 + LINE * place_, f"{'' if place_ else 'from '}{line}", opacity=0.7)
        for place_, line in enumerate(sources)
    ]
    return join(parts)


def _wrapped(text: str, width: float) -> list[str]:
    """The words in lines of at most this width, "from" before the first."""
    lines: list[str] = []
    for word in text.split(" ") if text else []:
        if lines and axes.text_width(f"from {lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


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
