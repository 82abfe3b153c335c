"""A student that begins with what of its teacher fits into it: the layers, heads, neurons and directions that matter.

Layers are left out one after the other, each time the one without which some text surprises the teacher least. Of
heads and neurons those stay that add the most to the residual stream. Where the student is narrower, the stream is
turned to the axes along which it varies most, and the first of them are kept: with x the stream, D and K the widths,
Q (D, K) orthonormal, the student's stream is Q'x, its tables EQ, its matrices W diag(w) Q on the way in and Q'W on the
way out, w the weights of the norm before; the norms' own weights make up for the length that the stream loses.

Sources: Sanh et al. 2019 (DistilBERT), arXiv:1910.01108, for layers as a start; Ashkboos et al. 2024 (SliceGPT),
arXiv:2401.15024, for the rotation (theirs differs from layer to layer, which takes matrices of its own in between);
Muralidharan et al. 2024 (Minitron), arXiv:2407.14679, for heads and neurons by what they do to activations.

Shape legend: B rows, L tokens in a row, D the teacher's width, K the student's, H heads, C width of a head, F neurons.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

STARTABLE_TYPES = frozenset({"llama", "qwen3"})
"""Model types whose parts are named and shaped as they are taken here."""

LAYER_ROWS = 4
"""Rows that say which layers matter: the teacher reads them again for each choice."""

NO_LARGER = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
THE_SAME = ("model_type", "head_dim", "vocab_size", "hidden_act", "rope_parameters")


@dataclass(frozen=True)
class Taken:
    """What of the teacher a student began with."""

    layers: tuple[int, ...]
    """Numbers of the teacher's layers, in order."""
    heads: tuple[tuple[int, ...], ...]
    """Numbers of the heads of keys and values, for each layer."""
    neurons: int
    """How many of each MLP."""
    kept_share: float
    """Of the stream's squared length, within the directions that were kept."""


def start_problems(teacher: PreTrainedModel, student: PreTrainedModel) -> list[str]:
    """Why a student cannot begin with its teacher's weights; none where it can."""
    given, wanted = teacher.config, student.config
    found = []
    if given.model_type not in STARTABLE_TYPES:
        found.append(f"the teacher is a {given.model_type}; {' or '.join(sorted(STARTABLE_TYPES))} is needed")
    for name in THE_SAME:
        if _of(given, name) != _of(wanted, name):
            found.append(f"{name} is {_of(wanted, name)}, the teacher's {_of(given, name)}; they must agree")
    for name in NO_LARGER:
        if (_of(wanted, name) or 0) > (_of(given, name) or 0):
            found.append(f"{name} is {_of(wanted, name)}, the teacher's {_of(given, name)}; no more than that fits")
    if not found and _group(given) != _group(wanted):
        found.append(
            f"{_group(wanted)} heads share one of keys and values, the teacher's {_group(given)}; they must agree"
        )
    if any(parameter.ndim == 1 and name.endswith("_proj.bias") for name, parameter in teacher.named_parameters()):
        found.append("the teacher's matrices have biases; none are needed")
    return found


@torch.no_grad()
def start_from_teacher(teacher: PreTrainedModel, student: PreTrainedModel, input_ids: Tensor) -> Taken:
    """Give a student its teacher's weights, as far as they fit.

    Args:
        teacher: Left as it is.
        student: Filled; `start_problems` found none.
        input_ids: Text that shows what matters. Shape (B, L).
    """
    teacher.eval()
    source: Any = teacher
    layers = _layers_that_matter(teacher, input_ids[:LAYER_ROWS], student.config.num_hidden_layers)
    with _only_layers(teacher, layers):
        seen = _activations(teacher, input_ids)
    turn_DK, kept = _directions(seen, len(layers), student.config.hidden_size)
    target: Any = student
    _copy(target.model.embed_tokens.weight, source.model.embed_tokens.weight @ turn_DK)
    heads = []
    for place, number in enumerate(layers):
        heads.append(
            _fill_layer(source.model.layers[number], target.model.layers[place], seen, place, turn_DK, teacher.config)
        )
    width, narrow = turn_DK.shape
    stretch = _stretch(seen["stream", len(layers)], turn_DK)
    of_norm = source.model.norm.weight
    if student.config.tie_word_embeddings:
        along = of_norm if width == narrow else torch.einsum("dk,d,dk->k", turn_DK, of_norm, turn_DK)
        _copy(target.model.norm.weight, along * stretch)
    else:
        _copy(target.model.norm.weight, torch.full((narrow,), stretch))
        _copy(target.lm_head.weight, (source.lm_head.weight * of_norm) @ turn_DK)
    neurons = target.model.layers[0].mlp.down_proj.in_features
    return Taken(layers=tuple(layers), heads=tuple(heads), neurons=neurons, kept_share=kept)


def _fill_layer(source: Any, target: Any, seen: Mapping[Any, Tensor], place: int, turn_DK: Tensor, config: Any) -> Any:
    """One layer; returns which heads of keys and values it has."""
    size, group = _of(config, "head_dim"), _group(config)
    wanted = target.self_attn.k_proj.out_features // size
    groups = _strongest(seen["heads", place].reshape(-1, group).sum(1), wanted)
    of_queries = _rows_of([each * group + nth for each in groups for nth in range(group)], size)
    of_keys = _rows_of(groups, size)
    neurons = _strongest(seen["neurons", place], target.mlp.down_proj.in_features)
    before, between = source.input_layernorm.weight, source.post_attention_layernorm.weight
    for name, rows in (("q_proj", of_queries), ("k_proj", of_keys), ("v_proj", of_keys)):
        _copy(getattr(target.self_attn, name).weight, (getattr(source.self_attn, name).weight[rows] * before) @ turn_DK)
    _copy(target.self_attn.o_proj.weight, turn_DK.T @ source.self_attn.o_proj.weight[:, of_queries])
    for name in ("q_norm", "k_norm"):
        if hasattr(source.self_attn, name):
            _copy(getattr(target.self_attn, name).weight, getattr(source.self_attn, name).weight)
    for name in ("gate_proj", "up_proj"):
        _copy(getattr(target.mlp, name).weight, (getattr(source.mlp, name).weight[neurons] * between) @ turn_DK)
    _copy(target.mlp.down_proj.weight, turn_DK.T @ source.mlp.down_proj.weight[:, neurons])
    for name, stream in (("input_layernorm", "stream"), ("post_attention_layernorm", "between")):
        norm = getattr(target, name).weight
        _copy(norm, torch.full_like(norm, _stretch(seen[stream, place], turn_DK)))
    return tuple(groups)


def _layers_that_matter(teacher: PreTrainedModel, input_ids: Tensor, wanted: int) -> list[int]:
    """The layers that stay, when again and again the one is left out without which the text surprises least."""
    left = list(range(teacher.config.num_hidden_layers))
    while len(left) > wanted:
        surprises = []
        for number in left:
            with _only_layers(teacher, [each for each in left if each != number]):
                logits = teacher(input_ids=input_ids, use_cache=False).logits[:, :-1]
            surprises.append(cross_entropy(logits.flatten(0, 1), input_ids[:, 1:].flatten()).item())
        left.pop(surprises.index(min(surprises)))
    return left


@contextlib.contextmanager
def _only_layers(teacher: PreTrainedModel, numbers: list[int]) -> Iterator[None]:
    """The teacher with some of its layers, for a while."""
    body: Any = teacher.model
    every, count = body.layers, body.config.num_hidden_layers
    body.layers, body.config.num_hidden_layers = nn.ModuleList(every[number] for number in numbers), len(numbers)
    try:
        yield
    finally:
        body.layers, body.config.num_hidden_layers = every, count


def _activations(teacher: PreTrainedModel, input_ids: Tensor) -> dict[tuple[str, int], Tensor]:
    """What flows through a teacher, layer by layer.

    Returns:
        ``stream`` (D, D): second moments of the stream before each layer and at the end, each vector of length 1;
        ``between``: the same after attention; ``heads`` (H,): the squared length of what each adds; ``neurons`` (F,).
    """
    body: Any = teacher.model
    size = _of(teacher.config, "head_dim")
    seen: dict[tuple[str, int], Tensor] = {}
    handles = []

    def moments(name: str, place: int) -> Any:
        def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
            x = nn.functional.normalize(given[0].flatten(0, -2), dim=-1)
            seen[name, place] = x.T @ x / len(x)

        return look

    def strengths(name: str, place: int, width: int) -> Any:
        def look(module: Any, given: tuple[Tensor, ...]) -> None:
            """Squared length of W_h a_h for each block h of inputs: tr(W_h' W_h  E[a_h a_h'])."""
            blocks = given[0].reshape(given[0].shape[:-1].numel(), -1, width)
            matrix = module.weight.unflatten(-1, (-1, width))
            second = torch.einsum("nhc,nhe->hce", blocks, blocks) / len(blocks)
            seen[name, place] = torch.einsum("dhc,dhe,hce->h", matrix, matrix, second)

        return look

    for place, layer in enumerate(body.layers):
        handles += [
            layer.input_layernorm.register_forward_pre_hook(moments("stream", place)),
            layer.post_attention_layernorm.register_forward_pre_hook(moments("between", place)),
            layer.self_attn.o_proj.register_forward_pre_hook(strengths("heads", place, size)),
            layer.mlp.down_proj.register_forward_pre_hook(strengths("neurons", place, 1)),
        ]
    handles.append(body.norm.register_forward_pre_hook(moments("stream", len(body.layers))))
    try:
        teacher(input_ids=input_ids, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _directions(seen: Mapping[tuple[str, int], Tensor], layers: int, wanted: int) -> tuple[Tensor, float]:
    """The axes along which the stream varies most, shape (D, K), and their share of its squared length."""
    every = [seen["stream", place] for place in range(layers + 1)] + [seen["between", place] for place in range(layers)]
    mean = torch.stack(every).mean(0)
    if wanted == len(mean):
        return torch.eye(wanted, device=mean.device), 1.0
    # In fp64 and with the signs settled, so that the same text gives the same axes.
    lengths, axes = torch.linalg.eigh(mean.double())
    turn = axes[:, -wanted:].flip(-1)
    turn = turn * turn.gather(0, turn.abs().argmax(0, keepdim=True)).sign()
    return turn.to(mean.dtype), float(lengths[-wanted:].sum() / lengths.sum())


def _stretch(moments_DD: Tensor, turn_DK: Tensor) -> float:
    """Of normalised vectors, so that what follows sees them as long as in the teacher: sqrt(D / K kept share)."""
    width, narrow = turn_DK.shape
    if width == narrow:
        return 1.0
    kept = torch.einsum("dk,de,ek->", turn_DK, moments_DD, turn_DK) / moments_DD.trace()
    return float((width / narrow * kept).sqrt())


def _strongest(strength: Tensor, wanted: int) -> list[int]:
    """The numbers of the strongest, in order."""
    return sorted(strength.argsort(descending=True, stable=True)[:wanted].tolist())


def _rows_of(heads: list[int], size: int) -> list[int]:
    return [head * size + row for head in heads for row in range(size)]


def _copy(target: Tensor, source: Tensor) -> None:
    if target.shape != source.shape:
        raise AssertionError(f"{tuple(source.shape)} does not fit {tuple(target.shape)}")
    target.copy_(source)


def _of(config: Any, name: str) -> Any:
    if name == "head_dim":
        return getattr(config, name, None) or config.hidden_size // config.num_attention_heads
    return getattr(config, name, None)


def _group(config: Any) -> int:
    return int(config.num_attention_heads // (config.num_key_value_heads or config.num_attention_heads))
