"""The models of a run, opened one after the other; exported ones too."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from hftrain.errors import ArtifactError
from hftrain.evaluation.benchmarks import Asked, asked_of
from hftrain.files import read_json
from hftrain.models.loading import load_causal_lm
from hftrain.models.quantized_base import drop_notices
from hftrain.tokens.chat import load_tokenizer

PLAIN = "safetensors"
"""The exported format whose tokenizer stands for all: a GGUF file holds its own in a form of its own."""
TOKENIZER = "tokenizer.json"

drop_notices()


def each_model(folders: Mapping[str, Path]) -> Iterator[Asked]:
    """Open each model in turn; one at a time is in memory.

    Raises:
        ArtifactError: A folder holds no model that can be asked.
    """
    for name, folder in folders.items():
        words = folder if (folder / TOKENIZER).is_file() else folder.with_name(PLAIN)
        yield asked_of(name, words, load(folder), load_tokenizer(words))


def exported(export: Path) -> dict[str, Path]:
    """The formats of an export that transformers opens, by name: full precision is the policy itself and left out.

    GGUF files need the package ``gguf``; without it they are left out too.
    """
    return {
        f"export {folder.name}": folder
        for folder in sorted(path for path in export.iterdir() if path.is_dir())
        if folder.name != PLAIN and _opens(folder)
    }


def load(folder: Path) -> PreTrainedModel:
    """The model of a folder in fp32; of a quantized format, as that format computes.

    Raises:
        ArtifactError: The folder holds no model that transformers opens.
    """
    files = sorted(folder.glob("*.gguf"))
    if files:
        made = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=files[0].name, dtype=torch.float32, local_files_only=True, trust_remote_code=False
        )
        return made.eval()
    if not (folder / "config.json").is_file():
        raise ArtifactError(f"{folder}: holds no config.json. Name the folder of a model.")
    if "quantization_config" in read_json(folder / "config.json"):
        # Such a model stands where it was loaded: it cannot be moved.
        made = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False
        )
        return made.eval()
    return load_causal_lm(folder)


def _opens(folder: Path) -> bool:
    has_reader = find_spec("gguf") is not None
    return (folder / "config.json").is_file() or (has_reader and any(folder.glob("*.gguf")))
