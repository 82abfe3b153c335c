"""A model with an adapter folded in, that shares with its base in memory what the adapter leaves as it is."""

from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel

from hftrain.models.adapters import _without_notices as without_notices
from hftrain.models.loading import load_causal_lm


def load_adapted(base: Path, adapter: Path, beside: PreTrainedModel | None = None) -> tuple[PreTrainedModel, int]:
    """The base's model with an adapter merged in, and the bytes of memory that it alone takes.

    Args:
        base: The model that the adapter was trained on.
        adapter: Its folder.
        beside: The base's model where it is in memory already: what the two have alike is kept once.
    """
    model = load_causal_lm(base)
    model.name_or_path = ""
    with without_notices():
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    known = dict(beside.named_parameters()) if beside is not None else {}
    own_bytes = 0
    for name, parameter in merged.named_parameters():
        same = known.get(name)
        if same is not None and same.shape == parameter.shape and bool((same == parameter).all()):
            parameter.data = same.data
        else:
            own_bytes += parameter.numel() * parameter.element_size()
    return merged.eval(), own_bytes
