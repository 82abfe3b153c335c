"""A model's shape: how many parameters it has, by formula, and which shape comes nearest to a wished number.

Nothing here imports torch: a configuration is checked and a run planned with it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hftrain.errors import ConfigError

WIDTH_PER_LAYER = 64
"""A model this many times as wide as it is deep: nanochat's shape (and GPT-2 small's, 768 by 12). Loss hardly depends
on the shape (Kaplan et al. 2020, arXiv:2001.08361, section 3.1), and few large matrix products suit a CPU."""

FEWEST_LAYERS = 2
"""Below it attention cannot compose: induction takes two layers (Olsson et al. 2022, arXiv:2209.11895)."""

MLP_RATIO = 8 / 3
"""Width of a gated MLP by the model's width: as many parameters as an ungated one of 4 (Shazeer 2020,
arXiv:2002.05202)."""

TILE = 64
"""Sides of matrices come in multiples of it where they can: bitsandbytes' nf4 reads no others on a CPU, and Muon takes
neurons and heads in such blocks."""

SIZE_TOLERANCE = 0.10
"""How far a model may lie from the number of parameters that was asked for."""

WIDEST, DEEPEST = 16_384, 160


@dataclass(frozen=True)
class Names:
    """What one model type calls the parts of a shape."""

    width: str = "hidden_size"
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    mlp: str = "intermediate_size"
    context: str = "max_position_embeddings"


NAMES: Mapping[str, Names] = {
    "llama": Names(),
    "qwen3": Names(),
    "lfm2": Names(),
    "modernbert": Names(),
    "gpt2": Names("n_embd", "n_layer", "n_head", "n_inner", "n_positions"),
}
"""The model types whose shape follows from a size."""

ROTARY: Mapping[str, Any] = {"rope_type": "default", "rope_theta": 10_000.0}
"""What llama and qwen3 have; LFM2's own base, a million, is meant for contexts of 32,768 tokens."""

OBJECTIVES: Mapping[str, tuple[str, ...]] = {
    "next_token": ("llama", "qwen3", "lfm2", "gpt2"),
    "masked_words": ("modernbert",),
}
"""What a model is trained for -> the types that serve it, the usual one first."""

WITHOUT_SCORES = frozenset({"lfm2"})
"""Those of them that upstream has no AutoModelForSequenceClassification for: no reward model can be made of them."""

Count = Callable[[int, int, int], int]


def names_of(model_type: str, objective: str) -> Names:
    """The names of a type's shape.

    Raises:
        ConfigError: The objective is unknown, or no shape of this type is derived for it.
    """
    if objective not in OBJECTIVES:
        raise ConfigError(f"pretrain.objective: {objective!r}. One of {', '.join(OBJECTIVES)} is needed. Correct it.")
    if model_type not in OBJECTIVES[objective]:
        raise ConfigError(
            f"pretrain.model.model_type: {model_type!r}; for {objective} a size is turned into a shape for "
            f"{', '.join(OBJECTIVES[objective])}. Take one of these, or remove pretrain.size and describe the "
            "model in full."
        )
    return NAMES[model_type]


def parameters_of(settings: Mapping[str, Any], *, vocab_size: int, context_tokens: int) -> int:
    """Parameters of a model that these settings describe, a table shared by input and output counted once.

    With V tokens, width d, L layers, h heads of size k, g heads of keys and values, MLP width f and context T:

        llama       V d + L (d k (2 h + 2 g) + 3 d f + 2 d) + d
        qwen3       the same and 2 k a layer, for the norms of queries and keys
        lfm2        a layer of attention as qwen3's; one of convolution with K taps 4 d^2 + K d + 3 d f + 2 d
        gpt2        V d + T d + L (4 d^2 + 2 d f + f + 9 d) + 2 d
        modernbert  V d + V + L (4 d^2 + 3 d f + 2 d) + d^2 + 2 d

    An output table of its own adds V d.
    """
    names = NAMES[settings["model_type"]]
    width, layers = settings[names.width], settings[names.layers]
    table, context = settings.get("vocab_size", vocab_size), settings.get(names.context, context_tokens)
    own_output = 0 if settings.get("tie_word_embeddings", True) else table * width
    heads = settings[names.heads]
    head = settings.get("head_dim") or width // heads
    kv_heads = settings.get("num_key_value_heads") or heads
    if settings["model_type"] == "gpt2":
        mlp = settings.get(names.mlp) or 4 * width
        layer = 4 * width**2 + 2 * width * mlp + mlp + 9 * width
        return table * width + context * width + layers * layer + 2 * width + own_output
    mlp = settings[names.mlp]
    if settings["model_type"] == "modernbert":
        layer = 4 * width**2 + 3 * width * mlp + 2 * width
        return table * width + table + layers * layer + width**2 + 2 * width + own_output
    layer = width * head * (2 * heads + 2 * kv_heads) + 3 * width * mlp + 2 * width
    norms = 2 * head if settings["model_type"] in ("qwen3", "lfm2") else 0
    if settings["model_type"] == "lfm2":
        mixing = settings.get("conv_L_cache", 3)
        convolution = 4 * width**2 + mixing * width + 3 * width * mlp + 2 * width
        kinds = settings.get("layer_types")
        attending = kinds.count("full_attention") if kinds else sum(at < layers for at in settings["full_attn_idxs"])
        of_layers = attending * (layer + norms) + (layers - attending) * convolution
        return table * width + of_layers + width + own_output
    return table * width + layers * (layer + norms) + width + own_output


def settings_for(model_type: str, width: int, layers: int) -> dict[str, Any]:
    """A model of this type, width and depth by upstream's names; table and context are left out."""
    names = NAMES[model_type]
    heads = width // head_size(width)
    settings: dict[str, Any] = {"model_type": model_type, names.width: width, names.layers: layers, names.heads: heads}
    settings["tie_word_embeddings"] = True
    if model_type == "gpt2":
        return settings
    tile = math.gcd(width, TILE)
    settings[names.mlp] = max(tile, round(MLP_RATIO * width / tile) * tile)
    if model_type == "modernbert":
        settings["sparse_prediction"] = True  # logits of the masked tokens alone: the others have no loss
        return settings
    settings["num_key_value_heads"] = heads
    if model_type == "qwen3":
        settings["head_dim"] = head_size(width)
    if model_type == "lfm2":
        settings["full_attn_idxs"] = attending_layers(layers)
        settings |= {"block_auto_adjust_ff_dim": False, "rope_parameters": dict(ROTARY)}
    return settings


def attending_layers(layers: int) -> list[int]:
    """Of lfm2's layers, those that attend: every third, from the third on; the last where there are fewer.

    Six of sixteen do in the smallest published one (Liquid AI 2025, arXiv:2511.23404).
    """
    return list(range(2, layers, 3)) or [layers - 1]


def head_size(width: int) -> int:
    """Width of one head: 64 from a width of 384 on, 32 below; the largest power of two that divides an odd width."""
    wished = 64 if width >= 384 else 32
    return math.gcd(width, wished)


def nearest_shape(
    model_type: str,
    parameters: int,
    *,
    vocab_size: int,
    context_of: Callable[[int], int],
    width: int | None = None,
    layers: int | None = None,
) -> dict[str, Any]:
    """The settings whose parameters come near to a number, and whose shape comes near to `WIDTH_PER_LAYER`.

    Of all widths and depths that lie within `SIZE_TOLERANCE`, the one with the least
    ``|log2(depth / wished depth)| + 4 |log2(parameters / asked)|``, where the wished depth is width / 64, at least 2;
    a width that is no multiple of `TILE` only where no other comes as near.
    A width or a depth that is given stays; where both or the given one leave no such model, the nearest is taken.

    Args:
        model_type: One of `NAMES`.
        parameters: The number that is wished for.
        vocab_size: Tokens in the table.
        context_of: Width -> context, in tokens.
        width: The width, where it is settled.
        layers: The depth, where it is settled.

    Raises:
        ConfigError: The table alone has more parameters than were asked for.
    """
    settled = width is not None or layers is not None
    best: tuple[float, dict[str, Any]] | None = None
    for each in [width] if width is not None else _widths():
        if not settled and best is not None and vocab_size * each > parameters * (1 + SIZE_TOLERANCE):
            break
        for depth in [layers] if layers is not None else range(1, DEEPEST + 1):
            settings = settings_for(model_type, each, depth)
            made = parameters_of(settings, vocab_size=vocab_size, context_tokens=context_of(each))
            off = abs(made / parameters - 1)
            if off > SIZE_TOLERANCE and not settled:
                if made > parameters:
                    break
                continue
            wished = max(FEWEST_LAYERS, each / WIDTH_PER_LAYER)
            score = abs(math.log2(depth / wished)) + (4 if not settled else 400) * abs(math.log2(made / parameters))
            score += 100 * bool(each % TILE)
            if best is None or score < best[0]:
                best = score, settings
    if best is None:
        raise ConfigError(_too_large_a_table(parameters, vocab_size))
    return best[1]


def _too_large_a_table(parameters: int, vocab_size: int) -> str:
    return (
        f"pretrain.size: {parameters:,} parameters, but the tokenizer has {vocab_size:,} tokens, and a table of them "
        f"{min(_widths())} wide and one layer have more. A vocabulary of at most about "
        f"{max(0, parameters - 20_000) // min(_widths()):,} tokens is needed. Lower train_tokenizer.vocab_size, or "
        "raise pretrain.size."
    )


def _widths() -> Iterator[int]:
    """32, 64 ... 384, then in steps of 64, and of 128 from 1024 on: whole heads, and tiles that hardware likes."""
    width = 32
    while width <= WIDEST:
        yield width
        width += 32 if width < 384 else 64 if width < 1024 else 128
