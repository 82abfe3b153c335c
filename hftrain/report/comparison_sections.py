"""A comparison as tables of texts: what the terminal prints and the page shows are the same cells."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hftrain.report.comparison import LEVEL
from hftrain.report.markup import visible
from hftrain.report.numbers import MISSING, count, decimal, duration, is_number, percent, signed, size_in_bytes
from hftrain.report.sections_evaluation import SHARES

Row = Mapping[str, Any]
MOST_CHARS = 48
"""A longer cell is cut in the terminal."""


@dataclass(frozen=True)
class Table:
    """One table with its heading."""

    title: str
    said: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric_from: int = 2


def tables(found: Row) -> Iterator[Table]:
    """Every part of a comparison, the tests first."""
    first, second = found["runs"]
    yield _artifacts(found)
    yield from _tests(found)
    yield _figures(found)
    yield _settings(found)
    yield _exports(found)
    yield _cost(found)
    made = [[str(row["what"]), *map(_plain, row["values"])] for row in found["made_with"]]
    yield Table("Made with", "Seed, code, machine and packages, where they differ.", ["", first, second], made, 1)


def terminal_lines(found: Row) -> Iterator[str]:
    """The tables as plain lines."""
    yield visible(f"A  {found['runs'][0]}\nB  {found['runs'][1]}\nDifferences are B less A.")
    for table in tables(found):
        yield ""
        yield f"{table.title}: {table.said}"
        if not table.rows:
            yield "  nothing"
            continue
        head = ["A" if name == found["runs"][0] else "B" if name == found["runs"][1] else name for name in table.head]
        yield from _aligned([head, *table.rows], table.numeric_from)


def _aligned(rows: Sequence[Sequence[str]], numeric_from: int) -> Iterator[str]:
    shown = [[_cut(cell) for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in shown) for place in range(len(shown[0]))]
    for row in shown:
        cells = [
            cell.rjust(width) if place >= numeric_from else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()


def _cut(cell: str) -> str:
    flat = visible(" ".join(cell.split(" ")).replace("\n", "⏎").replace("\t", " "))
    return flat if len(flat) <= MOST_CHARS else flat[: MOST_CHARS - 1] + "…"


def _artifacts(found: Row) -> Table:
    rows = [[str(row["artifact"]), str(row["state"])] for row in found["artifacts"]]
    same = sum(row["state"] == "the same bytes" for row in found["artifacts"])
    return Table("Artifacts", f"{same} of {len(rows)} hold the same bytes.", ["made", "beside each other"], rows, 2)


def _tests(found: Row) -> Iterator[Table]:
    """All models and all tests, by kind."""
    first, second = found["runs"]
    paired = [row for row in found["tests"] if row["paired"]]
    clear = sum(row["paired"]["p_value"] < LEVEL / len(paired) for row in paired)
    said = "not both were evaluated, or nothing that both were asked."
    if found["tests"]:
        said = f"none of {len(found['tests'])} scores is of the same items in both, so no difference is tested."
    if paired:
        said = (
            f"{len(paired)} of {len(found['tests'])} scores are of the same items in both; of those {clear} would be "
            f"surprising without a difference even when so many are made (p < {LEVEL} / {len(paired)}, marked *)."
        )
    head = ["model", "test", first, second, "difference", "95% interval", "p", "items"]
    kinds = list(dict.fromkeys(row["kind"] for row in found["tests"])) or [None]
    for kind in kinds:
        rows = [_test(row, len(paired)) for row in found["tests"] if row["kind"] == kind]
        yield Table(f"Tests, {kind}" if kind else "Tests", said if kind == kinds[0] else "as above.", head, rows)


def _test(row: Row, tests: int) -> list[str]:
    write = _writer(str(row["measure"]))
    paired = row["paired"]
    difference = _moved(row["difference"], str(row["measure"]))
    counts = [each["count"] for each in row["scores"]]
    name = f"{row['test']} {str(row['measure']).replace('_', ' ')}"
    if paired is None:
        bounds = [f"[{write(each['low'])}, {write(each['high'])}]" for each in row["scores"]]
        values = [f"{write(each['value'])} {reach}" for each, reach in zip(row["scores"], bounds, strict=True)]
        said = "–".join(dict.fromkeys(map(count, counts)))
        return [str(row["model"]), name, *values, difference, str(row["unpaired_because"]), MISSING, said]
    mark = "*" if paired["p_value"] < LEVEL / tests else ""
    reach = f"[{_moved(paired['low'], row['measure'])}, {_moved(paired['high'], row['measure'])}]"
    p_value = "< 0.001" if paired["p_value"] < 0.001 else decimal(paired["p_value"])
    values = [write(each["value"]) for each in row["scores"]]
    return [str(row["model"]), name, *values, difference, reach, p_value + mark, count(paired["count"])]


def is_share(measure: str) -> bool:
    """Whether a measure is written in percent."""
    return any(word in measure for word in SHARES)


def _writer(measure: str) -> Callable[[object], str]:
    return (lambda value: percent(value, 1)) if is_share(measure) else decimal


def _moved(value: object, measure: str) -> str:
    if not is_number(value):
        return MISSING
    return signed(100 * value, 1) if is_share(measure) else signed(value, 3)


def _figures(found: Row) -> Table:
    """Numbers that differ; those that are the same stand in the JSON."""
    tested = {f"models.{row['model']}.{row['measure']}" for row in found["tests"]}
    figures = [row for row in found["figures"] if row["artifact"] != "evaluation" or row["figure"] not in tested]
    rows = [
        [str(row["artifact"]), str(row["figure"]).replace("_", " "), *map(_number, row["values"]), _change(row)]
        for row in figures
        if row["values"][0] != row["values"][1]
    ]
    alike = len(figures) - len(rows)
    said = f"each stage's own numbers; {alike} more are the same in both."
    return Table("Figures", said, ["made", "figure", *found["runs"], "difference"], rows)


def _change(row: Row) -> str:
    change = row["change"]
    if not is_number(change):
        return MISSING
    before, after = row["values"]
    share = f" ({100 * change / before:+.1f} %)".replace("-", "−") if before > 0 and after >= 0 else ""
    is_whole = all(isinstance(value, int) for value in row["values"])
    return (f"{change:+,.0f}" if is_whole else f"{change:+.4g}").replace("-", "−") + share


def _settings(found: Row) -> Table:
    rows = [[str(row["artifact"]), str(row["setting"]), *map(_plain, row["values"])] for row in found["settings"]]
    said = "what was set otherwise; seeds apart, which come from the run's." if rows else "all the same."
    return Table("Settings", said, ["made", "setting", *found["runs"]], rows, 9)


def _exports(found: Row) -> Table:
    first, second = found["runs"]
    rows = []
    for row in found["exports"]:
        for name, write in _EXPORT_FIGURES:
            values = row[name]
            if any(map(is_number, values)):
                rows.append([str(row["format"]), name.replace("_", " "), *map(write, values)])
    return Table("Formats", "what each costs, and what it keeps.", ["format", "figure", first, second], rows)


_EXPORT_FIGURES: tuple[tuple[str, Callable[[object], str]], ...] = (
    ("bytes", size_in_bytes),
    ("bits_per_byte", lambda value: decimal(value, 4)),
    ("ratio", lambda value: decimal(value, 5)),
    ("greedy_agreement", lambda value: percent(value, 1)),
    ("tokens_per_second", count),
)


def _cost(found: Row) -> Table:
    def total(name: str, place: int) -> list[float]:
        return [row[name][place] for row in found["cost"] if is_number(row[name][place])]

    has_joules = any(any(map(is_number, row["joules"])) for row in found["cost"])
    rows = []
    for row in found["cost"]:
        joules = [f"{count(value)} J" if is_number(value) else MISSING for value in row["joules"]] if has_joules else []
        rows.append(
            [
                str(row["artifact"]),
                *map(duration, row["seconds"]),
                *map(size_in_bytes, row["peak_memory_bytes"]),
                *joules,
            ]
        )
    whole = [duration(sum(total("seconds", place))) for place in (0, 1)]
    peak = [size_in_bytes(max(total("peak_memory_bytes", place), default=None)) for place in (0, 1)]
    joules = [f"{count(sum(total('joules', place)))} J" for place in (0, 1)] if has_joules else []
    rows.append(["in all", *whole, *peak, *joules])
    head = [
        "made",
        "time A",
        "time B",
        "peak memory A",
        "peak memory B",
        *(["energy A", "energy B"] if has_joules else []),
    ]
    return Table("Cost", "A is the first run, B the second.", head, rows, 1)


def _number(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return count(value)
    return decimal(value, 4) if is_number(value) else _plain(value) if value is not None else MISSING


def _plain(value: object) -> str:
    if value is None:
        return "not set"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
