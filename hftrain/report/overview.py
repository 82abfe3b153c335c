"""The top of the page: which run this is, and what moved in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hftrain.config import derive_seed
from hftrain.report import plots
from hftrain.report.markup import Markup, clip, div, fold, join, note, span, table, tag
from hftrain.report.numbers import (
    MISSING,
    count,
    decimal,
    duration,
    ends,
    interval,
    is_number,
    percent,
    signed,
    size_in_bytes,
)
from hftrain.report.parts import moved
from hftrain.report.reading import Run, at

NAMED_PACKAGES = ("torch", "transformers", "trl", "datasets")
MOST_SEEDS = 1000


def header(run: Run) -> Markup:
    """Name, seed, when, how long, how much memory, with which packages."""
    manifests = [one.manifest for one in run.finished]
    seconds = [number for each in manifests if is_number(number := each.get("seconds"))]
    memory = [number for each in manifests if is_number(number := each.get("peak_memory_bytes"))]
    packages = _packages(manifests)
    named = [f"{name} {packages[name]}" for name in NAMED_PACKAGES if name in packages]
    seed = run_seed(manifests)
    lines = [
        ("seed", count(seed) if seed is not None else MISSING),
        ("finished", _when(manifests)),
        ("time", duration(sum(seconds)) if seconds else MISSING),
        ("peak memory", size_in_bytes(max(memory)) if memory else MISSING),
        ("artifacts", f"{len(run.finished)} of {len(run.artifacts)}"),
    ]
    rows = [(name, clip(version, 40)) for name, version in sorted(packages.items())]
    return tag(
        "header",
        tag("p", "The life of a model", class_="kicker"),
        tag("h1", run.folder.resolve().name),
        tag(
            "dl",
            *(tag("div", tag("dt", name), tag("dd", value)) for name, value in lines),
            class_="line",
        ),
        fold(" · ".join(named) or "packages", table(("package", "version"), rows)) if rows else None,
    )


def what_moved(run: Run) -> Markup:
    """Four numbers, one of each model that was trained, before and after."""
    return div("cards", _text_card(run), _answer_card(run), _reward_card(run), _policy_card(run))


def run_seed(manifests: list[Mapping[str, Any]]) -> int | None:
    """The run's seed: stages hold seeds derived from it, so it is the one that all of theirs derive from.

    None where no small seed gives them all, as when a stage was given its own.
    """
    known = [(each.get("stage"), at(each, "seed")) for each in manifests]
    pairs = [(str(stage), seed) for stage, seed in known if is_number(seed)]
    for candidate in range(MOST_SEEDS if pairs else 0):
        if all(derive_seed(candidate, stage) == seed for stage, seed in pairs):
            return candidate
    return None


def _text_card(run: Run) -> Markup:
    summary = run["base"].summary
    uniform, unigram = summary.get("uniform_bits_per_byte"), summary.get("unigram_bits_per_byte")
    return _card(
        "base",
        "The base model continues text",
        _Number(summary, "heldout_bits_per_byte", "bits per byte"),
        "Bits the base model needs for a byte of text it never saw; lower is better. Uniform knows nothing "
        f"({decimal(uniform, 2)}), unigram only how often tokens occur ({decimal(unigram, 2)}).",
        references={"uniform": uniform, "unigram": unigram},
    )


def _answer_card(run: Run) -> Markup:
    summary = run["chat"].summary
    return _card(
        "chat",
        "The chat model answers",
        _Number(summary, "heldout_answer_nats", "nats per token"),
        "Surprise at held-out answers; lower is better. Answers that end by themselves: "
        f"{moved(summary, 'ended_share', percent, 0)}.",
    )


def _reward_card(run: Run) -> Markup:
    summary = run["reward"].summary
    reach = summary.get("heldout_accuracy_interval")
    return _card(
        "reward",
        "The reward model tells better from worse",
        _Number(summary, "heldout_accuracy", "of pairs", percent, 0),
        "Held-out pairs in which the reward model prefers the better answer; chance is 50 %. "
        f"95 % interval: {interval(reach)}.",
        references={
            "chance": 0.5,
            "length alone": summary.get("length_baseline_accuracy"),
            "bag of words": summary.get("bag_of_words_accuracy"),
        },
        reach=reach,
    )


def _policy_card(run: Run) -> Markup:
    summary = run["policy"].summary
    gain, reach = signed(summary.get("heldout_reward_gain")), summary.get("heldout_reward_gain_interval")
    return _card(
        "policy",
        "The policy is rewarded",
        _Number(summary, "heldout_reward", "reward"),
        f"The reward model's score on held-out prompts; higher is better. Gain {gain} (95 % interval "
        f"{interval(reach, 'signed')}) at a KL of {decimal(summary.get('heldout_kl'), 2)} nats from the chat model.",
    )


@dataclass(frozen=True)
class _Number:
    """A summary's number before and after training, and how it is written."""

    summary: Mapping[str, Any]
    stem: str
    unit: str
    write: Callable[..., str] = decimal
    digits: int = 2

    def value(self, when: str) -> object:
        return self.summary.get(f"{self.stem}_{when}")

    def text(self, when: str) -> str:
        return self.write(self.value(when), self.digits)


def _card(
    anchor: str,
    title: str,
    number: _Number,
    caption: str,
    *,
    references: Mapping[str, object] | None = None,
    reach: object = None,
) -> Markup:
    before, after = number.text("before"), number.text("after")
    if before == after == MISSING:
        return div("card pale", tag("h3", title), note("Not measured yet."))
    drawn = plots.before_after(
        number.value("before"), number.value("after"), title=title, references=references, interval=ends(reach)
    )
    return div(
        "card",
        tag("h3", tag("a", title, href=f"#{anchor}")),
        div("moved", span("then", before), span("arrow", "→"), span("now", after), span("unit", number.unit)),
        drawn.svg,
        note(caption),
    )


def _packages(manifests: list[Mapping[str, Any]]) -> dict[str, object]:
    merged: dict[str, object] = {}
    for each in manifests:
        packages = each.get("packages")
        merged |= packages if isinstance(packages, Mapping) else {}
    return merged


def _when(manifests: list[Mapping[str, Any]]) -> str:
    """The day and minute at which the last artifact was finished."""
    finished = [when for each in manifests if isinstance(when := each.get("finished"), str)]
    return join([max(finished)[:16].replace("T", " "), " UTC"]) if finished else MISSING
