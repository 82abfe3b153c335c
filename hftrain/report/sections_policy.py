"""The page on the policy, by whatever method: what it gained, at what distance from the chat model, in what habits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hftrain.report import plots
from hftrain.report.markup import Markup, join, note
from hftrain.report.numbers import count, decimal, interval, is_number, percent, signed
from hftrain.report.parts import Options, curve, facts, figure, figures, growth, moved
from hftrain.report.reading import Artifact

METHODS = {
    "ppo": "PPO, on rewards of its own answers",
    "grpo": "GRPO, on rewards of groups of its own answers",
    "rloo": "RLOO, on rewards of groups of its own answers",
    "dpo": "DPO, on the preferences themselves",
    "kto": "KTO, on answers marked good or bad",
    "best_of_n": "fine-tuning on the best of its own answers",
}


@dataclass(frozen=True)
class Plotted:
    """A plot of some numbers of ``metrics.jsonl``; it is shown where one of them is logged."""

    title: str
    unit: str
    caption: str
    names: Mapping[str, str]
    """Name in the log -> in the plot's key."""
    shows: Sequence[float] = ()
    """Levels that the axis must reach."""
    where_it_moves: bool = False
    """Shown only where the number is not the same all the way."""


PLOTS = (
    Plotted(
        "Reward",
        "reward",
        "Mean score of the answers of an update; where it was looked at, of answers to held-out prompts.",
        {"reward": "training", "heldout_objective": "held out"},
    ),
    Plotted(
        "KL from the chat model",
        "nats per answer",
        "How far the policy has moved away, estimated from its answers.",
        {"kl": "training", "heldout_kl": "held out"},
        (0,),
    ),
    Plotted(
        "Price of a nat",
        "reward",
        "Rises while the KL is above its target, falls below.",
        {"kl_coef": "kl_coef"},
        (),
        True,
    ),
    Plotted(
        "Entropy",
        "nats per token",
        "How undecided it is; near zero it says one thing only.",
        {"entropy": "training", "heldout_entropy": "held out"},
        (0,),
    ),
    Plotted(
        "Answer length",
        "tokens",
        "A reward that grows with length alone is a trap; so is one that shrinks it to nothing.",
        {"answer_tokens": "training", "heldout_answer_tokens": "held out"},
        (0,),
    ),
    Plotted(
        "Answers that end",
        "share",
        "Answers cut by the token limit have no ending.",
        {"ended_share": "training", "heldout_ended_share": "held out"},
        (0, 1),
    ),
    Plotted(
        "Variety",
        "share",
        "Different words and word pairs among all of an update's answers: a policy that collapses says few things.",
        {"distinct_1": "words", "distinct_2": "pairs"},
        (0, 1),
    ),
    Plotted(
        "Repetition",
        "share",
        "Runs of four tokens that stood earlier in the same answer, and the commonest answer's share of all.",
        {"repetition": "repeated", "same_answer_share": "same answer"},
        (0,),
    ),
    Plotted(
        "Clipped",
        "share",
        "Tokens whose probability, and states whose value, moved past PPO's clip range.",
        {"clip_share": "policy", "value_clip_share": "value"},
        (0,),
    ),
    Plotted(
        "Explained variance",
        "of the returns; 1 is all",
        "What the critic knows of an answer's return before it is paid: 1 is all, at 0 or below it is of no use.",
        {"explained_variance": "critic"},
        (0, 1),
    ),
    Plotted(
        "Step within an update",
        "nats per token",
        "From the policy that wrote the answers to the one that has learned from them.",
        {"approx_kl": "approximate KL"},
        (0,),
    ),
    Plotted("Gradient norm", "Euclidean norm", "Before it is clipped.", {"grad_norm": "policy and critic"}, (0,)),
    Plotted("Policy loss", "loss", "Its size says little; that it stays small says enough.", {"policy_loss": "policy"}),
    Plotted(
        "Value loss",
        "squared reward",
        "How wrong the critic is about what an answer will score.",
        {"value_loss": "critic"},
        (0,),
    ),
    Plotted("Training loss", "loss", "What is minimised; its level depends on the method.", {"loss": "training"}),
    Plotted(
        "Pairs that agree",
        "share",
        "Training pairs in which the policy moved towards the better answer.",
        {"rewards/accuracies": "training"},
        (0, 1),
    ),
    Plotted(
        "Margin of the better answer",
        "nats",
        "How much likelier it has become, against the worse one, than the chat model has it.",
        {"rewards/margins": "training"},
        (0,),
    ),
)
HABITS = (
    ("answers that end", "ended_share", percent, 0),
    ("tokens per answer", "answer_tokens", decimal, 1),
    ("entropy, nats per token", "entropy", decimal, 2),
    ("different word pairs", "distinct_2", percent, 0),
    ("repetition within answers", "repetition", percent, 1),
    ("said to most prompts alike", "same_answer_share", percent, 1),
)


def policy(made: Artifact, options: Options) -> Markup:
    """What training the policy gained, and at what distance from the chat model."""
    summary, metrics = made.summary, made.metrics
    method = made.values("method.json").get("method")
    return join(
        [
            note(f"Trained by {METHODS.get(method, method)}.") if isinstance(method, str) else None,
            facts(*_gains(summary), *_cost(summary), *_habits(summary), *_length(summary)),
            note(f"Kept is {summary['keep_rule']}.") if isinstance(summary.get("keep_rule"), str) else None,
            figures(_reward_against_kl(metrics), *(_plot(each, metrics) for each in PLOTS)),
            growth(made, options),
        ]
    )


def _gains(summary: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    return [
        (
            name,
            moved(summary, stem, decimal, 2),
            f"gain {signed(summary.get(f'{stem}_gain'))}, "
            f"95 % interval {interval(summary.get(f'{stem}_gain_interval'), 'signed')}",
        )
        for name, stem in (
            ("reward on held-out prompts", "heldout_reward"),
            ("the function's reward there", "heldout_function_reward"),
        )
        if f"{stem}_after" in summary
    ]


def _cost(summary: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    if "heldout_kl" not in summary:
        return []
    budget = summary.get("kl_budget")
    remark = f"nats per answer; budget {decimal(budget, 1)}" if is_number(budget) else "nats per answer"
    return [("KL spent, held out", decimal(summary["heldout_kl"], 2), remark)]


def _habits(summary: Mapping[str, Any]) -> list[tuple[str, object]]:
    return [
        (name, moved(summary, stem, write, digits))
        for name, stem, write, digits in HABITS
        if f"{stem}_after" in summary
    ]


def _length(summary: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    if "updates" not in summary:
        return []
    told = []
    if is_number(summary.get("episodes")):
        told.append(f"{count(summary['episodes'])} answers")
    if is_number(trained := summary.get("trained_updates")) and trained != summary["updates"]:
        told.append(f"of {count(trained)} made")
    if isinstance(summary.get("stopped_by"), str):
        told.append(f"stopped by {summary['stopped_by'].replace('_', ' ')}")
    return [("updates", count(summary["updates"]), "; ".join(told))]


def _reward_against_kl(metrics: Sequence[Mapping[str, Any]]) -> Markup | None:
    paths = {
        "updates": curve(metrics, "reward", x="kl"),
        "held out": curve(metrics, "heldout_objective", x="heldout_kl"),
    }
    paths = {name: path for name, path in paths.items() if path}
    if not paths:
        return None
    return figure(
        plots.lines(
            paths,
            title="Reward against KL",
            x_label="KL from the chat model, nats per answer",
            y_label="reward",
            dots=True,
        ),
        "Each dot is an update, the ring is the first. Up is a better score, right is "
        "further from where it began: reward is bought with distance.",
    )


def _plot(each: Plotted, metrics: Sequence[Mapping[str, Any]]) -> Markup | None:
    drawn = {key: curve(metrics, name) for name, key in each.names.items()}
    drawn = {key: points for key, points in drawn.items() if points}
    if not drawn or (each.where_it_moves and len({str(y) for points in drawn.values() for _, y in points}) == 1):
        return None
    return figure(
        plots.lines(
            drawn,
            title=each.title,
            x_label="update",
            y_label=each.unit,
            y_is_share=each.unit == "share",
            y_shows=each.shows,
        ),
        each.caption,
    )
