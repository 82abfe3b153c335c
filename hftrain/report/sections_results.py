"""The page on what came out: every model side by side, the formats, and what it all cost."""

from collections.abc import Mapping
from typing import Any

from hftrain.report.markup import Markup, clip, div, fold, join, note, sample, span, table, tag
from hftrain.report.numbers import (
    MISSING,
    NEAR,
    count,
    decimal,
    is_number,
    percent,
    short_count,
    size_in_bytes,
)
from hftrain.report.parts import Options, facts, figure, figures
from hftrain.report.reading import Artifact, as_mapping, at, objects_in
from hftrain.report.tradeoff import Spot, tradeoff

BETTER = {
    "bits_per_byte": ("bits per byte, held-out text", min),
    "answer_nats": ("nats per token, held-out answers", min),
    "reward": ("reward, held-out prompts", max),
    "ended_share": ("answers that end by themselves", max),
    "answer_tokens": ("tokens per answer", None),
    "distinct_2": ("different among its word pairs", None),
    "distinct_answers_share": ("different among its answers", None),
    "parameters": ("parameters", None),
}
"""Number of a model -> its name on the page, and which of several is the better one."""


MOST_PROMPTS = 24


def evaluation(made: Artifact, options: Options) -> Markup:
    """Every model by the same measures, and on the same prompts."""
    models = objects_in(made.summary.get("models"))
    names = [*BETTER, *(key for numbers in models.values() for key in numbers if key not in BETTER)]
    rows = [
        _compared(name, [models[model].get(name) for model in models])
        for name in dict.fromkeys(names)
        if any(is_number(numbers.get(name)) for numbers in models.values())
    ]
    shown = "The best of a row is set bold. Answers are the likeliest ones here, and sampled ones in training."
    return join(
        [
            join([table(("measure", *models), rows), note(shown)]) if rows else None,
            _answers(made.values("samples.json")),
        ]
    )


def export(made: Artifact, options: Options) -> Markup:
    """What each format costs in bytes and in quality."""
    found = objects_in(made.summary.get("formats"))
    formats = dict(sorted(found.items(), key=lambda one: -_size(one[1])))
    rows = [
        (
            clip(name, 40),
            size_in_bytes(numbers.get("bytes")),
            decimal(numbers.get("bits_per_byte")),
            decimal(numbers.get("ratio"), 4),
            percent(numbers.get("greedy_agreement"), 1),
            percent(numbers.get("equal_answers"), 1),
            count(_measured(made, name, "tokens_per_second")),
            size_in_bytes(_measured(made, name, "peak_memory_bytes")),
            clip(numbers.get("keeps") or MISSING, 100),
            _words(numbers.get("loads_with")),
        )
        for name, numbers in formats.items()
    ]
    columns = (
        "format",
        "size",
        "bits per byte",
        "against full",
        "same token",
        "same answer",
        "tokens/s",
        "memory",
        "kept higher",
        "loads with",
    )
    return join(
        [
            facts(
                ("full model, bits per byte", decimal(made.summary.get("full_bits_per_byte"))),
                ("full model, tokens/s", count(_measured(made, "full", "tokens_per_second"))),
            ),
            _formats_plot(made, formats) if formats else None,
            table(columns, rows) if rows else None,
            note(
                "“Against full” divides a format's bits per byte by the full model's: 1 lost nothing. “Same token” "
                "is the share of greedy steps that pick the full model's token, “same answer” that of answers equal to "
                "their last token. Speed is of one answer after the other, memory what that took beyond an idle "
                "process; both are this machine's. “Kept higher” is what a format leaves in more bits than its name "
                "says."
            ),
        ]
    )


def _formats_plot(made: Artifact, formats: Mapping[str, Mapping[str, Any]]) -> Markup:
    """Quality against size, the area of each mark its speed."""
    spots = {}
    for name, numbers in formats.items():
        speed, size, ratio = _measured(made, name, "tokens_per_second"), numbers.get("bytes"), numbers.get("ratio")
        spots[name] = Spot(
            x=size / 2**20 if is_number(size) else None,
            y=100 * (ratio - 1) if is_number(ratio) else None,
            weight=speed,
            remark=f"{count(speed)}/s" if is_number(speed) else "",
            family=_words(numbers.get("measured_with")),
        )
    drawn = tradeoff(spots, title="Quality against size", x_label="MiB on disk", y_label="bits per byte, % above full")
    return figures(
        figure(
            drawn,
            "0 is the full model, further left is smaller. Beside each name, and as the area of its mark, the tokens "
            "per second of one stream; shapes and colours tell what runs it.",
        )
    )


def _compared(name: str, values: list[Any]) -> list[object]:
    title, better = BETTER.get(name, (name.replace("_", " "), None))
    known = [value for value in values if is_number(value)]
    best = better(known) if better is not None and len(known) > 1 else None
    written = [_written(name, value) for value in values]
    cells = [
        tag("b", text) if best is not None and value == best else text
        for text, value in zip(written, values, strict=True)
    ]
    arrow = {min: f"{NEAR}↓", max: f"{NEAR}↑"}.get(better, "") if better is not None else ""
    return [title + arrow, *cells]


def _written(name: str, value: object) -> str:
    if name.endswith("share") or "accuracy" in name or name == "distinct_2":
        return percent(value, 1)
    if name.endswith("tokens"):
        return decimal(value, 1)
    return short_count(value) if isinstance(value, int) else decimal(value)


def _answers(samples: Mapping[str, Any]) -> Markup | None:
    prompts, answers = samples.get("prompts"), as_mapping(samples.get("answers"))
    if not isinstance(prompts, list) or not prompts or not answers:
        return None
    blocks = []
    for place, prompt in enumerate(prompts[:MOST_PROMPTS]):
        said = [
            div("column", span("role", clip(model, 40)), sample(_answer_at(given, place), 500))
            for model, given in answers.items()
        ]
        blocks.append(fold(clip(_asked(prompt), 200), div("columns", *said), is_open=place < 2))
    return join(
        [
            tag("h3", "The same prompts to every model"),
            note("Fixed before training; all of them, in their order. The base model was never taught to answer."),
            *blocks,
        ]
    )


def _asked(prompt: object) -> object:
    last = prompt[-1] if isinstance(prompt, list) and prompt else prompt
    return last.get("content") if isinstance(last, Mapping) else last


def _answer_at(given: object, place: int) -> object:
    answer = given[place] if isinstance(given, list) and place < len(given) else None
    return answer.get("text") if isinstance(answer, Mapping) else answer


def _measured(made: Artifact, name: str, what: str) -> object:
    return at(made.manifest, "measured", f"{name}_{what}")


def _size(numbers: Mapping[str, Any]) -> float:
    size = numbers.get("bytes")
    return float(size) if is_number(size) else 0.0


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return value if isinstance(value, str) else MISSING
