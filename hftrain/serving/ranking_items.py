"""What people rank: prompts with their answers, from a run, from a file, or asked of the run's chat model."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hftrain.artifacts import read_manifest
from hftrain.corpus.conversations import ROLES
from hftrain.errors import ArtifactError, ConfigError, DataError
from hftrain.files import digest_value, read_json, read_jsonl

MOST_ANSWERS = 9
"""As many as have a letter and a digit of their own on a keyboard."""


@dataclass(frozen=True)
class Item:
    """A prompt and its distinct answers, in the order of their source."""

    key: str
    """Digest of the prompt and the answers: the same wherever they are read from."""
    prompt: tuple[Mapping[str, str], ...]
    answers: tuple[str, ...]
    answered_by: str | None
    """Digest of the model that answered, where it is known."""
    split: str | None
    """The split of the corpus that the prompt is from, where it is known."""


@dataclass(frozen=True)
class Items:
    """All that there is to rank, and what was left out of it."""

    items: tuple[Item, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Asking:
    """How a chat model is asked for answers to rank."""

    prompts: int = 200
    """At most so many."""
    answers_per_prompt: int = 4
    """2 to 9."""
    new_tokens: int = 96
    """Of the longest answer; one that is cut there is not shown."""
    temperature: float = 1.0
    """Of sampling, above 0."""


def read_items(path: Path, *, answered_by: str | None = None) -> Items:
    """Read prompts and answers from a JSON Lines file.

    A row holds ``prompt`` (a text, or messages of which the last is the user's) and ``answers`` (texts, objects with
    a ``text``, or lists of one assistant message); perhaps ``answered_by`` and ``split``. Equal answers of a row are
    shown once. An answer with ``ended`` false is left out, as it is in no pair; so is a row of fewer than two distinct
    answers, or one that is there already. All are counted.

    Raises:
        DataError: A row is not of that shape, or none is left.
    """
    try:
        rows = read_jsonl(path)
    except (ArtifactError, OSError, ValueError) as problem:
        raise DataError(f"{path}: cannot be read ({problem}). JSON Lines in UTF-8 are needed. Mend it.") from None
    return _gathered((_Row(f"{path}, row {at}", row) for at, row in enumerate(rows, 1)), answered_by, str(path))


def items_of_run(run: Path) -> Items | None:
    """The answers that the run's preferences were made of; None where it has none."""
    folder = run / "preferences"
    if not (folder / "answers.jsonl").is_file():
        return None
    read_manifest(folder)
    answered_by = read_json(folder / "summary.json").get("answered_by")
    return read_items(folder / "answers.jsonl", answered_by=answered_by)


def ask_for_items(run: Path, asking: Asking, *, seed: int) -> Items:
    """Ask the run's chat model prompts of its corpus's training split, several answers to each.

    Raises:
        ArtifactError: The run has no finished chat model or corpus.
        ConfigError: A number cannot be, or answers of that length leave no room for a prompt.
        DataError: The corpus gives no prompt that fits.
    """
    if (
        asking.prompts < 1
        or not 2 <= asking.answers_per_prompt <= MOST_ANSWERS
        or asking.new_tokens < 1
        or asking.temperature <= 0
    ):
        raise ConfigError(
            f"rank: {asking}. At least 1 prompt, 2 to {MOST_ANSWERS} answers, 1 token and a temperature above 0 are "
            "needed. Change them."
        )
    chat, corpus = run / "chat", run / "corpus"
    digest = read_manifest(chat)["digest"]
    read_manifest(corpus)
    from hftrain.alignment.asking import prompt_room
    from hftrain.alignment.preferences import draw, read_questions
    from hftrain.corpus.splits import conversations_of
    from hftrain.models.generation import answer_prompts
    from hftrain.models.loading import load_causal_lm
    from hftrain.tokens.chat import encode_prompt, load_tokenizer

    model, tokenizer = load_causal_lm(chat), load_tokenizer(chat)
    room = prompt_room(model, new_tokens=asking.new_tokens)
    questions = read_questions(conversations_of(corpus, "train"), conversations_of(corpus, "heldout", needed=False))
    drawn, _ = draw(
        questions.train, asking.prompts, seed=seed, fits=lambda each: len(encode_prompt(tokenizer, each.prompt)) <= room
    )
    answers = answer_prompts(
        model,
        tokenizer,
        [question.prompt for question in drawn],
        answers_per_prompt=asking.answers_per_prompt,
        new_tokens=asking.new_tokens,
        temperature=asking.temperature,
        seed=seed,
    )
    rows = [
        {
            "prompt": list(question.prompt),
            "answers": [{"text": each.text, "ended": each.ended} for each in given],
            "split": "train",
        }
        for question, given in zip(drawn, answers, strict=True)
    ]
    return _gathered((_Row(f"{chat}, prompt {at}", row) for at, row in enumerate(rows, 1)), digest, str(chat))


def item_of(prompt: Sequence[Mapping[str, str]], answers: Sequence[str], **origin: str | None) -> Item:
    """An item with its key, equal answers collapsed."""
    distinct = tuple(dict.fromkeys(answers))
    turns = [{"role": each["role"], "content": each["content"]} for each in prompt]
    key = digest_value({"prompt": turns, "answers": list(distinct)}).removeprefix("sha256:")[:32]
    return Item(key, tuple(turns), distinct, origin.get("answered_by"), origin.get("split"))


def shown_order(seed: int, rater: str, item: Item) -> list[int]:
    """The places in ``item.answers`` in the order in which this rater sees them: drawn by the seed, for good."""

    def lot(place: int) -> bytes:
        return hashlib.sha256(f"{seed}\n{rater}\n{item.key}\n{place}".encode("utf-8", "surrogatepass")).digest()

    return sorted(range(len(item.answers)), key=lot)


def work_order(seed: int, items: Iterable[Item]) -> list[Item]:
    """The items in the order in which they are ranked, the same for all raters, so that they soon share some."""

    def lot(item: Item) -> bytes:
        return hashlib.sha256(f"{seed}\n{item.key}".encode()).digest()

    return sorted(items, key=lot)


def _gathered(rows: "Iterable[_Row]", answered_by: str | None, where: str) -> Items:
    """The items that can be ranked, each once.

    Raises:
        DataError: There is none.
    """
    kept: dict[str, Item] = {}
    left_out: Counter[str] = Counter()
    for row in rows:
        item = row.item(answered_by)
        left_out["unfinished_answers"] += row.unfinished
        if len(item.answers) < 2:
            left_out["prompts_with_fewer_than_two_answers"] += 1
        elif item.key in kept:
            left_out["prompts_that_are_there_already"] += 1
        else:
            kept[item.key] = item
    counted = {reason: count for reason, count in left_out.items() if count}
    if not kept:
        raise DataError(
            f"{where}: no prompt with two different finished answers ({counted or 'no rows'}). Ranking needs some. "
            "Give a file with rows of prompt and answers, or let answers be longer."
        )
    return Items(tuple(kept.values()), counted)


class _Row:
    """One row and where it stands, for the errors."""

    def __init__(self, where: str, row: object) -> None:
        if not isinstance(row, Mapping) or "prompt" not in row or not isinstance(row.get("answers"), list):
            raise DataError(f"{where}: needs prompt and a list of answers. Mend the row.")
        self._where, self._row = where, row
        self._finished = [
            (at, answer)
            for at, answer in enumerate(row["answers"])
            if not (isinstance(answer, Mapping) and answer.get("ended") is False)
        ]
        self.unfinished = len(row["answers"]) - len(self._finished)

    def item(self, answered_by: str | None) -> Item:
        answers = [self._answer(at, answer) for at, answer in self._finished]
        if len(answers) > MOST_ANSWERS:
            self._refuse("answers", len(answers), f"At most {MOST_ANSWERS} can be ranked side by side.")
        origin = {"answered_by": answered_by, "split": None}
        for name in origin:
            given = self._row.get(name)
            if given is not None and not isinstance(given, str):
                self._refuse(name, given, "A text is needed.")
            origin[name] = given or origin[name]
        return item_of(self._prompt(), answers, **origin)

    def _prompt(self) -> list[Mapping[str, str]]:
        prompt = self._row["prompt"]
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        if not isinstance(messages, list) or not messages or not all(_is_message(each) for each in messages):
            self._refuse("prompt", prompt, "A text or a list of messages with role and content is needed.")
        if messages[-1]["role"] not in ("user", "tool"):
            self._refuse("prompt", messages[-1], "The last message of a prompt must be the user's, or a tool's.")
        for message in messages:
            self._check_text("prompt", message["content"])
        return messages

    def _answer(self, at: int, answer: Any) -> str:
        if isinstance(answer, list) and len(answer) == 1 and _is_message(answer[0]):
            answer = answer[0]["content"]
        if isinstance(answer, Mapping):
            answer = answer.get("text")
        if not isinstance(answer, str):
            self._refuse(f"answers[{at}]", answer, "A text, or an object with a text, is needed.")
        self._check_text(f"answers[{at}]", answer)
        return answer

    def _check_text(self, field: str, text: str) -> None:
        if any("\ud800" <= each <= "\udfff" for each in text):
            self._refuse(field, ascii(text), "Half of a character (a lone surrogate) cannot be written out again.")

    def _refuse(self, field: str, value: object, needed: str) -> NoReturn:
        raise DataError(f"{self._where}, {field}: {str(value)[:60]!r}. {needed} Mend the row.")


def _is_message(value: object) -> bool:
    return isinstance(value, Mapping) and value.get("role") in ROLES and isinstance(value.get("content"), str)
