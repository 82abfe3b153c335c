"""What a server asks of whatever runs a model, and what comes back."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # what only relays to another server starts without transformers
    from hftrain.tokens.chat import Messages


class Refused(Exception):
    """A request that cannot be answered, with what to tell who asked, in the words of OpenAI's errors."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str | None = None,
        kind: str = "invalid_request_error",
        parameter: str | None = None,
        retry_seconds: int | None = None,
    ) -> None:
        """Keep what is to be told."""
        super().__init__(message)
        self.message, self.status, self.code, self.kind = message, status, code, kind
        self.parameter, self.retry_seconds = parameter, retry_seconds


@dataclass(frozen=True, kw_only=True)
class Question:
    """One answer that is asked for."""

    messages: "Messages" = ()
    """The conversation; empty where ``prompt`` is to be continued."""
    prompt: str | tuple[int, ...] | None = None
    """Text, or its token ids."""
    new_tokens: int | None = None
    """The longest answer; None: as much as fits the context."""
    temperature: float = 1.0
    """0: the likeliest token each time."""
    top_p: float = 1.0
    """Only the likeliest tokens whose probabilities, at the temperature, add up to this are drawn from."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    """Texts before which the answer ends."""
    top_logprobs: int | None = None
    """So many likeliest tokens are reported for each step, beside the one drawn; None: no report."""


@dataclass(frozen=True)
class Candidate:
    """A token that could come, and log p of it in nats, of the model itself: at temperature 1, before top_p."""

    text: str
    bytes: tuple[int, ...]
    logprob: float


@dataclass(frozen=True)
class Report:
    """One step of an answer: what was drawn and what was likeliest, highest first."""

    drawn: Candidate
    top: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class Piece:
    """Some more of an answer. Text may be empty where a character is not whole yet."""

    text: str
    reports: tuple[Report, ...] = ()
    tokens: int = 1
    """How many it took: more than one where they came faster than they were handed on."""


@dataclass(frozen=True)
class End:
    """How an answer ended, and what it took."""

    finish: str
    """``stop``: by itself or before a stop text; ``length``: no more tokens were allowed or fit."""
    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True)
class Prepared:
    """A question that fits, with its token ids where this process makes them."""

    question: Question
    ids: tuple[int, ...] = ()
    new_tokens: int | None = None


Answer = AsyncGenerator[Piece | End, None]
"""Pieces, then one End. Closing it early ends the work behind it."""


class Engine(Protocol):
    """Something that runs a model."""

    runtime: str
    """What runs it, such as ``torch``."""
    at_once: int
    """How many answers it makes at the same time."""

    @property
    def context_tokens(self) -> int | None:
        """Tokens that a prompt and its answer may have together; None where only the runtime knows."""
        ...

    def prepare(self, question: Question) -> Prepared:
        """Check that a question fits.

        Raises:
            Refused: It does not.
        """
        ...

    def answer(self, prepared: Prepared) -> Answer:
        """The answer, as it is made."""
        ...

    async def close(self) -> None:
        """End the runtime."""
        ...


@dataclass
class UntilStop:
    """The pieces of an answer up to the first of some stop texts; what may become one is held back."""

    stops: Sequence[str]
    stopped: bool = False
    _held: list[Piece] = field(default_factory=list)

    def add(self, piece: Piece) -> Piece:
        """Take one more piece; give what surely stands before any stop text."""
        if not self.stops:
            return piece
        self._held.append(piece)
        text = "".join(each.text for each in self._held)
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        if places:
            self.stopped = True
            return self._release(min(places), last=True)
        return self._release(len(text) - self._held_chars(text), last=False)

    def rest(self) -> Piece:
        """What was held back and became no stop text."""
        return self._release(sum(len(each.text) for each in self._held), last=True)

    def _held_chars(self, text: str) -> int:
        """Length of the longest end of the text that begins a stop text."""
        longest = max(len(stop) for stop in self.stops) - 1
        sizes = range(min(longest, len(text)), 0, -1)
        return next((size for size in sizes if any(stop.startswith(text[-size:]) for stop in self.stops)), 0)

    def _release(self, chars: int, *, last: bool) -> Piece:
        text, tokens = "", 0
        reports: list[Report] = []
        kept: list[Piece] = []
        for piece in self._held:
            room = chars - len(text)
            if room > 0 or (not piece.text and not kept and not last):
                text += piece.text[:room]
                tokens += piece.tokens
                reports += piece.reports
                if len(piece.text) > room:
                    kept.append(Piece(piece.text[room:], tokens=0))
            else:
                kept.append(piece)
        self._held = [] if last else kept
        return Piece(text, tuple(reports), tokens)
