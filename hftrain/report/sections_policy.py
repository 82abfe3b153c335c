"""The page on the policy: what training on rewards gained, and at what distance from the chat model."""

from collections.abc import Mapping
from typing import Any

from hftrain.report import plots
from hftrain.report.markup import Markup, join
from hftrain.report.numbers import count, decimal, interval, is_number, percent, signed
from hftrain.report.parts import Options, curve, facts, figure, figures, growth, moved
from hftrain.report.reading import Artifact

PPO_CURVES = (
    ("reward", "Reward", "reward", (), "The reward model's mean score for the answers of an update."),
    (
        "kl",
        "KL from the chat model",
        "nats per answer",
        (0,),
        "How far the policy has moved away, estimated from its answers.",
    ),
    ("entropy", "Entropy", "nats per token", (0,), "How undecided it is; near zero it says one thing only."),
    ("answer_tokens", "Answer length", "tokens", (0,), "A reward that grows with length alone is a trap."),
    ("ended_share", "Answers that end", "share", (0, 1), "Answers cut by the token limit have no ending."),
    ("clip_share", "Clipped", "share", (0,), "Tokens whose probability moved past PPO's clip range."),
    ("policy_loss", "Policy loss", "", (0,), "Its size says little; that it stays small says enough."),
    ("value_loss", "Value loss", "", (0,), "How wrong the critic is about what an answer will score."),
)


def policy(made: Artifact, options: Options) -> Markup:
    """What reinforcement learning gained, and at what distance from the chat model."""
    summary, metrics = made.summary, made.metrics
    path = curve(metrics, "reward", x="kl")
    drawn = [
        figure(
            plots.lines(
                {name: curve(metrics, name)},
                title=title,
                x_label="update",
                y_label=unit,
                y_is_share=unit == "share",
                y_shows=levels,
            ),
            caption,
        )
        for name, title, unit, levels, caption in PPO_CURVES
        if curve(metrics, name)
    ]
    return join(
        [
            facts(
                (
                    "reward on held-out prompts",
                    moved(summary, "heldout_reward", decimal, 2),
                    f"gain {signed(summary.get('heldout_reward_gain'))}, "
                    f"95 % interval {interval(summary.get('heldout_reward_gain_interval'), 'signed')}",
                ),
                ("KL spent, held out", decimal(summary.get("heldout_kl"), 2), _budget(summary)),
                (
                    "answers that end",
                    moved(summary, "ended_share", percent, 0),
                ),
                (
                    "tokens per answer",
                    moved(summary, "answer_tokens", decimal, 1),
                ),
                ("updates", count(summary.get("updates")), _training_end(summary)),
            ),
            figures(
                figure(
                    plots.lines(
                        {"updates": path},
                        title="Reward against KL",
                        x_label="KL from the chat model, nats per answer",
                        y_label="reward",
                        dots=True,
                    ),
                    "Each dot is an update, the ring is the first. Up is a better score, right is "
                    "further from where it began: reward is bought with distance.",
                ),
                *drawn,
            ),
            growth(made, options),
        ]
    )


def _training_end(summary: Mapping[str, Any]) -> str:
    return f"{count(summary.get('episodes'))} answers; stopped by {_words(summary.get('stopped_by'))}"


def _budget(summary: Mapping[str, Any]) -> str:
    budget = summary.get("kl_budget")
    return f"nats per answer; budget {decimal(budget, 1)}" if is_number(budget) else "nats per answer"


def _words(name: object) -> str:
    return name.replace("_", " ") if isinstance(name, str) else "–"
