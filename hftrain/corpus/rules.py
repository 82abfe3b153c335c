"""Quality rules: which texts stay, and what is wrong with the others.

``build`` takes sets of rules by name, ``judge`` asks them of many texts at once, ``explain`` shows what each of them
thinks of one text. ``hftrain.corpus.rule_sets`` holds the rules with their thresholds and sources.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy

from hftrain.corpus.batches import Batch
from hftrain.corpus.rule_sets import BASIC, RULE_SETS, Rule
from hftrain.corpus.text_lines import Flags, Floats
from hftrain.corpus.word_pieces import narrowed
from hftrain.errors import ConfigError

PlainRule = tuple[str, Callable[[str], str | None]]
"""A name to count by, and text -> what is wrong, or None."""

AnyRule = Rule | PlainRule


@dataclass(frozen=True)
class Opinion:
    """What a rule thinks of a text."""

    name: str
    measure: str
    value: float
    """NaN: the rule does not ask this of the text."""

    least: float | None
    most: float | None
    is_broken: bool
    detail: str
    source: str


def rule_sets() -> Mapping[str, tuple[Rule, ...]]:
    """All sets of rules by name, with the published thresholds."""
    return RULE_SETS


def build(names: Sequence[str], thresholds: Mapping[str, float]) -> list[Rule]:
    """The rules of the named sets, in order, with other thresholds where they are given.

    Args:
        names: Any of ``rule_sets()``.
        thresholds: ``set.setting`` -> value, as in ``gopher_quality.minimum_words: 30``.

    Raises:
        ConfigError: A set or a setting that nobody knows, or a threshold of a set that is not asked.
    """
    for name in names:
        if name not in RULE_SETS:
            raise ConfigError(f"rules: {name!r} is not known. {_instead(name, list(RULE_SETS))}")
    left = dict(thresholds)
    found = []
    for name in names:
        for rule in RULE_SETS[name]:
            least = left.pop(f"{name}.{rule.least_name}", rule.least) if rule.least_name else None
            most = left.pop(f"{name}.{rule.most_name}", rule.most) if rule.most_name else None
            found.append(replace(rule, least=least, most=most))
    if left:
        unknown = next(iter(left))
        raise ConfigError(f"thresholds: {unknown!r} is not known. {_instead(unknown, threshold_names(names))}")
    return found


def threshold_names(names: Sequence[str]) -> list[str]:
    """What the thresholds of these sets are called in settings."""
    return [
        f"{name}.{setting}"
        for name in names
        for rule in RULE_SETS[name]
        for setting in (rule.least_name, rule.most_name)
        if setting
    ]


def judge(batch: Batch, rules: Sequence[AnyRule]) -> list[tuple[str, str] | None]:
    """For each text the name of the first rule that it breaks, and what is wrong; None if it breaks none."""
    broken: list[tuple[str, str] | None] = [None] * len(batch)
    places = numpy.arange(len(batch))
    left = numpy.ones(len(batch), numpy.bool_)
    for rule in rules:
        found = _found(batch, rule, left)
        for document, detail in found.items():
            broken[int(places[document])] = (rule.name if isinstance(rule, Rule) else rule[0], detail)
        left[list(found)] = False
        if not left.any():
            break
        if found and 2 * int(batch.lengths_D[left].sum()) < int(batch.lengths_D.sum()):
            kept = numpy.flatnonzero(left)  # the rest is measured for nothing
            batch, places, left = narrowed(batch, kept), places[kept], numpy.ones(len(kept), numpy.bool_)
    return broken


def _found(batch: Batch, rule: AnyRule, left: Flags) -> dict[int, str]:
    """Those of the texts that are left that break a rule, and what is wrong with each."""
    if isinstance(rule, Rule):
        values = _values(batch, rule, left)
        hits = numpy.flatnonzero(left & _is_broken(rule, values)).tolist()
        return {document: _detail(rule, float(values[document]), batch.texts[document]) for document in hits}
    details = {document: rule[1](batch.texts[document]) for document in numpy.flatnonzero(left).tolist()}
    return {document: detail for document, detail in details.items() if detail is not None}


def first_reason(text: str, rules: Sequence[AnyRule]) -> tuple[str, str] | None:
    """The name of the first rule that a text breaks, and what is wrong; None if it breaks none."""
    return judge(Batch([text]), rules)[0]


def explain(text: str, rules: Sequence[Rule]) -> list[Opinion]:
    """What every rule thinks of a text, broken or not, with its exact value."""
    batch = Batch([text])
    opinions = []
    for rule in rules:
        value = float(batch.once(rule.measure)[0])
        is_broken = bool(_is_broken(rule, numpy.array([value]))[0])
        detail = _detail(rule, value, text) if is_broken else ""
        measure = (rule.measure.__doc__ or "").partition("\n")[0] or rule.says.replace("{:.3f} ", "")
        opinions.append(Opinion(rule.name, measure, value, rule.least, rule.most, is_broken, detail, rule.source))
    return opinions


def _values(batch: Batch, rule: Rule, asked_D: Flags) -> Floats:
    """The measured numbers; where the rule's bound clears a text, the bound."""
    if rule.bound is None or rule.least is not None:
        return batch.once(rule.measure)
    values = batch.once(rule.bound)
    assert rule.most is not None
    suspects = numpy.flatnonzero((values > rule.most) & asked_D)
    if len(suspects):
        values = values.copy()
        values[suspects] = narrowed(batch, suspects).once(rule.measure)
    return values


def _is_broken(rule: Rule, values: Floats) -> Flags:
    broken = numpy.zeros(len(values), numpy.bool_)
    if rule.least is not None:
        broken |= values < rule.least
    if rule.most is not None:
        broken |= values > rule.most
    return broken


def _detail(rule: Rule, value: float, text: str) -> str:
    said = rule.says.format(value)
    if rule.most is not None and value > rule.most:
        said += f" (at most {rule.most:g})" if rule.most else ""
    elif rule.least is not None:
        said += f" (at least {rule.least:g})"
    shown = rule.shown(text) if rule.shown else ""
    return f"{said}: {shown}" if shown else said


def _instead(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    needed = f"Did you mean {near[0]}?" if near else f"Needed: any of {', '.join(known)}."
    return f"{needed} Mend the name, or leave it out."


__all__ = [
    "BASIC",
    "AnyRule",
    "Opinion",
    "Rule",
    "build",
    "explain",
    "first_reason",
    "judge",
    "rule_sets",
    "threshold_names",
]
