# ruff: noqa: E501  (one case a line)
"""Rankings of people, broken in every field: the file, the row and the field are named."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

MESSAGE = [{"role": "user", "content": "Hello!"}]
GOOD = {"prompt": "Hello!", "answers": ["Hi.", "No."], "ranking": [1, 2]}
PAIR = {"prompt": "Hello!", "chosen": "Hi.", "rejected": "No."}


def _rows(*rows: object) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "rankings.jsonl"
        path.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in (GOOD, *rows)))
        return path

    return write


def _bytes(name: str, data: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return write


CASES: list[tuple[str, Callable[[Path], Path], tuple[str, ...]]] = [
    ("a row that is a list", _rows([1]), ("row 2",)),
    ("a row that is a text", _rows('"hello"'), ("row 2",)),
    ("a row that is null", _rows("null"), ("row 2",)),
    ("an empty object", _rows({}), ("row 2",)),
    ("a row that is no JSON", _rows("{'a': 1}"), ("row 2", "JSON")),
    ("a row cut in the middle", _rows('{"prompt": "Hel'), ("row 2", "JSON")),
    ("a row nested a hundred thousand deep", _rows("[" * 100_000 + "]" * 100_000), ("row 2",)),
    ("a key twice", _rows('{"prompt": "x", "prompt": "y", "chosen": "a", "rejected": "b"}'), ("row 2", "prompt", "twice")),
    ("no prompt", _rows({"chosen": "a", "rejected": "b"}), ("row 2", "prompt")),
    ("a prompt that is a number", _rows(PAIR | {"prompt": 5}), ("row 2", "prompt")),
    ("a prompt of no messages", _rows(PAIR | {"prompt": []}), ("row 2", "prompt")),
    ("a prompt that ends with an answer", _rows(PAIR | {"prompt": [{"role": "assistant", "content": "x"}]}), ("row 2", "prompt")),
    ("a prompt of a role that nobody has", _rows(PAIR | {"prompt": [{"role": "wizard", "content": "x"}]}), ("row 2", "wizard")),
    ("a prompt without a content", _rows(PAIR | {"prompt": [{"role": "user"}]}), ("row 2", "prompt")),
    ("a prompt of a text among messages", _rows(PAIR | {"prompt": ["Hello!"]}), ("row 2", "prompt")),
    ("an empty prompt", _rows(PAIR | {"prompt": ""}), ("row 2", "prompt")),
    ("a chosen answer alone", _rows({"prompt": "x", "chosen": "a"}), ("row 2",)),
    ("a chosen answer that is a number", _rows(PAIR | {"chosen": 5}), ("row 2", "chosen")),
    ("a chosen answer by a user", _rows(PAIR | {"chosen": MESSAGE}), ("row 2", "chosen")),
    ("a chosen answer of two messages", _rows(PAIR | {"chosen": MESSAGE * 2}), ("row 2", "chosen")),
    ("one answer", _rows(GOOD | {"answers": ["Hi."], "ranking": [1]}), ("row 2", "answers")),
    ("answers that are a text", _rows(GOOD | {"answers": "Hi."}), ("row 2", "answers")),
    ("answers that are numbers", _rows(GOOD | {"answers": [1, 2]}), ("row 2", "answers")),
    ("answers without a ranking", _rows({"prompt": "x", "answers": ["a", "b"]}), ("row 2", "ranking")),
    ("a ranking and an order", _rows(GOOD | {"order": [0, 1]}), ("row 2", "either")),
    ("a ranking too short", _rows(GOOD | {"ranking": [1]}), ("row 2", "ranking")),
    ("a ranking too long", _rows(GOOD | {"ranking": [1, 2, 3]}), ("row 2", "ranking")),
    ("a ranking from zero", _rows(GOOD | {"ranking": [0, 1]}), ("row 2", "ranking")),
    ("a ranking of halves", _rows(GOOD | {"ranking": [1.5, 2]}), ("row 2", "ranking")),
    ("a ranking of truths", _rows(GOOD | {"ranking": [True, False]}), ("row 2", "ranking")),
    ("a ranking of texts", _rows(GOOD | {"ranking": ["1", "2"]}), ("row 2", "ranking")),
    ("a ranking that is a number", _rows(GOOD | {"ranking": 1}), ("row 2", "ranking")),
    ("an order with a place twice", _rows({"prompt": "x", "answers": ["a", "b"], "order": [0, 0]}), ("row 2", "order")),
    ("an order out of range", _rows({"prompt": "x", "answers": ["a", "b"], "order": [0, 2]}), ("row 2", "order")),
    ("an order from one", _rows({"prompt": "x", "answers": ["a", "b"], "order": [1, 2]}), ("row 2", "order")),
    ("no rows", _bytes("r.jsonl", b""), ("no rows",)),
    ("blank lines alone", _bytes("r.jsonl", b"\n\n"), ("r.jsonl",)),
    ("bytes that are no UTF-8", _bytes("r.jsonl", b'{"prompt": "caf\xe9"}\n'), ("row 1",)),
    ("a gzip that is none", _bytes("r.jsonl.gz", b"hello"), ("r.jsonl.gz", "gzip")),
    ("a gzip cut in the middle", _bytes("r.jsonl.gz", gzip.compress(json.dumps(GOOD).encode() * 99)[:-12]), ("r.jsonl.gz",)),
    ("a parquet that is text", _bytes("r.parquet", b"hello"), ("r.parquet", "parquet")),
    ("a file of another kind", _bytes("r.txt", b"hello"), ("r.txt",)),
]  # fmt: skip
