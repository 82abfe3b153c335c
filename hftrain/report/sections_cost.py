"""The page on what it all cost: minutes, joules where the machine tells, memory."""

from collections.abc import Callable, Mapping
from typing import Any

from hftrain.report import plots
from hftrain.report.markup import Markup, fold, join, note, table
from hftrain.report.numbers import MISSING, count, duration, energy, is_number, size_in_bytes
from hftrain.report.parts import facts, figure, figures
from hftrain.report.reading import Run, as_mapping, at


def cost(run: Run) -> Markup:
    """Time, energy and memory of each stage, and of all."""
    made = run.finished
    seconds = {one.name: one.manifest.get("seconds") for one in made}
    memory = {one.name: one.manifest.get("peak_memory_bytes") for one in made}
    joules = {one.name: one.manifest.get("joules") for one in made}
    rows = [
        (
            one.name,
            duration(seconds[one.name]),
            energy(joules[one.name]),
            size_in_bytes(memory[one.name]),
            count(at(one.manifest, "measured", "tokens_per_second")),
            count(one.manifest.get("processes")),
            _host(one.manifest),
            count(one.manifest.get("seed")),
        )
        for one in made
    ]
    has_joules = any(map(is_number, joules.values()))
    columns = ("made", "time", "energy", "peak memory", "tokens/s", "processes", "machine", "seed")
    return join(
        [
            _totals(seconds, joules, memory),
            figures(
                _bars(seconds, "Time", "of each stage, by what it made", duration),
                _bars(joules, "Energy", "of the processor, whoever used it", energy) if has_joules else None,
                _bars(memory, "Peak memory", "of the process", size_in_bytes),
            ),
            note("Energy is an upper bound where other programs ran beside.")
            if has_joules
            else note("Energy could not be read on this machine."),
            fold("As a table", table(columns, rows)),
        ]
    )


def _totals(*measured: Mapping[str, Any]) -> Markup:
    seconds, joules, memory = ([value for value in each.values() if is_number(value)] for each in measured)
    return facts(
        ("time, in all", duration(sum(seconds)) if seconds else MISSING),
        ("energy, in all", energy(sum(joules)) if joules else MISSING),
        ("peak memory", size_in_bytes(max(memory)) if memory else MISSING),
    )


def _bars(values: Mapping[str, object], title: str, unit: str, write: Callable[[object], str]) -> Markup:
    return figure(
        plots.bars(values, title=title, unit=unit, texts={name: write(value) for name, value in values.items()})
    )


def _host(manifest: Mapping[str, Any]) -> str:
    host = as_mapping(manifest.get("host"))
    parts = [
        f"{host[key]} {unit}" for key, unit in (("cores", "cores"), ("memory_gib", "GiB")) if is_number(host.get(key))
    ]
    return ", ".join(parts) or MISSING
