"""The page on training again: what people said, what was learned of it, and what became of each new model."""

from collections.abc import Mapping
from typing import Any

from hftrain.files import digest_value
from hftrain.report.markup import Markup, fold, join, note, paragraph, table, tag
from hftrain.report.numbers import count, decimal, percent, short_digest
from hftrain.report.parts import messages
from hftrain.report.reading import Artifact, Run, as_list, as_mapping, at

FOLDER, PROMOTED = "cycles", "promoted.json"
TITLE, LEAD = (
    "Trained again",
    "What people said of the answers is learned; the new model is held against the one that is promoted, and takes its "
    "place only if it passes.",
)
MEASURES = (
    ("drawn_answer_tokens", "tokens of a drawn answer", decimal, 1),
    ("ended_share", "answers that end", percent, 0),
    ("bits_per_byte", "bits per byte of held-out text", decimal, 3),
    ("reward", "reward", decimal, 2),
    ("drawn_toxic_share", "drawn answers that read as toxic", percent, 1),
    ("drawn_refused_share", "drawn answers that refuse", percent, 1),
    ("drawn_repetition", "repetition", decimal, 3),
)
SHOWN_ANSWERS = 4


def cycle_key(run: Run) -> str:
    """A digest that changes with what the section shows."""
    shown = [_file(run, PROMOTED), *(_parts(run, name) for name in _names(run))]
    return digest_value(repr(shown))


def cycles(run: Run) -> Markup | None:
    """Every cycle of a run, the last one first, and what was promoted when; None where there was none."""
    names = _names(run)
    if not names:
        return None
    return join([_promotions(run), *(_cycle(name, _parts(run, name)) for name in reversed(names))])


def _names(run: Run) -> list[str]:
    return sorted(path.parent.name for path in (run.folder / FOLDER).glob("*/plan.json"))


def _file(run: Run, name: str, below: str = "") -> Mapping[str, Any]:
    return Artifact(below or name, run.folder / below, "finished", False, {}).values(name)


def _parts(run: Run, name: str) -> dict[str, Mapping[str, Any]]:
    here = f"{FOLDER}/{name}"
    return {
        "plan": _file(run, "plan.json", here),
        "decision": _file(run, "decision.json", here),
        "feedback": _file(run, "summary.json", f"{here}/feedback"),
        "evaluation": _file(run, "summary.json", f"{here}/evaluation"),
        "gates": _file(run, "gates.json", f"{here}/evaluation"),
        "samples": _file(run, "samples.json", f"{here}/evaluation"),
    }


def _promotions(run: Run) -> Markup | None:
    entries = [as_mapping(entry) for entry in as_list(_file(run, PROMOTED).get("history"))]
    if not entries:
        return note("Nothing was promoted: the run's own model answers.")
    words = {"start": "the run's own", "cycle": "promoted", "rollback": "gone back to"}
    rows = [
        (
            _text(entry.get("model")),
            words.get(_text(entry.get("by")), "–"),
            _text(entry.get("at"))[:16].replace("T", " "),
            tag("code", short_digest(entry.get("digest"))),
        )
        for entry in entries
    ]
    return table(("model", "", "when (UTC)", "digest"), rows, numeric_from=9)


def _cycle(name: str, parts: Mapping[str, Mapping[str, Any]]) -> Markup:
    decision, plan = parts["decision"], parts["plan"]
    state = "promoted" if decision.get("promoted") else "refused" if decision else "under way, or cut"
    learned = ", ".join(f"{count(number)} {kind}" for kind, number in as_mapping(plan.get("learns")).items())
    reasons = [tag("li", _text(reason)) for reason in as_list(decision.get("reasons"))]
    return join(
        [
            tag("h3", f"Cycle {name}: {state}"),
            paragraph("From ", tag("code", _text(plan.get("model"))), f", learning {learned or 'nothing'}."),
            tag("ul", *reasons) if reasons else None,
            _feedback(parts["feedback"]),
            _measures(parts["evaluation"]),
            _gates(parts["gates"]),
            _answers(parts["samples"]),
        ]
    )


def _feedback(summary: Mapping[str, Any]) -> Markup | None:
    if not summary:
        return None
    names = ("said", "people", "corrections", "thumbs_up", "thumbs_down", "comparisons", "ranked_pairs")
    rows = [(_words(name), count(summary.get(name))) for name in names]
    dropped = [
        (f"dropped: {_words(name)}", count(number)) for name, number in as_mapping(summary.get("dropped")).items()
    ]
    return table(("what people said", "rows"), [*rows, *dropped])


def _measures(summary: Mapping[str, Any]) -> Markup | None:
    models = as_mapping(summary.get("models"))
    if not models:
        return None
    rows = [
        (said, *(write(at(models, model, name), digits) for model in ("promoted", "candidate")))
        for name, said, write, digits in MEASURES
    ]
    return table(("measured alike", "promoted", "new"), rows)


def _gates(told: Mapping[str, Any]) -> Markup | None:
    gates = [as_mapping(gate) for gate in as_list(told.get("gates"))]
    rows = [
        ("passed" if gate.get("passed") else "broken", f"{_text(gate.get('test'))} {_words(gate.get('measure'))}",
         "; ".join(map(_text, as_list(gate.get("bounds")))), decimal(gate.get("value"), 3))
        for gate in gates
    ]  # fmt: skip
    return table(("gate", "measure", "needed", "value"), rows, numeric_from=3) if rows else None


def _answers(told: Mapping[str, Any]) -> Markup | None:
    prompts, answers = as_list(told.get("prompts")), as_mapping(told.get("answers"))
    rows = [
        (messages(prompt), *(_text(_nth(answers.get(model), place)) for model in ("promoted", "candidate")))
        for place, prompt in enumerate(prompts[:SHOWN_ANSWERS])
    ]
    return (
        fold("Answers, drawn with one seed", table(("request", "promoted", "new"), rows, numeric_from=9))
        if rows
        else None
    )


def _nth(values: object, place: int) -> object:
    given = as_list(values)
    return given[place] if place < len(given) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else "–"


def _words(name: object) -> str:
    return _text(name).replace("_", " ")
