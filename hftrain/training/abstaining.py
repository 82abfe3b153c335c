"""Teaching a model to decline questions that its text does not answer, and measuring whether it does.

A question is held if some training document says its answer near what it asks about: the answer's words in a row, and
within `WINDOW_WORDS` words of them at least half of the question's content words (those that are neither stop words nor
in the answer), by weight. Of N questions of which n have a word, the word weighs log((N + 1) / n): "capital" alone does
not answer five hundred questions for capitals. Held questions are taught with their answer, the others with a sentence
that declines. Questions whose answer stands near anything (yes, true, a digit) or that ask without a content word
cannot be told apart so, and are left out.

Source: Zhang et al. 2023 (R-Tuning), arXiv:2311.09677. There the model's own answers decide what it knows; here its
training text does, so that a model too small to have learned what it read is not taught that it never did.
"""

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.corpus.accounts import Source
from hftrain.corpus.conversations import messages_of
from hftrain.corpus.heldout import is_held_out
from hftrain.corpus.places import readable_files
from hftrain.corpus.readers import records_in
from hftrain.errors import DataError
from hftrain.models.generation import answer_prompts
from hftrain.tokens.chat import Messages, encode_prompt

WINDOW_WORDS = 50
HELDOUT_SHARE = 0.2
"""Of the questions: nobody is taught these, the model is measured on them."""
MOST_MEASURED = 200
"""Questions of each group."""

OUTCOMES = ("right", "wrong", "declined")
TELLS_NOTHING = ENGLISH_STOP_WORDS | {"yes", "true", "false"}
SHORTEST_TELLING_CHARS = 3
WORD = re.compile(r"\w+")
ROUNDING = 1e-9
"""Of sums of weights, in whatever order: half of them is enough."""


@dataclass(frozen=True)
class Question:
    """A short question with one answer."""

    text: str
    answer: str

    def asked(self) -> list[dict[str, str]]:
        """The conversation that asks it."""
        return [{"role": "user", "content": self.text}]

    def taught(self, said: str) -> list[dict[str, str]]:
        """The conversation in which it is answered so."""
        return [*self.asked(), {"role": "assistant", "content": said}]


@dataclass
class SortedQuestions:
    """Questions by what the training text holds."""

    held: list[Question] = field(default_factory=list)
    not_held: list[Question] = field(default_factory=list)
    left_out: int = 0
    """That cannot be told apart."""

    def split(self) -> tuple["SortedQuestions", "SortedQuestions"]:
        """Those to teach, and those to measure on, in an order that depends on each question alone."""
        parts = SortedQuestions(), SortedQuestions()
        for name in ("held", "not_held"):
            for question in sorted(getattr(self, name), key=lambda each: _digest(each.text)):
                getattr(parts[is_held_out(question.text, HELDOUT_SHARE)], name).append(question)
        return parts

    def that_fit(self, tokenizer: PreTrainedTokenizerFast, *, max_prompt_tokens: int) -> "SortedQuestions":
        """Those whose prompt is not longer."""

        def fitting(questions: Sequence[Question]) -> list[Question]:
            return [each for each in questions if len(encode_prompt(tokenizer, each.asked())) <= max_prompt_tokens]

        return SortedQuestions(fitting(self.held), fitting(self.not_held), self.left_out)


def read_questions(entries: Sequence[str]) -> list[Question]:
    """The questions of files and folders, each asked once: rows of ``question`` and ``answer``, or conversations.

    Raises:
        DataError: A row is neither, or there is none.
    """
    found: dict[str, Question] = {}
    for path in _files(entries):
        source = Source(path.name, "conversations")
        for number, record in records_in(path, text_column="text", source=source):
            question = _question(record, f"{path.name}, row {number}")
            found.setdefault(" ".join(words_of(question.text)), question)
    if not found:
        raise DataError(f"sft.abstain.questions: none in {', '.join(entries)}. One is needed. Name other files.")
    return list(found.values())


def sort_by_support(questions: Sequence[Question], texts: Iterable[str]) -> SortedQuestions:
    """Which questions the texts answer, by the rule above; the texts are read once, one at a time."""
    index = _Index(questions)
    for text in texts:
        index.read(words_of(text))
    done = SortedQuestions(left_out=len(questions) - len(index.needed))
    for place in index.needed:
        (done.held if place in index.held else done.not_held).append(questions[place])
    return done


def taught_conversations(
    questions: SortedQuestions, *, answer: str, share: float, other_rows: int
) -> tuple[list[Messages], list[Messages]]:
    """Conversations that decline, so many that they are ``share`` of all rows, and up to as many that answer.

    d = s (n + h) / (1 - s) decline, where n rows are there already and h answer; h is what d would be with h = d, or
    all there are.

    Raises:
        DataError: Too few questions are not held.
    """
    balanced = round(share * other_rows / (1 - 2 * share))
    answered = questions.held[:balanced]
    wanted = max(1, round(share * (other_rows + len(answered)) / (1 - share)))
    if len(questions.not_held) < wanted:
        raise DataError(
            f"sft.abstain: a share of {share} of the rows is {wanted} questions to decline, but the training text "
            f"does not answer {len(questions.not_held)} of those to teach, and answers {len(questions.held)}. "
            "Lower sft.abstain.share, or name more questions."
        )
    declined: list[Messages] = [each.taught(answer) for each in questions.not_held[:wanted]]
    return declined, [each.taught(each.answer) for each in answered]


def outcomes(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    questions: SortedQuestions,
    *,
    answer: str,
    new_tokens: int,
) -> dict[str, int]:
    """Of held and of other questions, how many are answered right, answered wrong, and declined.

    Declined: the answer begins with the words that decline. Right: it says the words of the right answer in a row.
    Answers are the likeliest tokens.
    """
    found: dict[str, int] = {}
    for name, asked in (("held", questions.held), ("not_held", questions.not_held)):
        some = asked[:MOST_MEASURED]
        prompts: list[Messages] = [each.asked() for each in some]
        said = answer_prompts(model, tokenizer, prompts, new_tokens=new_tokens, temperature=0, seed=0) if some else []
        counts = Counter(outcome(each, answers[0].text, answer) for each, answers in zip(some, said, strict=True))
        found |= {f"{name}_questions": len(some), **{f"{name}_{each}": counts[each] for each in OUTCOMES}}
    return found


def outcome(question: Question, said: str, declining: str) -> str:
    """One of ``OUTCOMES``."""
    if declines(said, declining):
        return "declined"
    is_right = f" {' '.join(words_of(question.answer))} " in f" {' '.join(words_of(said))} "
    return "right" if is_right else "wrong"


def declines(said: str, declining: str) -> bool:
    """Whether an answer begins with the words that decline."""
    no = words_of(declining)
    return words_of(said)[: len(no)] == no


def words_of(text: str) -> list[str]:
    """Runs of letters and digits, in small letters."""
    return WORD.findall(text.lower())


class _Index:
    """Questions that are not known to be held, by the longest word of their answer."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.held: set[int] = set()
        self.needed: dict[int, float] = {}  # question -> how much weight of its content words
        # longest word -> answer's words, where in them that word is -> content word -> questions
        self.answers: dict[str, dict[tuple[tuple[str, ...], int], dict[str, set[int]]]] = defaultdict(dict)
        contents = [_content_words(question) for question in questions]
        counts = Counter(word for content in contents for word in content)
        self.weights = {word: math.log((len(questions) + 1) / count) for word, count in counts.items()}
        for place, (question, content) in enumerate(zip(questions, contents, strict=True)):
            answer = tuple(words_of(question.answer))
            telling = [word for word in answer if len(word) >= SHORTEST_TELLING_CHARS and word not in TELLS_NOTHING]
            if not telling or not content:
                continue
            self.needed[place] = sum(self.weights[word] for word in content) / 2 - ROUNDING
            anchor = max(telling, key=len)
            by_word = self.answers[anchor].setdefault((answer, answer.index(anchor)), defaultdict(set))
            for word in content:
                by_word[word].add(place)

    def read(self, words: Sequence[str]) -> None:
        """Note which questions a document answers."""
        for at, word in enumerate(words):
            for (answer, offset), by_word in self.answers.get(word, {}).items():
                begin = at - offset
                if begin >= 0 and tuple(words[begin : begin + len(answer)]) == answer:
                    around = {*words[max(0, begin - WINDOW_WORDS) : begin + len(answer) + WINDOW_WORDS]}
                    self._weigh(around, by_word)

    def _weigh(self, around: set[str], by_word: Mapping[str, set[int]]) -> None:
        shared: defaultdict[int, float] = defaultdict(float)
        for word in around & by_word.keys():
            for place in by_word[word]:
                shared[place] += self.weights[word]
        for place, weight in shared.items():
            if weight >= self.needed[place] and place not in self.held:
                self.held.add(place)
                for places in by_word.values():
                    places.discard(place)


def _content_words(question: Question) -> set[str]:
    return set(words_of(question.text)) - ENGLISH_STOP_WORDS - set(words_of(question.answer))


def _files(entries: Sequence[str]) -> Iterator[Path]:
    for entry in map(Path, entries):
        yield from readable_files(entry, tables_only=True) if entry.is_dir() else [entry]


def _question(record: Mapping[str, Any], where: str) -> Question:
    if isinstance(record.get("question"), str) and isinstance(record.get("answer"), str):
        question = Question(record["question"].strip(), record["answer"].strip())
    else:
        messages, _ = messages_of(record, where)
        asked = next((turn["content"] for turn in messages if turn["role"] == "user"), "")
        said = next(turn["content"] for turn in messages if turn["role"] == "assistant")
        question = Question(asked.strip(), said.strip())
    if not words_of(question.text) or not words_of(question.answer):
        raise DataError(f"{where}: no question with an answer. Words in both are needed. Mend the row.")
    return question


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
