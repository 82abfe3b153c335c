"""Muon for a model's matrices and AdamW for the rest of it, in one optimizer that Trainer resumes exactly.

``torch.optim.Muon`` orthogonalises in bfloat16, one matrix after the other; on a processor without bfloat16
arithmetic that takes a fifth of a training step. Here matrices of one shape are orthogonalised together, in batched
products of the dtype that they have.

Sources: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; the scale of an update is that page's,
sqrt(max(1, rows / columns)). AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from transformers import TrainingArguments
from transformers.pytorch_utils import Conv1D

from hftrain.errors import ConfigError

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of X <- a X + (b A + c A A) X with A = X X', by Jordan et al.: steep at 0, so that five steps serve."""

NEWTON_SCHULZ_STEPS = 5

ATTENTION_PARTS = {
    "q_proj": 0, "k_proj": 0, "v_proj": 0, "o_proj": 1, "out_proj": 1, "c_attn": 0, "c_proj": 1, "Wqkv": 0, "Wo": 1
}  # fmt: skip
MLP_PARTS = {
    "gate_proj": 0, "up_proj": 0, "down_proj": 1, "w1": 0, "w3": 0, "w2": 1, "in_proj": 0, "out_proj": 1,
    "c_fc": 0, "c_proj": 1, "Wi": 0, "Wo": 1,
}  # fmt: skip
"""Upstream's names of matrices, and the axis (of outputs x inputs) that heads or hidden neurons lie along."""

NEURONS_TOGETHER = 64
FEWEST_TOGETHER = 16

Form = tuple[bool, int | None, int | None]
"""How a matrix is stored: inputs first; axis and width of its blocks."""

SMALLEST_NORM = 1e-7

Group = dict[str, Any]


def orthogonalized(matrices_KMN: Tensor, *, steps: int = NEWTON_SCHULZ_STEPS) -> Tensor:
    """Each matrix with its singular values brought near 1, by Newton-Schulz steps.

    Args:
        matrices_KMN: K matrices of one shape, M x N; they are left as they are.
        steps: How many. After five all but the tiniest singular values lie between 0.7 and 1.2.

    Returns:
        Shape (K, M, N).
    """
    a, b, c = NEWTON_SCHULZ
    is_tall = matrices_KMN.shape[-2] > matrices_KMN.shape[-1]
    x = matrices_KMN.mT if is_tall else matrices_KMN
    x = (x / (x.norm(dim=(-2, -1), keepdim=True) + SMALLEST_NORM)).contiguous()
    for _ in range(steps):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x


def in_blocks(matrices_KMN: Tensor, axis: int | None, width: int | None, changed: Callable[[Tensor], Tensor]) -> Tensor:
    """``changed`` of each block of each matrix, put together again; of whole matrices where ``axis`` is None.

    The heads of an attention are separate maps that happen to be stored together: orthogonalised one by one they
    learn a little more. Neurons of an MLP in groups learn as much as all together. Both take a fraction of the
    operations (docs/lab.md).

    Args:
        matrices_KMN: K matrices, M x N.
        axis: Blocks lie along the rows (0) or the columns (1).
        width: Of a block.
        changed: From and to (K', M', N').
    """
    if axis is None or width is None:
        return changed(matrices_KMN)
    count, rows, columns = matrices_KMN.shape
    if axis == 0:
        return changed(matrices_KMN.reshape(-1, width, columns)).reshape(count, rows, columns)
    blocks = matrices_KMN.reshape(count, rows, columns // width, width).transpose(1, 2)
    made = changed(blocks.reshape(-1, rows, width)).reshape(count, columns // width, rows, width)
    return made.transpose(1, 2).reshape(count, rows, columns)


def update_scale(shape: tuple[int, int], axis: int | None, width: int | None, *, inputs_first: bool) -> float:
    """What an orthogonalised update is multiplied by, so that blocks make it no larger than the whole matrix would.

    The whole M x N matrix of P outputs and Q inputs gives sqrt(max(1, P / Q)) times a Frobenius norm of
    sqrt(min(M, N)); each block has its own smaller side instead.
    """
    outputs, inputs = reversed(shape) if inputs_first else shape
    whole = min(shape) * max(1.0, outputs / inputs)
    if axis is None or width is None:
        return float((whole / min(shape)) ** 0.5)
    blocks = shape[axis] // width
    return float((whole / (blocks * min(width, shape[1 - axis]))) ** 0.5)


class MuonWithAdamW(torch.optim.Optimizer):
    """One step of Muon for the groups marked ``is_matrix``, one of AdamW for the others."""

    def __init__(self, groups: Iterable[Group], *, momentum: float, betas: tuple[float, float], eps: float) -> None:
        """Take over the groups; each names ``lr`` and ``weight_decay``.

        Args:
            groups: Parameters, a learning rate each. Weight decay is decoupled: lr * weight_decay a step. A group with
                ``is_matrix`` goes to Muon; ``inputs_first`` says that its matrices are stored inputs x outputs,
                ``block_axis`` (0 or 1) that they are blocks of ``block_width`` beside each other along that axis.
            momentum: Of the matrices, by Nesterov.
            betas: Of AdamW's two moments.
            eps: Of AdamW.
        """
        usual = {"momentum": momentum, "betas": betas, "eps": eps, "fused": True}
        of_matrices = {"is_matrix": False, "inputs_first": False, "block_axis": None, "block_width": None}
        super().__init__(groups, {**usual, **of_matrices})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Change every parameter that has a gradient.

        Raises:
            ValueError: A closure was given: neither method has a use for one.
        """
        if closure is not None:
            raise ValueError("MuonWithAdamW.step: takes no closure")
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            if group["is_matrix"]:
                for alike in _by_shape(parameters):
                    self._muon(group, alike)
            else:
                self._adamw(group, parameters)

    def _muon(self, group: Group, parameters: list[Tensor]) -> None:
        """Matrices of one shape: momentum, orthogonalisation, step."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        buffers = [self._state(parameter, "momentum_buffer") for parameter in parameters]
        torch._foreach_lerp_(buffers, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, buffers, group["momentum"])
        axis, width = group["block_axis"], group["block_width"]
        updates = in_blocks(torch.stack(list(ahead)), axis, width, orthogonalized)
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        rows, columns = parameters[0].shape
        scale = update_scale((rows, columns), axis, width, inputs_first=group["inputs_first"])
        torch._foreach_add_(parameters, list(updates.unbind()), alpha=-group["lr"] * scale)

    def _adamw(self, group: Group, parameters: list[Tensor]) -> None:
        for parameter in parameters:
            if "step" not in self.state[parameter]:
                self.state[parameter]["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
        adamw(
            parameters,
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            [self._state(parameter, "exp_avg") for parameter in parameters],
            [self._state(parameter, "exp_avg_sq") for parameter in parameters],
            [],
            [self.state[parameter]["step"] for parameter in parameters],
            fused=group["fused"],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _state(self, parameter: Tensor, name: str) -> Tensor:
        """A running mean of a parameter's gradients, zeros at first."""
        kept = self.state[parameter]
        if name not in kept:
            kept[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        found: Tensor = kept[name]
        return found


class MuonFactory:
    """What Trainer makes its optimizer by: called with the model and the keyword arguments below."""

    def __call__(
        self,
        model: torch.nn.Module,
        *,
        lr: float,
        matrix_lr: float,
        weight_decay: float,
        momentum: float,
        betas: tuple[float, float],
        eps: float,
    ) -> MuonWithAdamW:
        """Muon for the matrices between the tables, AdamW for tables, norms and biases; only matrices and tables decay.

        Args:
            model: Its parameters that need a gradient are taken.
            lr: Of AdamW.
            matrix_lr: Of Muon.
            weight_decay: Share of a weight, times the learning rate, that goes at each step.
            momentum: Of Muon.
            betas: Of AdamW.
            eps: Of AdamW.
        """
        matrices, tables, vectors = split_parameters(model)
        of_tables = {"params": tables, "lr": lr, "weight_decay": weight_decay}
        groups: list[Group] = [of_tables, {"params": vectors, "lr": lr, "weight_decay": 0.0}]
        by_form: dict[tuple[Any, ...], list[Tensor]] = {}
        forms = matrix_forms(model)
        for matrix in matrices:
            by_form.setdefault(forms.get(id(matrix), (False, None, None)), []).append(matrix)
        for (inputs_first, axis, width), alike in by_form.items():
            form = {"is_matrix": True, "inputs_first": inputs_first, "block_axis": axis, "block_width": width}
            groups.append({"params": alike, "lr": matrix_lr, "weight_decay": weight_decay, **form})
        return MuonWithAdamW([group for group in groups if group["params"]], momentum=momentum, betas=betas, eps=eps)


def split_parameters(model: torch.nn.Module) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The parameters that are trained: matrices between the tables, tables of tokens or positions, and the rest.

    A table is an embedding's weight, or the output layer's: their rows are tokens, which get gradients of their own.
    """
    in_tables = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    output = getattr(model, "get_output_embeddings", lambda: None)()
    if output is not None:
        in_tables.add(id(output.weight))
    trained: list[Tensor] = [parameter for parameter in model.parameters() if parameter.requires_grad]
    tables = [parameter for parameter in trained if id(parameter) in in_tables]
    between = [parameter for parameter in trained if id(parameter) not in in_tables]
    return (
        [parameter for parameter in between if parameter.ndim == 2],
        tables,
        [parameter for parameter in between if parameter.ndim != 2],
    )


def matrix_forms(model: torch.nn.Module) -> dict[int, Form]:
    """How matrices are stored that are not plain outputs x inputs in one: id of the parameter -> its form."""
    forms: dict[int, Form] = {}
    for module in model.modules():
        if isinstance(module, Conv1D):
            forms.setdefault(id(module.weight), (True, None, None))
        head = getattr(module, "head_dim", None)
        is_attention = isinstance(head, int)
        for name, axis in (ATTENTION_PARTS if is_attention else MLP_PARTS).items():
            part = getattr(module, name, None)
            if not isinstance(part, torch.nn.Linear | Conv1D):
                continue
            inputs_first = isinstance(part, Conv1D)
            stored_axis = 1 - axis if inputs_first else axis
            size = part.weight.shape[stored_axis]
            width = head if is_attention else math.gcd(size, NEURONS_TOGETHER)
            if width is not None and size % width == 0 and width >= (1 if is_attention else FEWEST_TOGETHER):
                forms[id(part.weight)] = (inputs_first, stored_axis, width)
    return forms


def muon_for(
    args: TrainingArguments, *, matrix_learning_rate: float, momentum: float
) -> tuple[type[Any], dict[str, Any]]:
    """Muon as Trainer takes it, by ``optimizer_cls_and_kwargs``; what is AdamW's comes from ``args``.

    Raises:
        ConfigError: The matrices would be cut over processes: Newton-Schulz needs them whole.
    """
    if args.fsdp or args.deepspeed:
        raise ConfigError(
            "pretrain.optimizer.name: muon, but this launch cuts each matrix over processes (FSDP or DeepSpeed). "
            "Muon needs whole matrices. Set pretrain.optimizer.name: adamw, or launch with recipes/accelerate/ddp.yaml."
        )
    return MuonFactory, {
        "lr": args.learning_rate,
        "matrix_lr": matrix_learning_rate,
        "weight_decay": args.weight_decay,
        "momentum": momentum,
        "betas": (args.adam_beta1, args.adam_beta2),
        "eps": args.adam_epsilon,
    }


def _by_shape(parameters: Iterable[Tensor]) -> list[list[Tensor]]:
    groups: dict[tuple[int, ...], list[Tensor]] = {}
    for parameter in parameters:
        groups.setdefault(tuple(parameter.shape), []).append(parameter)
    return list(groups.values())
