"""What a benchmark asks: one item is one question, in one of four forms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["multiple_choice", "minimal_pairs", "completion", "exact_match", "code"]
KINDS: tuple[Kind, ...] = ("multiple_choice", "minimal_pairs", "completion", "exact_match", "code")


@dataclass(frozen=True, slots=True)
class Choice:
    """Texts of which the model is to find the right one likeliest.

    Minimal pairs are of this form too: two sentences after nothing.
    """

    contexts: tuple[str, ...]
    """What stands before each; one text as often as there are choices, or (WinoGrande) a text for each."""
    continuations: tuple[str, ...]
    """What is scored, its leading space included."""
    choices: tuple[str, ...]
    """The texts by whose length a sum is divided."""
    gold: tuple[int, ...]
    """Which are right."""
    group: str = ""

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Context and continuation of each choice."""
        return list(zip(self.contexts, self.continuations, strict=True))


@dataclass(frozen=True, slots=True)
class Completion:
    """A text whose last words the model is to guess."""

    context: str
    continuation: str
    group: str = ""

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Context and continuation."""
        return [(self.context, self.continuation)]


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt with the answers that count as right."""

    prompt: str
    answers: tuple[str, ...]
    group: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A programming task: the program is ``opening`` + what the model writes + ``tests``."""

    prompt: str
    opening: str
    tests: str
    group: str = ""


Item = Choice | Completion | Question | Problem


def choice(
    context: str, choices: Sequence[str], gold: int | Sequence[int], *, delimiter: str = " ", group: str = ""
) -> Choice:
    """An item of several continuations of one context."""
    return Choice(
        contexts=(context,) * len(choices),
        continuations=tuple(f"{delimiter}{text}" for text in choices),
        choices=tuple(choices),
        gold=(gold,) if isinstance(gold, int) else tuple(gold),
        group=group,
    )
