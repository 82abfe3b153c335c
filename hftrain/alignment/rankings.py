"""Rankings that people made, read from a file: pairs, or several answers with their ranks."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pyarrow.parquet as parquet
from pyarrow import ArrowException

from hftrain.alignment.collected import Collected
from hftrain.alignment.preferences import RankedAnswer, RankedPrompt, prompt_key
from hftrain.artifacts import digest_file
from hftrain.corpus.accounts import UnreadableError
from hftrain.corpus.compression import opened
from hftrain.corpus.conversations import ROLES
from hftrain.corpus.records import parsed
from hftrain.errors import DataError

HELDOUT_SHARE = 0.1
HELDOUT_NAMES = ("heldout", "test", "validation")
SHAPES = (
    "Each row needs prompt, chosen and rejected, or prompt and answers with ranking (1 = best, one rank an answer) "
    "or order (places in answers from best to worst, from 0)."
)


def read_rankings(path: Path) -> list[RankedPrompt]:
    """Read the rankings of a .jsonl, .jsonl.gz or .parquet file.

    A prompt is a text (one user message) or a list of messages that ends with the user's or a tool's. An answer is a
    text or a list of one assistant message. Equal answers of one row are kept once, at the better rank.

    Raises:
        DataError: A row is not JSON, lacks a field or holds a wrong one; the message names file, row and field.
    """
    return [row.ranked() for row in _read(path)]


def collect_rankings(path: Path) -> Collected:
    """Read a file's rankings and set a part of the prompts aside.

    A row's ``split`` decides where it has one (``train``, or one of `HELDOUT_NAMES`), as the export of ``hftrain rank``
    does: what was held out of a corpus stays so. Its ``answered_by`` names the model, by digest; one for all rows, or a
    list.

    Raises:
        DataError: As `read_rankings`; a ``split`` is another word, or two rows put one prompt into both.
    """
    splits: dict[str, list[RankedPrompt]] = {"train": [], "heldout": []}
    models, places = set(), dict[str, str]()
    for row in _read(path):
        ranked = row.ranked()
        split = row.split() or ("heldout" if is_heldout(ranked) else "train")
        row.check_same(split, places.setdefault(prompt_key(ranked.prompt), split))
        splits[split].append(ranked)
        models.add(row.answered_by())
    known = sorted(filter(None, models))
    answered_by = known[0] if len(models) == 1 and known else known or None
    return Collected(splits, {"answered_by": answered_by, "judge": None, "rankings": digest_file(path)})


def _read(path: Path) -> list["_Row"]:
    rows = [_Row(f"{path}, row {number}", row) for number, row in enumerate(_rows(path), start=1)]
    if not rows:
        raise DataError(f"{path}: has no rows. {SHAPES} Give a file with rows.")
    return rows


def is_heldout(ranked: RankedPrompt, share: float = HELDOUT_SHARE) -> bool:
    """Whether this prompt belongs to the held-out split: by its own digest, so more rows never move it."""
    digest = hashlib.sha256(prompt_key(ranked.prompt).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


class _Row:
    """One row and where it stands, for the errors."""

    def __init__(self, where: str, values: object) -> None:
        self._where = where
        if not isinstance(values, Mapping):
            raise DataError(f"{where}: {_shown(values)}. {SHAPES} Mend the row.")
        # Parquet gives every column to every row; what is null there is absent here.
        self._values = {name: value for name, value in values.items() if value is not None}

    def ranked(self) -> RankedPrompt:
        prompt = self._prompt()
        if "answers" in self._values:
            answers = self._values["answers"]
            if not isinstance(answers, Sequence) or isinstance(answers, str) or len(answers) < 2:
                self._refuse("answers", answers, "A list of at least two answers is needed.")
            texts = [self._answer(f"answers[{place}]", answer) for place, answer in enumerate(answers)]
            ranks = self._ranks(len(texts))
        elif "chosen" in self._values and "rejected" in self._values:
            texts = [self._answer(name, self._values[name]) for name in ("chosen", "rejected")]
            ranks = [1, 2]
        else:
            raise DataError(f"{self._where}: has only {', '.join(sorted(self._values))}. {SHAPES} Mend the row.")
        best: dict[str, int] = {}
        for rank, text in sorted(zip(ranks, texts, strict=True), key=lambda pair: pair[0]):
            best.setdefault(text, rank)
        ordered = tuple(RankedAnswer(text, True, None, rank) for text, rank in best.items())
        return RankedPrompt(prompt, ordered, duplicates=len(texts) - len(ordered))

    def split(self) -> str | None:
        """The split that the row states, if it does."""
        split = self._values.get("split")
        if split not in (None, "train", *HELDOUT_NAMES):
            self._refuse("split", split, f"train or one of {', '.join(HELDOUT_NAMES)} is needed, or no such field.")
        return "heldout" if split in HELDOUT_NAMES else split

    def answered_by(self) -> str | None:
        """The digest of the model that answered, if the row states it."""
        digest = self._values.get("answered_by")
        if digest is not None and not isinstance(digest, str):
            self._refuse("answered_by", digest, "A digest is needed, or no such field.")
        return digest

    def check_same(self, split: str, before: str) -> None:
        """Refuse a prompt that is in the other split already."""
        if split != before:
            self._refuse("split", split, f"A row above puts the same prompt into {before}; one of them is needed.")

    def _prompt(self) -> list[dict[str, str]]:
        prompt = self._values.get("prompt")
        if isinstance(prompt, str):
            prompt = [{"role": "user", "content": prompt}]
        messages = self._messages("prompt", prompt)
        if messages[-1]["role"] not in ("user", "tool"):
            self._refuse("prompt", messages[-1], "The last message of a prompt must be the user's, or a tool's.")
        return messages

    def _answer(self, field: str, answer: object) -> str:
        if isinstance(answer, str):
            return answer
        messages = self._messages(field, answer)
        if len(messages) != 1 or messages[0]["role"] != "assistant":
            roles = [message["role"] for message in messages]
            self._refuse(field, roles, "A text or one assistant message, without the prompt, is needed.")
        return messages[0]["content"]

    def _messages(self, field: str, messages: object) -> list[dict[str, str]]:
        if not isinstance(messages, list) or not messages:
            self._refuse(field, messages, "A text or a list of messages is needed.")
        for message in messages:
            if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
                self._refuse(field, message, "Each message needs a role and a text as its content.")
            if message.get("role") not in ROLES:
                self._refuse(field, message.get("role"), f"A role is one of {', '.join(ROLES)}.")
            if field == "prompt" and not message["content"].strip() and message["role"] != "tool":
                self._refuse(field, message["content"], "Some text is needed.")
        return [{"role": each["role"], "content": each["content"]} for each in messages]

    def _ranks(self, answer_count: int) -> list[int]:
        """Rank of each answer, from ``ranking`` or from ``order``."""
        if ("ranking" in self._values) == ("order" in self._values):
            raise DataError(f"{self._where}: needs either ranking or order beside answers. {SHAPES} Mend the row.")
        field = "ranking" if "ranking" in self._values else "order"
        given = self._values[field]
        if not isinstance(given, list) or any(not isinstance(each, int) or isinstance(each, bool) for each in given):
            self._refuse(field, given, "A list of whole numbers is needed.")
        if field == "order":
            if sorted(given) != list(range(answer_count)):
                self._refuse(field, given, f"Each place from 0 to {answer_count - 1} is needed once.")
            return [given.index(place) + 1 for place in range(answer_count)]
        if len(given) != answer_count or min(given) < 1:
            self._refuse(field, given, f"{answer_count} ranks are needed, one an answer, 1 or more.")
        return given

    def _refuse(self, field: str, value: object, needed: str) -> NoReturn:
        raise DataError(f"{self._where}, {field}: {_shown(value)}. {needed} Mend the row.")


def _rows(path: Path) -> Iterator[object]:
    try:
        yield from _parquet_rows(path) if path.name.endswith(".parquet") else _json_rows(path)
    except (UnreadableError, ArrowException) as problem:
        said = str(problem).partition("\n")[0]
        raise DataError(
            f"{path}: cannot be read to its end: {said}. A whole .jsonl, .jsonl.gz or .parquet file is needed. Make it "
            "anew, or give another."
        ) from problem


def _parquet_rows(path: Path) -> Iterator[object]:
    for batch in parquet.ParquetFile(path).iter_batches():
        yield from batch.to_pylist()


def _json_rows(path: Path) -> Iterator[object]:
    with opened(path) as file:
        for number, line in enumerate(file, start=1):  # binary lines end at \n only
            if not line.strip():
                continue
            try:
                yield parsed(line.decode("utf-8"))
            except (ValueError, RecursionError) as problem:
                raise DataError(
                    f"{path}, row {number}: is not JSON ({problem}). One JSON object a line, in UTF-8, is needed. "
                    "Mend the line."
                ) from None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
