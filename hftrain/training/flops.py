"""How many floating-point operations training takes."""

from typing import Any

from hftrain.models.loading import parameter_count

ATTENDING = frozenset({"full_attention", "sliding_attention"})
"""Upstream's names of layers whose tokens are compared with each other; others (LFM2's convolutions) have none."""


def flops_per_token(model: Any, row_tokens: float) -> float:
    """Floating-point operations to train on one token: 6 N + 12 L A T.

    N counts the parameters that multiply (a table that only looks up does not), L layers that attend, A the
    attention's width (heads x their size), T tokens in a row. Two operations a multiplication: 2 N forward, 4 N
    backward; a frozen one (under an adapter) takes 4 in all, its own gradient being left out. Attention is counted in
    full: T x T scores a head, whether or not a causal mask hides half of them and whatever the kernel leaves out.
    Source: Chowdhery et al. 2022 (PaLM), arXiv:2204.02311, appendix B.

    Args:
        model: A transformers model.
        row_tokens: T; the mean where rows differ.
    """
    config = model.config
    layers = getattr(config, "num_hidden_layers", None) or config.n_layer
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * layers
    width = getattr(config, "hidden_size", None) or config.n_embd
    head = getattr(config, "head_dim", None)
    attention = head * config.num_attention_heads if head else width
    attending = sum(kind in ATTENDING for kind in kinds)
    frozen = sum(each.numel() for each in model.parameters() if not each.requires_grad)
    multiplied = parameter_count(model)
    if not getattr(config, "tie_word_embeddings", True):
        table = model.get_input_embeddings().weight
        multiplied -= table.numel()
        frozen -= 0 if table.requires_grad else table.numel()
    return float(6 * multiplied - 2 * frozen + 12 * attending * attention * row_tokens)
