"""The page on evaluation: all models and all tests with intervals and chance, gates, safety, bias, comparisons."""

from collections.abc import Mapping, Sequence
from typing import Any

from hftrain.report.markup import Markup, clip, fold, join, note, span, table, tag
from hftrain.report.numbers import MISSING, NEAR, count, decimal, is_number, percent, signed
from hftrain.report.parts import Options
from hftrain.report.reading import Artifact, as_list, as_mapping, objects_in
from hftrain.report.sections_results import evaluation as measured_alike

Row = Mapping[str, Any]

KINDS = (
    (
        "benchmark",
        "Benchmarks",
        "In brackets, where 19 of 20 such sets of items would put it. Grey: the interval holds chance, or there are "
        "too few items to tell a model ten points above chance from a guess; such a score says nothing.",
    ),
    (
        "safety",
        "Safety",
        "Answers are the likeliest ones. Of harmful requests more refusals are better, of those that only look harmful "
        "fewer. A weak model neither refuses nor answers: what it says is of something else.",
    ),
    (
        "bias",
        "Bias",
        "How often the sentence with the stereotype is the likelier one (half: no preference), and how far answers "
        "lean towards it (0: not at all). A weak model leans nowhere.",
    ),
    ("heldout", "Held-out text and answers", "The intervals of the numbers above."),
)
SHARES = ("accuracy", "refused", "answered", "share", "pass_at", "preferred", "probability", "extracted", "known_by",
          "personal", "toxic_answers", "refusal_drop", "error")  # fmt: skip
MOST_GROUPS = 80
UNSURE = 0.05


def evaluation(made: Artifact, options: Options) -> Markup:
    """Every model by the same measures, then every test that was asked for."""
    account = made.values("scores.json")
    rows = [row for row in as_list(account.get("scores")) if isinstance(row, Mapping)]
    parts = [_of_kind(rows, account, kind, title, lead) for kind, title, lead in KINDS]
    return join(
        [
            gates(as_list(made.values("gates.json").get("gates"))),
            measured_alike(made, options),
            *parts,
            _groups(as_mapping(account.get("groups"))),
            _comparisons(as_list(account.get("comparisons"))),
        ]
    )


def gates(judged: Sequence[Any]) -> Markup | None:
    """Which gates held, and which broke."""
    rows = [
        (
            join(
                [
                    tag("b", "broken") if row.get("passed") is False else "held",
                    span("remark", clip(f"{row.get('model')}: {row.get('test')} {_words(row.get('measure'))}", 200)),
                ]
            ),
            clip(", ".join(map(str, as_list(row.get("bounds")))), 200),
            decimal(row.get("value"), 4),
        )
        for row in judged
        if isinstance(row, Mapping)
    ]
    if not rows:
        return None
    broken = sum(isinstance(row, Mapping) and row.get("passed") is False for row in judged)
    said = f"{broken} of {len(rows)} gates broken: nothing was made after this." if broken else "All gates held."
    return join(
        [
            tag("h3", "Gates"),
            note(tag("b", said) if broken else said),
            table(("gate", "needed", "is"), rows, numeric_from=2),
        ]
    )


def _of_kind(rows: Sequence[Row], account: Row, kind: str, title: str, lead: str) -> Markup | None:
    chosen = [row for row in rows if row.get("kind") == kind]
    if not chosen:
        return None
    models = list(dict.fromkeys(str(row.get("model")) for row in chosen))
    tests = list(dict.fromkeys((str(row.get("test")), str(row.get("measure"))) for row in chosen))
    primary = as_mapping(account.get("primary"))
    first = [pair for pair in tests if kind != "benchmark" or primary.get(pair[0]) == pair[1]]
    more = [pair for pair in tests if pair not in first]
    body: list[Markup | None] = [
        tag("h3", title),
        note(lead, _enough(account) if kind == "benchmark" else None),
        _table(chosen, models, first, _centred(account, models) if kind == "benchmark" else None),
        fold("Other measures of the same items", _table(chosen, models, more, None)) if more else None,
    ]
    whole = join(body)
    return fold("Intervals on held-out text and answers", whole) if kind == "heldout" else whole


def _table(
    rows: Sequence[Row], models: Sequence[str], tests: Sequence[tuple[str, str]], last: Sequence[object] | None
) -> Markup:
    found = {(row.get("test"), row.get("measure"), row.get("model")): row for row in rows}
    lines: list[Sequence[object]] = []
    for test, measure in tests:
        of_models = [found.get((test, measure, model)) for model in models]
        any_row = next((row for row in of_models if row is not None), {})
        lines.append(
            [
                join([clip(test, 80), " ", span("remark", clip(_words(measure), 60))]),
                *(_cell(row, measure) for row in of_models),
                _value(any_row.get("chance"), measure),
                count(any_row.get("count")),
            ]
        )
    if last is not None:
        lines.append(last)
    return table(("test", *(clip(model, 40) for model in models), "chance", "items"), lines)


def _cell(row: Row | None, measure: str) -> Markup | str:
    if row is None:
        return MISSING
    value = _value(row.get("value"), measure)
    bounds = f" [{_bound(row.get('low'), measure)}, {_bound(row.get('high'), measure)}]"
    is_quiet = row.get("chance") is not None and row.get("says") is False
    shown = join([value, span("remark", bounds)])
    return span("quiet", shown) if is_quiet else shown


def _bound(value: object, measure: str) -> str:
    """An end of an interval: of a share in percent, but without the sign, which stands above it."""
    return _value(value, measure).removesuffix(f"{NEAR}%")


def _value(value: object, measure: str) -> str:
    if not is_number(value):
        return MISSING
    return percent(value, 1) if any(word in measure for word in SHARES) else decimal(value)


def _centred(account: Row, models: Sequence[str]) -> list[object] | None:
    means = as_mapping(account.get("centred_mean"))
    if not means:
        return None
    return [
        join(["mean ", span("remark", "0: guessing, 1: all right")]),
        *(decimal(means.get(model)) for model in models),
        decimal(0),
        MISSING,
    ]


def _enough(account: Row) -> str | None:
    """How many items it takes, by what a guess gives."""
    needed = [
        f"{count(items)} where a guess gives {percent(float(chance), 0)}"
        for chance, items in as_mapping(account.get("needed_items")).items()
        if is_number(items) and _is_share(chance)
    ]
    return f" Enough would be {', '.join(needed)}." if needed else None


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _groups(groups: Row) -> Markup | None:
    """The parts of a benchmark: paradigms, subjects, kinds of bias."""
    models = objects_in(groups)
    blocks = []
    for test in dict.fromkeys(test for found in models.values() for test in found):
        of_models = {model: as_mapping(found.get(test)) for model, found in models.items()}
        measure = str(next((each["measure"] for each in of_models.values() if "measure" in each), ""))
        parts = {model: objects_in(each.get("groups")) for model, each in of_models.items()}
        names = list(dict.fromkeys(name for found in parts.values() for name in found))
        rows = [
            [
                clip(name or "without a name", 80),
                *(_value(parts[model].get(name, {}).get("value"), measure) for model in parts),
                count(next((found[name].get("count") for found in parts.values() if name in found), None)),
            ]
            for name in names[:MOST_GROUPS]
        ]
        left = f" The first {MOST_GROUPS} of {len(names)}." if len(names) > MOST_GROUPS else ""
        caption = note(f"{_words(measure)}; of few items each, so look at the whole first.{left}")
        head = ("part", *(clip(model, 40) for model in parts), "items")
        blocks.append(fold(f"{clip(test, 80)}, part by part", caption, table(head, rows)))
    return join(blocks) if blocks else None


def _comparisons(comparisons: Sequence[Any]) -> Markup | None:
    """Models against each other on the same items, the clearest differences first."""
    rows = [row for row in comparisons if isinstance(row, Mapping) and is_number(row.get("p_value"))]
    if not rows:
        return None
    rows.sort(key=lambda row: float(row["p_value"]))
    lines = [
        (
            f"{clip(row.get('model'), 40)} − {clip(row.get('against'), 40)}",
            clip(f"{row.get('test')} {_words(row.get('measure'))}", 120),
            signed(row.get("difference"), 3),
            f"[{signed(row.get('low'), 3)}, {signed(row.get('high'), 3)}]",
            _p_value(row),
            clip(row.get("method"), 40),
            count(row.get("count")),
        )
        for row in rows
    ]
    clear = sum(float(row["p_value"]) < UNSURE / len(rows) for row in rows)
    said = (
        f"Paired tests on the same items. Of {len(rows)} comparisons, {clear} would be surprising without a difference "
        "even when so many are made (Bonferroni)."
    )
    head = ("models", "score", "difference", "interval", "p", "test", "items")
    return fold("Models against each other", note(said), table(head, lines, numeric_from=2))


def _words(measure: object) -> str:
    return str(measure).replace("_", " ")


def _p_value(row: Row) -> str:
    value = float(row["p_value"])
    return "< 0.001" if value < 0.001 else decimal(value)
