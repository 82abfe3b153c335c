"""The page on what people, or a judge, prefer: pairs and the reward model."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from hftrain.report import plots
from hftrain.report.markup import Markup, clip, div, fold, join, note, span, tag
from hftrain.report.numbers import (
    count,
    decimal,
    interval,
    is_number,
    percent,
    signed,
)
from hftrain.report.parts import Options, curve, facts, figure, figures, messages, moved
from hftrain.report.reading import Artifact, as_list
from hftrain.report.sections_policy import policy as policy

MOST_RANKED_PROMPTS = 5000


def preferences(made: Artifact, options: Options) -> Markup:
    """Which answers were compared, and how they were ranked."""
    summary = made.summary
    ranked = list(islice(made.rows("answers.jsonl"), MOST_RANKED_PROMPTS))
    gaps = [gap for row in ranked if (gap := _gap(row)) is not None]
    shown = [row for row in ranked if _answers(row)][: options.sample_rows]
    return join(
        [
            facts(
                ("prompts asked", count(summary.get("prompts"))),
                (
                    "answers",
                    count(summary.get("answers")),
                    f"{percent(summary.get('ended_share'))} end by themselves",
                ),
                ("pairs to train on", count(summary.get("pairs_train"))),
                ("pairs held out", count(summary.get("pairs_heldout"))),
                ("ranked by", _words(summary.get("judge")) if summary.get("judge") else "people"),
            ),
            figures(
                figure(
                    plots.histogram(
                        {"prompts": gaps},
                        title="Best against worst answer",
                        x_label="difference in score",
                    ),
                    "How far apart the judge saw the best and the worst answer to a prompt; at 0 "
                    "there is nothing to learn from.",
                )
                if gaps
                else None
            ),
            tag("h3", "Ranked answers") if shown else None,
            note("The first prompts, as they came.") if shown else None,
            *(_ranked(row, is_open=place == 0) for place, row in enumerate(shown)),
        ]
    )


def reward_model(made: Artifact, options: Options) -> Markup:
    """Whether the reward model tells the better of two answers that it never saw."""
    summary, metrics = made.summary, made.metrics
    margins = made.values("margins.json")
    length = summary.get("length_baseline_accuracy")
    return join(
        [
            facts(
                (
                    "accuracy on held-out pairs",
                    moved(summary, "heldout_accuracy", percent, 1),
                    f"95 % interval {interval(summary.get('heldout_accuracy_interval'))}",
                ),
                (
                    "mean margin",
                    moved(summary, "heldout_margin", signed, 2),
                ),
                ("held-out pairs", count(summary.get("heldout_pairs"))),
                (
                    "by length alone",
                    percent(length, 1),
                    "the better of “longer wins” and “shorter wins”",
                ),
            ),
            figures(
                figure(
                    plots.binned(
                        as_list(margins.get("edges")),
                        {
                            "before": as_list(margins.get("before")),
                            "after": as_list(margins.get("after")),
                        },
                        title="Margins on held-out pairs",
                        x_label="score of chosen − score of rejected",
                        mark=0,
                    ),
                    "Right of the dashed line the model agrees with the ranking; the further right, the surer it is.",
                ),
                figure(
                    plots.lines(
                        {"training": curve(metrics, "accuracy", "rewards/accuracies")},
                        title="Accuracy in training",
                        x_label="step",
                        y_label="share of pairs",
                        references={"chance": 0.5},
                        y_is_share=True,
                    ),
                    "The share of training pairs that it gets right; far above the held-out share "
                    "it has learned them by heart.",
                ),
                figure(
                    plots.lines(
                        {"training": curve(metrics, "loss")},
                        title="Training loss",
                        x_label="step",
                        y_label="nats per pair",
                        references={"chance": 0.6931},
                    ),
                    "−log of the probability that it gives to the chosen answer being the better one.",
                ),
            ),
        ]
    )


def _ranked(row: Mapping[str, Any], *, is_open: bool) -> Markup:
    best_first = sorted(_answers(row), key=lambda answer: _number(answer.get("rank"), 1e9))
    drawn = []
    for answer in best_first:
        score = answer.get("score")
        drawn.append(
            div(
                "ranked",
                span("rank", count(answer.get("rank"))),
                div(
                    "said",
                    div("sample", clip(answer.get("text"), 500)),
                    span("quiet", f"score {decimal(score)}") if score is not None else None,
                    span("quiet", " · cut off") if answer.get("ended") is False else None,
                ),
            )
        )
    prompt = row.get("prompt")
    last = prompt[-1] if isinstance(prompt, list) and prompt else prompt
    asked = last.get("content") if isinstance(last, Mapping) else last
    before = messages(prompt) if isinstance(prompt, list) and len(prompt) > 1 else None
    return fold(clip(asked, 160), before, *drawn, is_open=is_open)


def _answers(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [answer for answer in as_list(row.get("answers")) if isinstance(answer, Mapping)]


def _gap(row: Mapping[str, Any]) -> float | None:
    scores = [answer["score"] for answer in _answers(row) if is_number(answer.get("score"))]
    return max(scores) - min(scores) if len(scores) > 1 else None


def _number(value: object, otherwise: float) -> float:
    return float(value) if is_number(value) else otherwise


def _words(name: object) -> str:
    return name.replace("_", " ") if isinstance(name, str) else "–"
