"""The page on serving: traffic, speed, feedback, refusals, toxicity and drift, as counts.

No text of anybody stands on the page: what is deleted from the database later would stay in a page that was written
before. `hftrain monitor` shows the conversations themselves, as long as they are kept.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hftrain.errors import HftrainError
from hftrain.files import digest_value
from hftrain.report import plots
from hftrain.report.markup import Markup, fold, join, note, table, tag
from hftrain.report.numbers import MISSING, count, decimal, percent
from hftrain.report.parts import facts, figure, figures
from hftrain.report.reading import Run

TITLE, LEAD = (
    "Served",
    "What people asked of this run's models since they were served, and what they said of the answers.",
)
WORST = 12
EVERY_DAY = 1e5
"""The whole of what is kept."""


def serving_key(run: Run) -> str:
    """A digest that changes with what the section shows."""
    with _opened(run.folder) as store:
        return digest_value({} if store is None else store.state())


def served(run: Run) -> Markup | None:
    """How a run's models did with those who used them; None where nobody did, or it is kept elsewhere."""
    from hftrain.serving.monitoring import training_prompts, watch

    with _opened(run.folder) as store:
        if store is None or not store.state()["interactions"]:
            return None
        seen = watch(store, days=EVERY_DAY, training=training_prompts(run.folder), rows=WORST)
    told = seen.feedback
    return join(
        [
            facts(
                ("requests", count(seen.requests), f"by {count(seen.people)} people or sessions"),
                ("answers with feedback", *_share(told["rate"])),
                ("thumbs up", *_share(told["thumbs_up"])),
                ("corrections", count(told["corrections"]), f"{count(told['comments'])} comments"),
                ("refusals", *_share(seen.refusals)),
                ("toxic answers", *_share(seen.toxic_answers)),
                ("toxic prompts", *_share(seen.toxic_prompts)),
            ),
            note("In brackets, where the true share lies 95 times in 100 (Wilson)."),
            _traffic(seen.by_day),
            _models(seen.models),
            _preferences(seen.preferences),
            _drift(seen.drift),
            _worst(seen.worst),
        ]
    )


@contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    """The run's own database; None where there is none that can be read."""
    from hftrain.serving.database import sqlite_url
    from hftrain.serving.interactions import InteractionStore
    from hftrain.serving.kept import DATABASE, FOLDER

    file, store = folder / FOLDER / DATABASE, None
    if file.is_file():
        try:
            store = InteractionStore(sqlite_url(file))
        except HftrainError:
            store = None
    try:
        yield store
    finally:
        if store is not None:
            store.close()


def _share(share: Any) -> tuple[str, str]:
    if share.share is None:
        return MISSING, "of none"
    low, high = share.interval
    return percent(
        share.share, 1
    ), f"{count(share.count)} of {count(share.of)} ({percent(low, 1)} to {percent(high, 1)})"


def _traffic(by_day: Mapping[str, int]) -> Markup | None:
    if len(by_day) < 2:
        return None
    requests = {day: float(number) for day, number in list(by_day.items())[-31:]}
    texts = {day: count(by_day[day]) for day in requests}
    return figures(figure(plots.bars(requests, title="Traffic", unit="requests a day, UTC", texts=texts)))


def _models(models: Mapping[str, Mapping[str, Any]]) -> Markup:
    rows = []
    for name, of in models.items():
        first, whole, rate = (of[key] or {} for key in ("first_token_seconds", "answer_seconds", "tokens_per_second"))
        times = [decimal(each.get(key), 2) for each in (first, whole) for key in ("median", "p95")]
        outcomes = ", ".join(f"{outcome} {count(number)}" for outcome, number in of["outcomes"].items())
        tokens = (count(of["prompt_tokens"]), count(of["answer_tokens"]))
        rows.append((name, count(of["requests"]), *tokens, *times, decimal(rate.get("median"), 1), outcomes))
    columns = ("model", "requests", "tokens in", "out", "first token, s", "p95", "whole, s", "p95", "tokens/s", "ended")
    return join([tag("h3", "By model"), table(columns, rows)])


def _preferences(preferences: Mapping[str, Any]) -> Markup | None:
    rows = [(name, *_share(share)) for name, share in preferences.items()]
    return table(("preferred, compared blind", "won", "of those decided"), rows) if rows else None


def _drift(drift: Any) -> Markup:
    if drift is None:
        return note("Too few prompts to tell whether they are like those of training.")
    verdict = "are not like those of training" if drift.has_drifted else "are like those of training"
    return note(
        f"The {count(drift.prompts)} prompts {verdict}: {decimal(drift.divergence_bits, 4)} bits of Jensen-Shannon "
        f"divergence of character trigrams, where chance alone gives {decimal(drift.by_chance_low_bits, 4)} to "
        f"{decimal(drift.by_chance_high_bits, 4)}."
    )


def _worst(worst: list[Any]) -> Markup | None:
    if not worst:
        return None
    rows = [
        (time.strftime("%Y-%m-%d %H:%M", time.gmtime(each.created)), each.model, ", ".join(each.reasons),
         tag("code", each.id))
        for each in worst
    ]  # fmt: skip
    said = note("Their texts: hftrain monitor RUN.")
    return fold(f"{len(rows)} conversations to read first", said, table(("when (UTC)", "model", "why", "id"), rows))
