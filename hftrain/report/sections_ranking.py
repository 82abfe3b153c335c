"""The page on answers that people ranked: how many, by whom, and how far they agree."""

from collections.abc import Mapping
from typing import Any

from hftrain.files import digest_value
from hftrain.report.markup import Markup, join, note, table, tag
from hftrain.report.numbers import count, decimal, ends, short_digest
from hftrain.report.parts import all_numbers, facts
from hftrain.report.reading import Artifact, Run, as_mapping, objects_in

FOLDER = "ranking"
TITLE, LEAD = (
    "Ranked by people",
    "Raters saw the answers to a prompt side by side, in an order drawn for each, unnamed.",
)
REASONS = {
    "undone": "taken back by the rater",
    "replaced": "decided anew by the same rater",
    "of_other_answers": "about answers that are no longer ranked here",
    "skipped": "skipped",
    "all_bad": "all answers bad, left out by rule",
}


def ranking_summary(run: Run) -> Mapping[str, Any]:
    """What the last export or count of the run's ranking left behind; empty where there was none."""
    return Artifact(FOLDER, run.folder / FOLDER, "finished", False, {}).values("summary.json")


def ranking_key(run: Run) -> str:
    """A digest that changes with what the section shows."""
    return digest_value(dict(ranking_summary(run)))


def ranked_by_people(run: Run) -> Markup | None:
    """Choices, raters and their agreement; None where nobody ranked."""
    summary = ranking_summary(run)
    if not summary:
        return None
    raters = objects_in(summary.get("raters"))
    dropped = as_mapping(summary.get("choices_dropped"))
    return join(
        [
            facts(
                ("choices", count(summary.get("choices")), f"{count(summary.get('choices_used'))} used"),
                ("raters", count(len(raters))),
                (
                    "prompts ranked",
                    count(summary.get("prompts_ranked")),
                    f"of {count(summary.get('prompts'))}; {count(summary.get('shared_prompts'))} by two or more",
                ),
                ("agreement, Krippendorff’s alpha", decimal(summary.get("alpha"), 2), _interval(summary)),
                ("merged by", _words(summary.get("merge")), f"all bad: {_words(summary.get('all_bad_rule'))}"),
            ),
            note(
                "Alpha is 1 where raters agree in all and 0 where they agree as chance would; below 0.67 it is usually "
                "taken as too little to build on. The interval draws whole prompts."
            ),
            _raters(raters),
            _dropped(dropped),
            _origin(summary),
            all_numbers(summary),
        ]
    )


def _interval(summary: Mapping[str, Any]) -> str:
    pair = ends(summary.get("alpha_interval"))
    if pair is None:
        return "two raters must rank the same prompts"
    return f"95 % interval {decimal(pair[0], 2)} to {decimal(pair[1], 2)}"


def _raters(raters: Mapping[str, Mapping[str, Any]]) -> Markup | None:
    rows = [(name, *(count(each.get(kind)) for kind in ("ranked", "all_bad", "skip"))) for name, each in raters.items()]
    return table(("rater", "ranked", "all bad", "skipped"), rows) if rows else None


def _dropped(dropped: Mapping[str, Any]) -> Markup | None:
    rows = [(said, count(dropped[name])) for name, said in REASONS.items() if dropped.get(name)]
    return join([tag("h3", "Choices that gave no row"), table(("reason", "choices"), rows)]) if rows else None


def _origin(summary: Mapping[str, Any]) -> Markup:
    answered_by = summary.get("answered_by")
    model = tag("code", short_digest(answered_by)) if isinstance(answered_by, str) else "–"
    return tag("p", "The answers are of model ", model, ".", class_="made")


def _words(name: object) -> str:
    return name.replace("_", " ") if isinstance(name, str) else "–"
