"""The command ``hftrain monitor``: a table for people, or JSON."""

import json
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from hftrain.serving.kept import kept_of
from hftrain.serving.monitoring import Monitored, Share, Worst, training_prompts, watch
from hftrain.serving.monitoring_drift import FEWEST_PROMPTS

WIDTH = 110
SHOWN_CHARS = 300


def monitor(
    run: Path,
    out: TextIO,
    *,
    database: str | None = None,
    days: float = 30.0,
    rows: int = 10,
    as_json: bool = False,
    forget: str | None = None,
) -> None:
    """Say how a run's models did with those who used them.

    Args:
        run: The run's folder: its served models and its corpus.
        out: Where to write.
        database: An SQLAlchemy URL; None for the run's file.
        days: How far to look back.
        rows: How many conversations to show.
        as_json: JSON in place of the table.
        forget: Delete all of this person's rows, by the id that the client sent, and say no more.

    Raises:
        ArtifactError: Nothing was kept there.
    """
    store = kept_of(run, database)
    try:
        if forget is not None:
            out.write(f"deleted {store.forget(forget).result()} rows of {forget!r}\n")
            return
        seen = watch(store, days=days, training=training_prompts(run), rows=rows)
    finally:
        store.close()
    if as_json:
        out.write(json.dumps(seen.as_json(), indent=1, ensure_ascii=False) + "\n")
    else:
        out.writelines(f"{line}\n" for line in _lines(seen))


def _lines(seen: Monitored) -> Iterator[str]:
    yield f"the last {seen.days:g} days: {seen.requests} requests, {seen.people} people"
    if seen.by_day:
        most = max(seen.by_day.values())
        for day, count in seen.by_day.items():
            yield f"  {day}  {count:7}  {'█' * round(40 * count / most)}"
    yield ""
    yield _row("model", "requests", "tokens in", "tokens out", "first s", "p95", "whole s", "p95", "tokens/s")
    for name, of in seen.models.items():
        first, whole, rate = (of[key] or {} for key in ("first_token_seconds", "answer_seconds", "tokens_per_second"))
        times = (_number(each.get(key)) for each in (first, whole) for key in ("median", "p95"))
        yield _row(name, of["requests"], of["prompt_tokens"], of["answer_tokens"], *times, _number(rate.get("median")))
        yield "  " + ", ".join(f"{outcome} {count}" for outcome, count in of["outcomes"].items())
    told = seen.feedback
    yield ""
    yield f"{'feedback':18}{_share(told['rate'])} of the answers"
    yield f"{'thumbs up':18}{_share(told['thumbs_up'])} of the thumbs"
    yield f"{'':18}{told['comments']} comments, {told['corrections']} corrections, {told['comparisons']} comparisons"
    for name, share in seen.preferences.items():
        yield f"{'preferred':18}{name}: {_share(share)} of its decided blind comparisons"
    yield f"{'refusals':18}{_share(seen.refusals)} of the answers"
    yield f"{'toxic prompts':18}{_share(seen.toxic_prompts)}"
    yield f"{'toxic answers':18}{_share(seen.toxic_answers)}"
    yield from _drift_lines(seen)
    if seen.worst:
        yield ""
        yield "to read first"
    for each in seen.worst:
        yield from _worst_lines(each)


def _drift_lines(seen: Monitored) -> Iterator[str]:
    found = seen.drift
    if found is None:
        yield f"{'drift':18}not told: {FEWEST_PROMPTS} prompts, and twice as many of training, are needed"
        return
    verdict = "prompts are not like those of training" if found.has_drifted else "prompts are like those of training"
    yield (
        f"{'drift':18}{found.divergence_bits:.4f} bits (by chance {found.by_chance_low_bits:.4f} to "
        f"{found.by_chance_high_bits:.4f}): {verdict}"
    )
    yield (
        f"{'':18}Jensen-Shannon divergence of character trigrams, {found.prompts} prompts against "
        f"{found.training_prompts} of training"
    )
    if found.has_drifted:
        yield f"{'':18}more than in training: {', '.join(found.telling_words)}"


def _worst_lines(each: Worst) -> Iterator[str]:
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(each.created))
    yield f"  {when}  {each.model}  {', '.join(each.reasons)}  {each.id}"
    said = [("asked", each.asked), ("answer", each.answer), *(("comment", comment) for comment in each.comments)]
    for name, text in said:
        short = textwrap.shorten(_printable(text), SHOWN_CHARS, placeholder=" …")
        yield from textwrap.wrap(short, WIDTH, initial_indent=f"    {name:9}", subsequent_indent=" " * 13) or [
            f"    {name}"
        ]


def _printable(text: str) -> str:
    """Text without what would move a terminal's cursor."""
    return "".join(char if char.isprintable() else " " for char in text)


def _row(name: object, *cells: Any) -> str:
    return f"{name!s:20}" + "".join(f"{cell!s:>11}" for cell in cells)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _share(share: Share) -> str:
    if share.share is None or share.interval is None:
        return "none"
    low, high = share.interval
    return f"{share.count} of {share.of}, {share.share:.1%} ({low:.1%} to {high:.1%})"
