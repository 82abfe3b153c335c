"""The page on curation: the funnel, and documents that each rule dropped."""

from collections.abc import Mapping
from typing import Any

from hftrain.report import plots
from hftrain.report.markup import Markup, fold, join, sample, tag
from hftrain.report.numbers import count, is_number
from hftrain.report.parts import Options, figure, figures
from hftrain.report.reading import Artifact, objects_in


def curated(corpus: Artifact, options: Options) -> Markup:
    """How many documents came in, which rule dropped how many, and how many were kept."""
    kinds = objects_in(corpus.content("funnel.json"))
    drawn = [_funnel(name, part) for name, part in kinds.items()]
    return join([figures(*drawn), *(_drops(part, options) for part in kinds.values())])


def _funnel(name: str, part: Mapping[str, Any]) -> Markup | None:
    total = part.get("came_in")
    if not is_number(total):
        return None
    drops = {str(rule.get("rule")): rule["dropped"] for rule in _rules(part)}
    plot = plots.funnel(total, drops, title=name, unit="in the order of the rules")
    return figure(plot, "Each bar stands where its rule took its part away.")


def _drops(part: Mapping[str, Any], options: Options) -> Markup | None:
    blocks = [
        fold(
            f"{rule.get('rule')} · {count(rule['dropped'])}",
            *(sample(example.get("text"), 500) for example in rule["examples"][: options.drop_examples]),
        )
        for rule in _rules(part)
        if isinstance(rule.get("examples"), list)
    ]
    return join([tag("h3", "What was dropped"), *blocks]) if blocks else None


def _rules(part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rules = part.get("rules")
    return [rule for rule in rules if is_number(rule.get("dropped"))] if isinstance(rules, list) else []
