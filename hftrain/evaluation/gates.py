"""Gates: bounds on scores. A model that breaks one is not to be promoted, and the flow ends there."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hftrain.errors import ArtifactError, ConfigError
from hftrain.evaluation.settings import ANY_MODEL, Gate
from hftrain.files import read_json
from hftrain.upstream import suggest

GATES_FILE = "gates.json"
NOWHERE = Path(os.devnull)
"""Stands for an input that is not there: nothing lies below it."""
ROUNDING = 1e-9
"""By so much a value may miss its bound: sums of decimals do."""


class GateError(ArtifactError):
    """A model of a finished evaluation broke a gate."""


@dataclass(frozen=True)
class Judged:
    """One gate and one model."""

    model: str
    test: str
    measure: str
    value: float
    passed: bool
    bounds: list[str]
    """What was asked, in words, with the values that it was compared with."""

    def row(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def judge(gates: Sequence[Gate], scores: Sequence[Mapping[str, Any]]) -> list[Judged]:
    """Hold each gate against the scores: rows with ``model``, ``test``, ``measure``, ``value``, ``better``.

    Raises:
        ConfigError: A gate names a score that was not measured, or what is worse cannot be said of it.
    """
    found = {(row["model"], row["test"], row["measure"]): row for row in scores}
    models = list(dict.fromkeys(row["model"] for row in scores))
    judged = []
    for place, gate in enumerate(gates):
        where = f"evaluate_model.gates[{place}]"
        for model in models if gate.model == ANY_MODEL else [gate.model]:
            if model == gate.no_worse_than:
                continue
            judged.append(_judged(gate, _score(found, model, gate, where), found, where))
    return judged


def _judged(gate: Gate, score: Mapping[str, Any], found: Mapping[Any, Mapping[str, Any]], where: str) -> Judged:
    value: float = score["value"]
    checks: list[tuple[bool, str]] = []
    if gate.at_least is not None:
        checks.append((value >= gate.at_least - ROUNDING, f"at least {gate.at_least:g}"))
    if gate.at_most is not None:
        checks.append((value <= gate.at_most + ROUNDING, f"at most {gate.at_most:g}"))
    if gate.no_worse_than is not None:
        if score["better"] == "neither":
            raise ConfigError(
                f"{where}.no_worse_than: of {gate.test} {gate.measure} neither more nor less is better. Set at_least "
                "or at_most."
            )
        other: float = _score(found, gate.no_worse_than, gate, where)["value"]
        worse = other - value if score["better"] == "higher" else value - other
        said = f"no worse than {gate.no_worse_than} ({other:.4g}) by more than {gate.margin:g}"
        checks.append((worse <= gate.margin + ROUNDING, said))
    return Judged(
        score["model"],
        gate.test,
        gate.measure,
        value,
        all(holds for holds, _ in checks),
        [said for _, said in checks],
    )


def _score(found: Mapping[Any, Mapping[str, Any]], model: str, gate: Gate, where: str) -> Mapping[str, Any]:
    row = found.get((model, gate.test, gate.measure))
    if row is None:
        known = sorted({f"{test} {measure}" for name, test, measure in found if name == model})
        near = suggest(f"{gate.test} {gate.measure}", known)
        meant = f" Did you mean {near}?" if near else f" Measured: {', '.join(known) or 'nothing of this model'}."
        raise ConfigError(f"{where}: {gate.test} {gate.measure} was not measured of {model}.{meant}")
    return row


def check(evaluation: Path) -> None:
    """Refuse an evaluation in which a gate was broken.

    Raises:
        GateError: Names each broken gate, with the value and the bound.
    """
    path = evaluation / GATES_FILE
    broken = [gate for gate in read_json(path)["gates"] if not gate["passed"]] if path.is_file() else []
    if broken:
        told = [
            f"{gate['model']}: {gate['test']} {gate['measure']} is {gate['value']:.4g}; {', '.join(gate['bounds'])} is "
            "needed"
            for gate in broken
        ]
        count = "1 gate is" if len(told) == 1 else f"{len(told)} gates are"
        lines = "\n  ".join(told)
        raise GateError(
            f"{evaluation}: {count} broken.\n  {lines}\nThe evaluation is written; nothing after it is made. Train the "
            "model further or otherwise, or change evaluate_model.gates."
        )


def gated(*, may_lack: Sequence[str] = ()) -> Callable[[Callable[..., Path]], Callable[..., Path]]:
    """For a stage that makes an evaluation: end the flow if a gate in it is broken, each time it is asked.

    Args:
        may_lack: Inputs that the stage can do without; not given, or None, they count as not there.
    """

    def decorate(stage: Callable[..., Path]) -> Callable[..., Path]:
        @functools.wraps(stage)
        def run(*given: Any, **named: Any) -> Path:
            lacking = {name: NOWHERE for name in may_lack if named.get(name) is None}
            folder = stage(*given, **{**named, **lacking})
            check(folder)
            return folder

        return run

    return decorate
