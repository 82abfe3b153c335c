"""Ranking in a terminal: read the answers, type their letters from best to worst."""

import unicodedata
import uuid
from typing import TextIO

from hftrain.errors import DataError
from hftrain.serving.ranking_desk import Choice, Desk, Last, Task

LETTERS = "ABCDEFGHI"
HELP = (
    "Type the letters from best to worst, = between two that tie: B D=A C. "
    "Or: bad (all are), skip, undo, note TEXT, help, quit."
)


class RankingTerminal:
    """One rater at one terminal; every choice is stored before the next prompt shows."""

    def __init__(self, desk: Desk, rater: str) -> None:
        self._desk, self._rater = desk, rater
        self._note = ""

    def rank(self, lines: TextIO, out: TextIO) -> None:
        """Show prompt after prompt and read a line for each, until all are decided or the input ends."""
        out.write(f"{HELP}\n")
        again: Task | None = None
        while True:
            work = self._desk.work(self._rater, limit=1)
            task = again or next(iter(work.tasks), None)
            done = sum(work.decided.values())
            if task is None:
                out.write(f"\nAll {work.total} prompts are decided. Thank you, {self._rater}.\n")
                return
            out.write(f"\n[{done} of {work.total}]\n{shown(task)}\n")
            again, self._note = None, ""
            said = self._decide(task, lines, out)
            if said is None:
                return
            if isinstance(said, Last):
                again = said.task

    def _decide(self, task: Task, lines: TextIO, out: TextIO) -> Choice | Last | None:
        """What was decided about the task, or the choice that was taken back; None at the end of the input."""
        while True:
            out.write("> ")
            out.flush()
            line = lines.readline()
            word, _, rest = line.strip().partition(" ")
            if not line or word.lower() in ("quit", "exit"):
                out.write("\n")
                return None
            if word.lower() == "note":
                self._note = rest.strip()
                out.write(f"The note goes with this choice: {visible(self._note)}\n")
                continue
            if word.lower() == "undo":
                last = self._undo()
                if last is not None:
                    return last
                out.write("There is nothing to undo.\n")
                continue
            choice = self._choice(task, line.strip(), out)
            if choice is not None:
                self._desk.accept(choice)
                return choice

    def _choice(self, task: Task, line: str, out: TextIO) -> Choice | None:
        """The choice that a line says, or None where it says none, and why is told."""
        word = line.lower()
        kind = {"bad": "all_bad", "all bad": "all_bad", "skip": "skip"}.get(word, "ranked")
        places = None
        if kind == "ranked":
            try:
                places = places_of(line, len(task.answers))
            except DataError as problem:
                out.write(f"{problem}\n")
                return None
        return Choice(uuid.uuid4().hex, self._rater, task.item, kind, places, self._note)

    def _undo(self) -> Last | None:
        last = self._desk.last(self._rater)
        if last is not None:
            self._desk.accept(Choice(uuid.uuid4().hex, self._rater, last.task.item, "undo", undoes=last.choice_id))
        return last


def places_of(line: str, answers: int) -> tuple[int, ...]:
    """The place of each answer from letters typed best to worst, ``=`` or brackets around none: ``B D=A C``.

    Raises:
        DataError: A letter is missing, unknown, or there twice.
    """
    letters = LETTERS[:answers]
    places: dict[str, int] = {}
    is_tie = False
    place = 0
    for each in line.upper():
        if each == "=" and places and not is_tie:
            is_tie = True
        elif each in letters and each not in places:
            place = place if is_tie else len(places) + 1
            places[each] = place
            is_tie = False
        elif not each.isspace() and each not in ">,;":
            places.clear()
            break
    if len(places) != answers or is_tie:
        raise DataError(f"Each of {' '.join(letters)} is needed once, best first, = for a tie. {HELP}")
    return tuple(places[letter] for letter in letters)


def shown(task: Task) -> str:
    """The prompt and its lettered answers as text that cannot steer a terminal."""
    turns = [f"{message['role']}: {message['content']}" for message in task.prompt]
    answers = [f"  {letter}  {text or '(empty)'}" for letter, text in zip(LETTERS, task.answers, strict=False)]
    return "\n".join(visible(text).replace("\n", "\n     ") for text in [*turns, *answers])


def visible(text: str) -> str:
    """The text with its control and format characters drawn as pictures or left as �; newlines and tabs stay."""
    return "".join(each if each in "\n\t" or unicodedata.category(each)[0] != "C" else _picture(each) for each in text)


def _picture(control: str) -> str:
    return chr(0x2400 + ord(control)) if ord(control) < 0x20 else "\N{REPLACEMENT CHARACTER}"
