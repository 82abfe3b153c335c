"""A training step that does less on a processor: the loss without a table of all logits, layers in fewer passes.

Upstream's forward makes logits of every position at once (T x V numbers, several times over with softmax and
gradient): for 4,096 tokens and as many words 64 MiB each time, more than a processor's caches hold. Here logits are
made for some positions at a time, and what the backward pass needs of them is computed while they are at hand.

What a model computes is unchanged: the same loss and gradients up to rounding, the same weights in the same places.
On a GPU nothing is changed; upstream's ``use_liger_kernel`` does the same there.

Shape legend: T positions, D width, V vocabulary, B rows, H heads, L tokens in a row, C width of a head, K taps of a
convolution; in the loss, positions that count.
"""

import functools
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from hftrain.tokens.lens import IGNORED

CHUNK_LOGITS = 2**22
"""Logits that are at hand at once: 16 MiB in fp32. A step takes 2 to 4 % longer with a quarter, as long with twice as
many."""

SURE = 1e-30
"""A probability below is not taken from softmax, which may have rounded it to 0."""

CHUNKED_TYPES = frozenset({"llama", "qwen3", "lfm2", "gpt2"})
"""Model types whose logits are the output table times the last hidden state, with nothing after it."""

NORMS = frozenset({"LlamaRMSNorm", "Qwen3RMSNorm", "Lfm2RMSNorm"})
ATTENTIONS = frozenset({"LlamaAttention", "Qwen3Attention", "Lfm2Attention"})
CONVOLUTIONS = frozenset({"Lfm2ShortConv"})


def lighten(model: PreTrainedModel) -> bool:
    """Let a model train with fewer operations, where its type is one that this is known to be right for.

    Parameters and files do not change, nor does a call without ``labels``.

    Returns:
        Whether it does.
    """
    if model.device.type != "cpu" or model.dtype != torch.float32 or model.config.model_type not in CHUNKED_TYPES:
        return False
    plain = model.forward
    model.forward = functools.wraps(plain)(functools.partial(_forward, model, plain))
    for module in model.modules():
        if type(module).__name__ in NORMS:
            module.forward = functools.partial(_normalized, module)
        elif type(module).__name__ in ATTENTIONS:
            module.forward = types.MethodType(_naming(type(module).forward, apply_rotary_pos_emb=_rotated), module)
        elif type(module).__name__ in CONVOLUTIONS and not module.bias:
            module.forward = functools.partial(_convolved, module, module.forward)
    return True


def _forward(
    model: PreTrainedModel,
    plain: Callable[..., Any],
    *args: Any,
    labels: Tensor | None = None,
    num_items_in_batch: Tensor | int | None = None,
    **kwargs: Any,
) -> Any:
    """Upstream's forward, or with labels the loss alone: mean over them, or their sum over ``num_items_in_batch``."""
    if labels is None or not model.training:
        return plain(*args, labels=labels, num_items_in_batch=num_items_in_batch, **kwargs)
    hidden_BLD = model.base_model(*args, **kwargs).last_hidden_state
    hidden_TD = hidden_BLD[:, :-1].reshape(-1, hidden_BLD.shape[-1])
    labels_T = labels[:, 1:].reshape(-1)
    table_VD = model.get_output_embeddings().weight
    nats = ChunkedCrossEntropy.apply(hidden_TD, table_VD, labels_T)  # type: ignore[no-untyped-call]
    counted = num_items_in_batch if num_items_in_batch is not None else (labels_T != IGNORED).sum()
    return CausalLMOutputWithPast(loss=nats / counted)


class ChunkedCrossEntropy(torch.autograd.Function):
    """Sum in nats of the cross entropies of all positions, whose logits are ``hidden_TD @ table_VD.T``.

    Labels (T,) of -100 count nothing, and cost nothing. Of logits z, softmax p and label y the loss is -log p[y], its
    gradient by z is p - onehot(y); both are made while a part of the logits is at hand.
    """

    @staticmethod
    def forward(ctx: Any, hidden_TD: Tensor, table_VD: Tensor, labels_T: Tensor) -> Tensor:
        """The sum. Both gradients are computed here too."""
        places_K = (labels_T != IGNORED).nonzero().flatten()
        is_whole = len(places_K) == len(labels_T)
        hidden_KD, labels_K = (hidden_TD, labels_T) if is_whole else (hidden_TD[places_K], labels_T[places_K])
        rows = max(1, CHUNK_LOGITS // len(table_VD))
        logits_RV, shares_RV = (hidden_KD.new_empty(min(rows, len(hidden_KD)), len(table_VD)) for _ in range(2))
        of_hidden_KD, of_table_VD = torch.empty_like(hidden_KD), torch.zeros_like(table_VD)
        nats = hidden_TD.new_zeros(())
        for first in range(0, len(hidden_KD), rows):
            part = slice(first, first + rows)
            hidden, labels = hidden_KD[part], labels_K[part, None]
            logits, shares = logits_RV[: len(hidden)], shares_RV[: len(hidden)]
            torch.mm(hidden, table_VD.t(), out=logits)
            torch.softmax(logits, -1, out=shares)
            nats += _surprise(logits, shares, labels).sum()
            shares.scatter_add_(1, labels, torch.full_like(hidden[:, :1], -1))
            torch.mm(shares, table_VD, out=of_hidden_KD[part])
            of_table_VD.addmm_(shares.t(), hidden)
        of_hidden_TD = of_hidden_KD if is_whole else torch.zeros_like(hidden_TD).index_copy_(0, places_K, of_hidden_KD)
        ctx.save_for_backward(of_hidden_TD, of_table_VD)
        return nats

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """What forward computed, times the gradient of the sum."""
        of_hidden_TD, of_table_VD = ctx.saved_tensors
        return of_hidden_TD * gradients[0], of_table_VD * gradients[0], None


def _surprise(logits_RV: Tensor, shares_RV: Tensor, labels_R1: Tensor) -> Tensor:
    """-log of each label's share. Shape (R, 1)."""
    shares = shares_RV.gather(1, labels_R1)
    surprise = -shares.log()
    unsure = shares[:, 0] < SURE
    if unsure.any():
        logits, labels = logits_RV[unsure], labels_R1[unsure]
        surprise[unsure] = logits.logsumexp(-1, keepdim=True) - logits.gather(1, labels)
    return surprise


class RootMeanSquareNorm(torch.autograd.Function):
    """y = w x / sqrt(mean(x^2) + eps) over the last axis: fewer passes over memory than upstream's.

    With n = x r, r = 1 / sqrt(mean(x^2) + eps), and g the gradient of y: dx = r (w g - n mean(w g n)), dw = sum(g n).

    Source: Zhang and Sennrich 2019, arXiv:1910.07467.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_D: Tensor, eps: float) -> Tensor:
        """The normalised vectors, in the shape of ``x``: (..., D)."""
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight_D, scale)
        return (x * scale).mul_(weight_D)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """By ``x`` and by the weight."""
        x, weight_D, scale = ctx.saved_tensors
        width = x.shape[-1]
        normal = x * scale
        product = normal * gradients[0]
        of_weight_D = product.reshape(-1, width).sum(0)
        along = (product @ weight_D).unsqueeze(-1)
        of_x = (gradients[0] * weight_D).addcmul_(normal, along, value=-1 / width).mul_(scale)
        return of_x, of_weight_D, None


def _normalized(module: nn.Module, hidden: Tensor) -> Any:
    return RootMeanSquareNorm.apply(hidden, module.weight, module.variance_epsilon)  # type: ignore[no-untyped-call]


class Rotation(torch.autograd.Function):
    """Rotary positions: fewer passes over memory than upstream's, forward and back.

    Channel c of the first half turns with channel c of the second: (x1 cos - x2 sin, x2 cos + x1 sin); the gradient
    turns the other way.

    Source: Su et al. 2021, arXiv:2104.09864, with the pairing of channels that transformers has.
    """

    @staticmethod
    def forward(ctx: Any, x_BHLC: Tensor, cos_BLC: Tensor, sin_BLC: Tensor) -> Tensor:
        """The turned vectors. Shape (B, H, L, C)."""
        ctx.save_for_backward(cos_BLC, sin_BLC)
        return _turned(x_BHLC, cos_BLC, sin_BLC, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """By ``x_BHLC``."""
        cos_BLC, sin_BLC = ctx.saved_tensors
        return _turned(gradients[0], cos_BLC, sin_BLC, -1), None, None


def _turned(x_BHLC: Tensor, cos_BLC: Tensor, sin_BLC: Tensor, direction: int) -> Tensor:
    half = x_BHLC.shape[-1] // 2
    cos, sin = cos_BLC[:, None, :, :half], sin_BLC[:, None, :, :half]  # both halves hold the same angles
    turned = torch.empty_like(x_BHLC)
    first, second = x_BHLC[..., :half], x_BHLC[..., half:]
    torch.mul(first, cos, out=turned[..., :half]).addcmul_(second, sin, value=-direction)
    torch.mul(second, cos, out=turned[..., half:]).addcmul_(first, sin, value=direction)
    return turned


def _rotated(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Any, ...]:
    """What upstream's ``apply_rotary_pos_emb`` returns."""
    return tuple(Rotation.apply(each, cos, sin) for each in (query, key))  # type: ignore[no-untyped-call]


class GatedConvolution(torch.autograd.Function):
    """LFM2's mixing of neighbours: z = c * (taps over b * x), with b, c and x beside each other in ``parts_BLE``.

    Upstream transposes and calls a convolution with a group a channel, which processors run slowly. Each tap is a
    product of what came so many tokens earlier here; the gradient by ``b * x`` takes the same taps backwards.

    Source: Liquid AI 2025, arXiv:2511.23404, the gated short convolution.
    """

    @staticmethod
    def forward(ctx: Any, parts_BLE: Tensor, taps_DK: Tensor) -> Tensor:
        """What is mixed. Shape (B, L, D) from (B, L, 3 D); the last tap is the token's own."""
        before, after, value = parts_BLE.chunk(3, -1)
        gated = before * value
        mixed = _mixed(gated, taps_DK, 1)
        ctx.save_for_backward(parts_BLE, taps_DK, gated, mixed)
        return after * mixed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """By the parts and by the taps."""
        parts_BLE, taps_DK, gated, mixed = ctx.saved_tensors
        before, after, value = parts_BLE.chunk(3, -1)
        of_parts_BLE, of_taps_DK = torch.empty_like(parts_BLE), torch.empty_like(taps_DK)
        of_before, of_after, of_value = of_parts_BLE.chunk(3, -1)
        torch.mul(gradients[0], mixed, out=of_after)
        of_mixed = gradients[0] * after
        of_gated = _mixed(of_mixed, taps_DK, -1)
        torch.mul(of_gated, value, out=of_before)
        torch.mul(of_gated, before, out=of_value)
        length, taps = gated.shape[1], taps_DK.shape[1]
        for lag in range(taps):
            of_taps_DK[:, taps - 1 - lag] = (of_mixed[:, lag:] * gated[:, : max(0, length - lag)]).sum((0, 1))
        return of_parts_BLE, of_taps_DK


def _mixed(gated_BLD: Tensor, taps_DK: Tensor, direction: int) -> Tensor:
    """The taps over what came before (1) or what comes after (-1). Shape (B, L, D)."""
    length, taps = gated_BLD.shape[1], taps_DK.shape[1]
    mixed = gated_BLD * taps_DK[:, -1]
    for lag in range(1, min(taps, length)):
        early, late = slice(0, length - lag), slice(lag, length)
        to, of = (late, early) if direction == 1 else (early, late)
        mixed[:, to].addcmul_(gated_BLD[:, of], taps_DK[:, taps - 1 - lag])
    return mixed


def _convolved(
    module: Any,
    plain: Callable[..., Tensor],
    hidden_states: Tensor,
    past_key_values: Any = None,
    attention_mask: Tensor | None = None,
    **kwargs: Any,
) -> Tensor:
    """Upstream's forward, or where nothing is padded and nothing kept for later the same in fewer passes."""
    if past_key_values is not None or attention_mask is not None:
        return plain(hidden_states, past_key_values=past_key_values, attention_mask=attention_mask, **kwargs)
    mixed = GatedConvolution.apply(module.in_proj(hidden_states), module.conv.weight[:, 0])  # type: ignore[no-untyped-call]
    made: Tensor = module.out_proj(mixed)
    return made


def _naming(function: types.FunctionType, **names: Any) -> types.FunctionType:
    """A function like another, in which some global names mean something else.

    Upstream's attention finds its rotation by a global name; giving that another meaning for all would change models
    that are not trained here.
    """
    missing = names.keys() - set(function.__code__.co_names)
    if missing:
        raise AttributeError(f"{function.__qualname__} does not use {', '.join(sorted(missing))}")
    made = types.FunctionType(
        function.__code__, {**function.__globals__, **names}, function.__name__, function.__defaults__
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made
