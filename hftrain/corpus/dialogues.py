"""The English conversations of the package ``chatterbot-corpus`` (BSD-3-Clause)."""

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from hftrain.errors import DataError

MODULE = "chatterbot_corpus"


def english_files() -> list[Path]:
    """The package's English YAML files, by name.

    Raises:
        DataError: The package is not installed or holds none.
    """
    spec = importlib.util.find_spec(MODULE)
    folders = spec.submodule_search_locations if spec else None
    files = [path for root in folders or () for path in Path(root).glob("data/english/*.yml")]
    if not files:
        raise DataError(
            f"{MODULE}: no English conversations found. The package chatterbot-corpus is needed. "
            "Install it, or name other conversations."
        )
    return sorted(files, key=lambda path: path.name)


def dialogue_records(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield number and ``{"messages", "category"}`` of each conversation; no messages if unanswered.

    A file lists conversations, each a list of lines said in turn, the user first. A last line
    without an answer is left out.

    Raises:
        yaml.YAMLError: The file is not YAML, or does not list conversations.
    """
    # The base loader keeps every line as the text it is: "yes" is no boolean here, nor "42" a number.
    said = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    if not isinstance(said, dict) or not isinstance(said.get("conversations"), list):
        raise yaml.YAMLError("no list of conversations")
    for number, lines in enumerate(said["conversations"], start=1):
        if isinstance(lines, str):  # "- asked" over "- answer" with one dash short is one long scalar
            lines = [line.strip("'") for line in lines.split(" - ")]
        answered = lines[: len(lines) // 2 * 2] if isinstance(lines, list) else []
        yield number, {"messages": _messages(answered), "category": path.stem}


def _messages(lines: list[object]) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    turns = [
        {"role": roles[number % 2], "content": line.strip() if isinstance(line, str) else ""}
        for number, line in enumerate(lines)
    ]
    return turns if all(turn["content"] for turn in turns) else []


_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
