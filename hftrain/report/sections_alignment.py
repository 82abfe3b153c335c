"""The page on what people, or a judge, prefer: pairs and the reward model."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from hftrain.report import plots
from hftrain.report.markup import Markup, clip, div, fold, join, note, span, table, tag
from hftrain.report.numbers import (
    count,
    decimal,
    ends,
    interval,
    is_number,
    percent,
    signed,
)
from hftrain.report.parts import Options, curve, facts, figure, figures, messages, moved
from hftrain.report.reading import Artifact, as_list

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
                *_judge_facts(summary),
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


def _judge_facts(summary: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    """How far a judge that is a model can be trusted; nothing where rules or people ranked."""
    found: list[tuple[str, object, object]] = []
    if is_number(summary.get("judge_flipped_share")):
        found.append(
            (
                "verdicts that flip",
                percent(summary["judge_flipped_share"], 1),
                "pairs whose winner changes when the two answers swap places; they are ties",
            )
        )
    if is_number(summary.get("judge_first_position_share")):
        found.append(
            (
                "won by what stood first",
                percent(summary["judge_first_position_share"], 1),
                f"of {count(summary.get('judge_pairs'))} pairs in both orders; 50 % without bias",
            )
        )
    if is_number(summary.get("judge_agreement")):
        found.append(
            (
                "agrees with people",
                percent(summary["judge_agreement"], 1),
                f"of {count(summary.get('judge_agreement_pairs'))} pairs, "
                f"95 % interval {interval(summary.get('judge_agreement_interval'))}",
            )
        )
    return found


def reward_model(made: Artifact, options: Options) -> Markup:
    """Whether the reward model tells the better of two answers that it never saw."""
    summary, metrics = made.summary, made.metrics
    margins = made.values("margins.json")
    warning = summary.get("warning")
    return join(
        [
            _reward_facts(summary),
            note("Too little to tell: ", warning, ".") if isinstance(warning, str) else None,
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
                _reliability(made),
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
            *_length_bias(summary),
        ]
    )


def _reward_facts(summary: Mapping[str, Any]) -> Markup:
    return facts(
        (
            "accuracy on held-out pairs",
            moved(summary, "heldout_accuracy", percent, 1),
            f"95 % interval {interval(summary.get('heldout_accuracy_interval'))}",
        ),
        ("mean margin", moved(summary, "heldout_margin", signed, 2)),
        (
            "held-out pairs",
            count(summary.get("heldout_pairs")),
            f"of {count(summary.get('heldout_prompts'))} prompts",
        ),
        _baseline(summary, "by length alone", "length_baseline"),
        _baseline(summary, "by a bag of words", "bag_of_words"),
        (
            "calibration error",
            percent(summary.get("calibration_error"), 1),
            f"would fit best at temperature {decimal(summary.get('calibration_temperature'), 2)}",
        ),
    )


def _baseline(summary: Mapping[str, Any], title: str, name: str) -> tuple[str, object, object]:
    over, reach = summary.get(f"over_{name}"), summary.get(f"over_{name}_interval")
    remark = f"the model is {_points(over)} above it, 95 % interval {_points_between(reach)}" if is_number(over) else ""
    return title, percent(summary.get(f"{name}_accuracy"), 1), remark


def _points(share: object) -> str:
    return f"{signed(100 * share, 1)} points" if is_number(share) else "–"


def _points_between(pair: object) -> str:
    known = ends(pair)
    return "–" if known is None else f"{signed(100 * known[0], 1)} to {signed(100 * known[1], 1)}"


def _reliability(made: Artifact) -> Markup | None:
    """How often it is right where it is so sure."""
    bins = made.values("calibration.json")
    points = [
        (sure, right)
        for sure, right in zip(as_list(bins.get("confidence")), as_list(bins.get("accuracy")), strict=False)
        if is_number(sure) and is_number(right)
    ]
    if not points:
        return None
    return figure(
        plots.lines(
            {"held-out pairs": points, "as sure as right": [(0.5, 0.5), (1.0, 1.0)]},
            title="Reliability",
            x_label="how sure it is",
            y_label="share of pairs that it gets right",
            y_is_share=True,
            dots=True,
        ),
        "Pairs sorted by how sure it is of them. Below the diagonal it is surer than it is right.",
    )


def _length_bias(summary: Mapping[str, Any]) -> list[Markup | None]:
    """Whether it is right by looking at the length."""
    if not is_number(summary.get("pairs_longer_wins")):
        return []
    rows = [
        (f"the longer answer is the {word} one", count(summary.get(f"pairs_longer_{side}")),
         percent(summary.get(f"accuracy_longer_{side}"), 1))
        for side, word in (("wins", "better"), ("loses", "worse"))
    ]  # fmt: skip
    return [
        tag("h3", "Length"),
        table(("pairs where", "pairs", "accuracy"), rows),
        note(
            "Correlation of score and length: ",
            decimal(summary.get("score_length_correlation"), 2),
            "; of margin and difference in length: ",
            decimal(summary.get("margin_length_correlation"), 2),
            ". A model that looks at the length alone has one accuracy near 100 % and the other near 0.",
        ),
    ]


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
