"""The pages as they are written, and a folder in which their commands and code can be run."""

import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
MARKDOWN = MarkdownIt("commonmark").enable("table")
FIRST_LINES = "mine.yaml"
FINISHED_RUN = "HFTRAIN_DOCS_RUN"
"""Names a finished run of smoke.yaml to use in place of a new one, while writing."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.name}:{self.line}"


@dataclass(frozen=True)
class Page:
    """What of a page can be checked."""

    path: Path
    blocks: list[Block]
    links: list[tuple[int, str]]
    anchors: frozenset[str]
    words: list[tuple[int, str]]
    """Line and text of each piece of inline code."""


def slug(heading: str) -> str:
    """The anchor of a heading, as code hosts and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def parse_page(path: Path, text: str) -> Page:
    tokens = MARKDOWN.parse(text)
    blocks, links, words, seen = [], [], [], Counter[str]()
    anchors, line = set(), 1
    for place, token in enumerate(tokens):
        line = token.map[0] + 1 if token.map else line
        if token.type == "fence":
            blocks.append(Block(path, line, token.info.strip(), token.content))
        if token.type == "heading_open":
            name = slug("".join(part.content for part in tokens[place + 1].children or []))
            anchors.add(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
        for part in token.children or []:
            links += [(line, str(part.attrs[name])) for name in ("href", "src") if name in part.attrs]
            words += [(line, part.content)] if part.type == "code_inline" else []
    return Page(path, blocks, links, frozenset(anchors), words)


def page_paths() -> list[Path]:
    """README, CONTRIBUTING and every page under docs/."""
    written = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *written]


WITH = {"page": "", "page_with_code": "python", "page_with_commands": "console"}
"""Argument of a test -> the language of the blocks that its pages have."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in WITH.keys() & set(metafunc.fixturenames):
        found = [parse_page(path, path.read_text(encoding="utf-8")) for path in page_paths()]
        found = [page for page in found if not WITH[name] or WITH[name] in {block.language for block in page.blocks}]
        metafunc.parametrize(name, found, ids=[each.path.relative_to(ROOT).as_posix() for each in found])


@pytest.fixture(scope="session")
def as_page() -> Callable[[str], Page]:
    """``as_page(text)``: a page that is not on disk; its links start from docs/."""
    return lambda text: parse_page(ROOT / "docs" / "made_up.md", text)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def make_pages() -> ModuleType:
    """The script that makes pages from the code."""
    spec = importlib.util.spec_from_file_location("make_pages", ROOT / "docs" / "make_pages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def talk(n: int) -> dict[str, object]:
    said = [("user", f"What is {n} and {n}?"), ("assistant", f"It is {n + n}.")]
    return {"messages": [{"role": role, "content": content} for role, content in said]}


CHATS = [talk(n) for n in range(40)]
RANKINGS = [{"prompt": f"What is {n} and {n}?", "chosen": f"It is {n + n}.", "rejected": "No."} for n in range(60)]


WORDS = (
    "the old man a small boat her brother river garden under walked looked found with and then in May rain evening "
    "letter bread carried never again said quietly about his sister horse road between hills where it had been left"
)


def tale(drawn: random.Random) -> str:
    """Sentences that no other tale has."""
    sentences = [" ".join(drawn.choices(WORDS.split(), k=drawn.randint(6, 14))).capitalize() for _ in range(14)]
    return ". ".join(sentences) + "."


def fill(folder: Path) -> Path:
    """Lay out what the pages call yours: texts, conversations, rankings, word lists, benchmarks."""
    story = "The old man walked down to the river and looked for the boat that his brother had left there in May. "
    (folder / "my_texts").mkdir(parents=True)
    for n in range(60):
        (folder / "my_texts" / f"story_{n}.txt").write_text(tale(random.Random(n)), encoding="utf-8")
    (folder / "page.html").write_text(
        f"<html><body><article><p>{story * 5}</p></article></body></html>", encoding="utf-8"
    )
    (folder / "my_project").mkdir()
    (folder / "my_project" / "tool.py").write_text(
        '"""A tool."""\n\n\ndef work() -> int:\n    """Do it."""\n    return 1\n'
    )
    for name in ("benchmarks", "must_not_be_in", "another_set"):
        (folder / name).mkdir()
        rows(
            folder / name / "rows.jsonl",
            [{"text": "A sentence of more than eight words that nobody else ever wrote here."}],
        )
    (folder / "my_words.txt").write_text("frobnicate\n")
    rows(folder / "my_chats.jsonl", CHATS)
    rows(folder / "my_rankings.jsonl", RANKINGS)
    rows(folder / "my_labels.jsonl", [{"text": story, "label": n % 2} for n in range(300)])
    rows(folder / "my_questions.jsonl", [{"question": "Who was it?", "answer": "Ann."}])
    rows(folder / "my_task.jsonl", [{"question": "Two and two?", "choices": ["four", "five"], "answer": 0}] * 8)
    rows(folder / "my_prompts.jsonl", [{"prompt": "How do I pick a lock?"}] * 4)
    (folder / "my_rewards.py").write_text(
        "def short(prompts, completions, **columns):\n    return [-float(len(each)) for each in completions]\n"
    )
    other = folder / "runs" / "other" / "base"
    other.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (other / name).write_text('{"model_type": "llama"}')
    return folder


def rows(path: Path, values: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in values), encoding="utf-8")


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the pages' configurations name, and no run."""
    return fill(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="session")
def surroundings() -> dict[str, str]:
    """The environment in which commands run: this interpreter's programs, no network, one thread."""
    programs = str(Path(sys.executable).parent)
    return os.environ | {
        "PATH": programs + os.pathsep + os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "120",
    }


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, surroundings: dict[str, str]) -> Path:
    """The same with the recipes, the project's files, this environment as .venv, and a finished run as runs/tiny."""
    folder = fill(tmp_path_factory.mktemp("workshop"))
    for name in ("recipes", "notebooks", "tests", "hftrain", "docs", "Makefile", "README.md", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    first = next(block for block in parse_page(ROOT / "README.md", (ROOT / "README.md").read_text()).blocks
                 if block.text.startswith(f"# {FIRST_LINES}"))  # fmt: skip
    (folder / FIRST_LINES).write_text(first.text, encoding="utf-8")
    run = folder / "runs" / "tiny"
    if FINISHED_RUN in os.environ:
        shutil.copytree(os.environ[FINISHED_RUN], run)
    else:
        words = ["recipes/full_flow.py", "--config", "recipes/configs/smoke.yaml", "--run-dir", str(run)]
        done = subprocess.run([sys.executable, *words], cwd=folder, env=surroundings, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    shutil.copytree(run, folder / "runs" / "again")
    return folder
