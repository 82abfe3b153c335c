"""Every command of every console block is run; what takes a machine or minutes has its options read, and says so."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hftrain.cli import _recipe_parser
from hftrain.commands import console_parser

ROOT = Path(__file__).parents[2]
NOT_RUN = (
    "takes minutes",
    "needs a GPU",
    "needs the Hub",
    "needs a network",
    "needs a server",
    "until Ctrl-C",
    "asks you",
    "changes your",
)
"""What a command's comment says where it is not run by this test: its options are read all the same."""

LONGEST_SECONDS = 300
LAUNCHERS = ("torchrun", "accelerate", "python")
OTHERS = (
    *("bash", "cat", "cd", "curl", "docker", "echo", "eval", "git", "head", "jupyter", "kill", "llama-cli"),
    *("llama-server", "lm_eval", "ls", "ollama", "pre-commit", "source", "tensorboard", "trackio", "vllm"),
)
"""Programs that are not ours, whose options are not looked at."""


@dataclass(frozen=True)
class Command:
    """A line after ``$`` with what is shown below it."""

    where: str
    line: str
    shown: str

    @property
    def comment(self) -> str:
        return self.line.rpartition("  #")[2] if "  #" in self.line else ""

    @property
    def is_run(self) -> bool:
        return not any(mark in self.comment for mark in NOT_RUN)

    @property
    def words(self) -> list[str]:
        words = shlex.split(self.line.partition(" | ")[0].partition(" > ")[0], comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        return words


def commands_of(page: Any) -> Iterator[Command]:
    for block in page.blocks:
        if block.language == "console":
            text = re.sub(r"\\\n\s*", "", block.text)
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, shown = part.partition("\n")
                yield Command(f"{block.where} {line}", line, shown)


def mistake_in(command: Command) -> str | None:
    """What is wrong with a command's words: a program, file or option that does not exist."""
    words = command.words
    program, rest = Path(words[0]).name, words[1:]
    if program == "make":
        known = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return next((f"make {word}" for word in rest if "=" not in word and word not in known), None)
    if program in ("pip", "uv") or rest[:2] == ["-m", "pip"]:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        asked = {name for word in rest for name in re.findall(r"hftrain\[([\w,]+)\]", word)}
        extras = {extra for names in asked for extra in names.split(",")}
        return next((extra for extra in extras if extra not in project["optional-dependencies"]), None)
    if program == "hftrain":
        return _unread(console_parser(), rest)
    script = next((place for place, word in enumerate(rest) if re.fullmatch(r"recipes/\w+\.py", word)), None)
    if program in LAUNCHERS and script is not None:
        named = [rest[script], *_values(rest[:script], "--config_file")]
        missing = [name for name in named if not (ROOT / name).is_file()]
        return missing[0] if missing else _unread(_recipe_parser(""), rest[script + 1 :])
    if program in LAUNCHERS:
        files = [word for word in rest if re.fullmatch(r"(tests|docs|recipes|hftrain)/.*\.(py|yaml)", word)]
        return next((word for word in files if not (ROOT / word).exists()), None)
    return None if program in OTHERS else program


def _values(words: list[str], option: str) -> list[str]:
    return [words[place + 1] for place, word in enumerate(words[:-1]) if word == option]


def _unread(parser: Any, words: list[str]) -> str | None:
    """What argparse cannot read of the words."""
    told: list[str] = []

    def tell(message: str) -> None:
        told.append(message)
        raise ValueError(message)

    for each in [parser, *_below(parser)]:
        each.error = tell
    try:
        parser.parse_args(words)
    except ValueError:
        return told[0]
    except SystemExit:  # --help, --version
        return None
    return None


def _below(parser: Any) -> list[Any]:
    return [sub for action in parser._actions if isinstance(action.choices, dict) for sub in action.choices.values()]


def test_each_command_is_one_that_there_is(page_with_commands: Any) -> None:
    found = commands_of(page_with_commands)
    wrong = [(command.where, wrong) for command in found if (wrong := mistake_in(command)) is not None]
    assert not wrong


@pytest.mark.parametrize(
    "line",
    [
        "make nowhere",
        "hftrain serve runs/tiny --prot 80",
        "python recipes/ppo.py --confg x.yaml",
        "python recipes/nowhere.py",
        "accelerate launch --config_file recipes/accelerate/nowhere.yaml recipes/sft.py",
        "pip install 'hftrain[nowhere]'",
        "nowhere --help",
    ],
)
def test_a_command_that_there_is_not_is_found(line: str, as_page: Callable[[str], Any]) -> None:
    (command,) = commands_of(as_page(f"```console\n$ {line}   # takes minutes\n```\n"))
    assert mistake_in(command) is not None


def complaint(command: Command, folder: Path, surroundings: dict[str, str]) -> str | None:
    """What went otherwise than the page says, when the command was run."""
    words = ["bash", "-c", command.line]
    done = subprocess.run(words, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=LONGEST_SECONDS)
    told = " ".join((done.stdout + done.stderr).split())
    shown = " ".join(command.shown[at:].split()) if (at := command.shown.find("error:")) >= 0 else ""
    if bool(done.returncode) != bool(shown):
        return f"exit code {done.returncode}: {told[-1500:]}"
    missing = [part for part in shown.split("…") if part.strip() not in told]
    return f"does not say {missing[0]!r}: {told[-1500:]}" if missing else None


@pytest.mark.slow
def test_each_command_runs_as_the_page_says(
    page_with_commands: Any, workshop: Path, surroundings: dict[str, str]
) -> None:
    ran = [command for command in commands_of(page_with_commands) if command.is_run]
    wrong = [
        (command.where, said) for command in ran if (said := complaint(command, workshop, surroundings)) is not None
    ]
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["$ hftrain verify runs/nowhere\n", "$ hftrain --version\nerror: something\n", "$ ls nowhere\nerror: no\n"]
)
def test_a_command_that_goes_otherwise_is_found(
    text: str, as_page: Callable[[str], Any], tmp_path: Path, surroundings: dict[str, str]
) -> None:
    (command,) = commands_of(as_page(f"```console\n{text}```\n"))
    assert complaint(command, tmp_path, surroundings) is not None
