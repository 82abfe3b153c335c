"""Rankings that people made, read from a file: pairs, or several answers with their ranks."""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pyarrow.parquet as parquet

from hftrain.alignment.collected import Collected
from hftrain.alignment.preferences import RankedAnswer, RankedPrompt, prompt_key
from hftrain.artifacts import digest_file
from hftrain.errors import DataError

HELDOUT_SHARE = 0.1
ROLES = ("system", "user", "assistant")
SHAPES = (
    "Each row needs prompt, chosen and rejected, or prompt and answers with ranking (1 = best, one rank an answer) "
    "or order (places in answers from best to worst, from 0)."
)


def read_rankings(path: Path) -> list[RankedPrompt]:
    """Read the rankings of a .jsonl, .jsonl.gz or .parquet file.

    A prompt is a text (one user message) or a list of messages that ends with the user's. An answer is a text or
    a list of one assistant message. Equal answers of one row are kept once, at the better rank.

    Raises:
        DataError: A row is not JSON, lacks a field or holds a wrong one; the message names file, row and field.
    """
    ranked = [_Row(f"{path}, row {number}", row).ranked() for number, row in enumerate(_rows(path), start=1)]
    if not ranked:
        raise DataError(f"{path}: has no rows. {SHAPES} Give a file with rows.")
    return ranked


def collect_rankings(path: Path) -> Collected:
    """Read a file's rankings and set a part of the prompts aside."""
    rows = read_rankings(path)
    splits = {
        "train": [row for row in rows if not is_heldout(row)],
        "heldout": [row for row in rows if is_heldout(row)],
    }
    return Collected(splits, {"answered_by": None, "judge": None, "rankings": digest_file(path)})


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

    def _prompt(self) -> list[dict[str, str]]:
        prompt = self._values.get("prompt")
        if isinstance(prompt, str):
            prompt = [{"role": "user", "content": prompt}]
        messages = self._messages("prompt", prompt)
        if messages[-1]["role"] != "user":
            self._refuse("prompt", messages[-1], "The last message of a prompt must be the user's.")
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
    if path.name.endswith(".parquet"):
        for batch in parquet.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
        return
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rb") as file:
        for number, line in enumerate(file, start=1):  # binary lines end at \n only
            if not line.strip():
                continue
            try:
                yield json.loads(line.decode("utf-8"))
            except ValueError as problem:
                raise DataError(
                    f"{path}, row {number}: is not JSON ({problem}). One JSON object a line, in UTF-8, is needed. "
                    "Mend the line."
                ) from None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
