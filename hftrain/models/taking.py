"""The files of a model, beside what is told of how it came to be."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

NAMES = (
    "config.json",
    "generation_config.json",
    "chat_template.jinja",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


def model_files(folder: Path) -> Iterator[Path]:
    """What transformers reads of a model's folder."""
    yield from (path for name in NAMES if (path := folder / name).is_file())
    yield from sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))


def take_files(folder: Path, out: Path) -> None:
    """Give ``out`` the model of ``folder``."""
    for path in model_files(folder):
        link_or_copy(path, out / path.name)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """The same file under a second name; a copy where the file system has one name for each, or is another one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
