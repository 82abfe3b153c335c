"""A model as transformers opens it: whole and sound, or refused in a sentence."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils.logging import get_verbosity, set_verbosity, set_verbosity_error

from hftrain.errors import ArtifactError
from hftrain.runtime import device

UNFIT = (
    ValueError, RuntimeError, LookupError, TypeError, AttributeError, ZeroDivisionError, SafetensorError,
    StrictDataclassError,
)  # fmt: skip
"""What transformers raises on a configuration or weights that are no model's."""


def load_as(auto: Any, folder: Path) -> PreTrainedModel:
    """The model in a folder as one of transformers' auto classes makes it, in fp32 on this device, in eval mode.

    Raises:
        ArtifactError: There is none, it is damaged or incomplete, or it holds what is no number.
    """
    if not (Path(folder) / "config.json").is_file():
        raise ArtifactError(f"{folder}: holds no config.json. Name the folder of a model.")
    try:
        with _own_words():
            model, told = auto.from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (*UNFIT, OSError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise
        raise ArtifactError(
            f"{folder}: {_said(problem)}. A whole model that transformers can load is needed. Name the folder of "
            "another model, or make this one anew."
        ) from problem
    _check_weights(model, told, folder)
    return model.to(device()).eval()


@contextlib.contextmanager
def _own_words() -> Iterator[None]:
    """Keep transformers from printing a table of what is missing: it is refused in a sentence."""
    before = get_verbosity()
    set_verbosity_error()
    try:
        yield
    finally:
        set_verbosity(before)


def _check_weights(model: PreTrainedModel, told: Mapping[str, Any], folder: Path) -> None:
    """Refuse a model of which a part is missing (transformers would draw it by chance) or is no number."""
    missing = sorted(told["missing_keys"])
    if missing:
        raise ArtifactError(
            f"{folder}: lacks {len(missing)} of its weights, such as {missing[0]}. All are needed: what is missing "
            "would be random. Name the folder of another model, or make this one anew."
        )
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
            count = int((~torch.isfinite(weight)).sum())
            raise ArtifactError(
                f"{folder}: {count:,} of the {weight.numel():,} numbers in {name} are NaN or infinite. A model that "
                "was trained to the end is needed. Name another, or make this one anew with a lower learning rate."
            )


def _said(problem: Exception) -> str:
    """What a library says, at a length that can be read."""
    return f"{' '.join(str(problem).split())[:300]} ({type(problem).__name__})"
