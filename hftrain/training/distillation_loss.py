"""What a student is trained to: a divergence from its teacher beside the next token, some positions at a time.

With p the student's and q the teacher's shares at temperature H, y the next token, all at one position:

    loss = a H^2 D(q, p) + (1 - a) -log p[y]        the second term at temperature 1

D is the generalised Jensen-Shannon divergence that TRL has, by the same ``beta``: KL(q | p) at 0, KL(p | q) at 1, and
b KL(q | m) + (1 - b) KL(p | m) with m = b q + (1 - b) p between them. H^2 keeps the gradient's size (Hinton et al.).
Its gradients by the student's logits z are written down here, so that logits of all positions are never there at once:

    H^2 dD/dz = H (p - q)                                       b = 0
              = H p (log(p / q) - KL(p | q))                    b = 1
              = H (1 - b) p (log(p / m) - KL(p | m))            otherwise

Sources: Hinton et al. 2015, arXiv:1503.02531; Agarwal et al. 2023 (GKD), arXiv:2306.13649, equation 1.

Shape legend: B rows, L tokens in a row, T positions, R of them at a time, D a model's width, V vocabulary.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hftrain.models.training_step import CHUNKED_TYPES, ChunkedCrossEntropy
from hftrain.tokens.lens import IGNORED

CHUNK_LOGITS = 2**20
"""Of each model at once: several tables of them are at hand."""


@dataclass(frozen=True)
class Target:
    """Which divergence, and how soft."""

    beta: float = 0.0
    """0 forward KL, 1 reverse KL, between them Jensen-Shannon."""
    temperature: float = 1.0
    top_k: int | None = None
    """So many of the teacher's likeliest tokens count, as if there were no others. None: all."""


@dataclass(frozen=True)
class Scores:
    """What a model makes of T positions, before it is made into logits."""

    hidden_TD: Tensor
    table_VD: Tensor | None
    """None: ``hidden_TD`` are logits already."""

    def logits(self, part: slice) -> Tensor:
        """Of some positions. Shape (R, V)."""
        return self.hidden_TD[part] if self.table_VD is None else self.hidden_TD[part] @ self.table_VD.T

    def words(self) -> int:
        """V."""
        return self.hidden_TD.shape[-1] if self.table_VD is None else len(self.table_VD)

    def of(self, where_T: Tensor) -> "Scores":
        """The same of fewer positions, or in another order."""
        return Scores(self.hidden_TD[where_T], self.table_VD)

    def and_then(self, other: "Scores") -> "Scores":
        """The same of more positions of the same model."""
        return Scores(torch.cat([self.hidden_TD, other.hidden_TD]), self.table_VD)


def scores_of(model: Any, where_BL: Tensor, **inputs: Any) -> Scores:
    """What a model predicts after the T positions that are marked, without their logits where its type allows."""
    if model.config.model_type not in CHUNKED_TYPES:
        return Scores(model(**inputs, use_cache=False).logits[where_BL].float(), None)
    hidden_BLD = model.base_model(**inputs, use_cache=False).last_hidden_state
    return Scores(hidden_BLD[where_BL], model.get_output_embeddings().weight)


def learned_positions(labels_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Where a next token is learned, (B, L), the last column empty; and those tokens, (T,)."""
    after_BL = torch.full_like(labels_BL, IGNORED)
    after_BL[:, :-1] = labels_BL[:, 1:]
    where_BL = after_BL != IGNORED
    return where_BL, after_BL[where_BL]


def next_token_nats(student: Scores, labels_T: Tensor) -> Any:
    """Sum of -log p[y], with its gradient."""
    if student.table_VD is None:
        return torch.nn.functional.cross_entropy(student.hidden_TD, labels_T, reduction="sum")
    return ChunkedCrossEntropy.apply(student.hidden_TD, student.table_VD, labels_T)  # type: ignore[no-untyped-call]


def distillation_loss(
    student: Scores, teacher: Scores, labels_T: Tensor, alpha_T: Tensor, target: Target
) -> tuple[Any, Tensor]:
    """Sum over positions of the loss, with its gradient; and, to look at, the sum of KL(q | p) at temperature 1.

    Args:
        student: Of T positions.
        teacher: Of the same.
        labels_T: The next tokens.
        alpha_T: The teacher's weight a, from 0 to 1.
        target: The divergence.
    """
    return _Chunked.apply(  # type: ignore[no-untyped-call]
        student.hidden_TD, student.table_VD, teacher, labels_T, alpha_T, target
    )


def divergence(student_RV: Tensor, teacher_RV: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """H^2 D of logits at each position, and its gradient by the student's. Shapes (R,) and (R, V)."""
    heat, beta = target.temperature, target.beta
    if target.top_k is not None:
        least = teacher_RV.topk(min(target.top_k, teacher_RV.shape[-1]), -1).values[:, -1:]
        teacher_RV = teacher_RV.masked_fill(teacher_RV < least, -math.inf)
    log_p, log_q = torch.log_softmax(student_RV / heat, -1), torch.log_softmax(teacher_RV / heat, -1)
    p, q = log_p.exp(), log_q.exp()
    if beta == 0:
        return heat**2 * _weighed(q, log_q - log_p), (p - q) * heat
    log_m = log_q if beta == 1 else torch.logaddexp(log_q + math.log(beta), log_p + math.log1p(-beta))
    gap = log_p - log_m
    of_student = _weighed(p, gap)
    share = 1.0 if beta == 1 else 1 - beta
    nats = share * of_student
    if beta < 1:
        nats = nats + beta * _weighed(q, log_q - log_m)
    return heat**2 * nats, heat * share * p * (gap - of_student[:, None])


def _weighed(shares_RV: Tensor, gaps_RV: Tensor) -> Tensor:
    """Mean of the gaps by the shares; what has no share counts nothing, however far off."""
    return (shares_RV * gaps_RV.masked_fill(shares_RV == 0, 0)).sum(-1)


class _Chunked(torch.autograd.Function):
    """The sum, with gradients by hidden states and table that are computed while logits are at hand."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_TD: Tensor,
        table_VD: Tensor | None,
        teacher: Scores,
        labels_T: Tensor,
        alpha_T: Tensor,
        target: Target,
    ) -> tuple[Tensor, Tensor]:
        """The loss and the KL."""
        student = Scores(hidden_TD, table_VD)
        rows = max(1, CHUNK_LOGITS // student.words())
        of_hidden_TD = torch.empty_like(hidden_TD)
        of_table_VD = None if table_VD is None else torch.zeros_like(table_VD)
        loss, nats = hidden_TD.new_zeros(()), hidden_TD.new_zeros(())
        for first in range(0, len(hidden_TD), rows):
            part = slice(first, first + rows)
            found = _part(student.logits(part), teacher.logits(part), labels_T[part], alpha_T[part], target)
            loss, nats, gradient_RV = loss + found[0], nats + found[1], found[2]
            if of_table_VD is None or table_VD is None:
                of_hidden_TD[part] = gradient_RV
            else:
                torch.mm(gradient_RV, table_VD, out=of_hidden_TD[part])
                of_table_VD.addmm_(gradient_RV.t(), hidden_TD[part])
        ctx.save_for_backward(of_hidden_TD, *([] if of_table_VD is None else [of_table_VD]))
        ctx.mark_non_differentiable(nats)
        return loss, nats

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """What forward computed, times the gradient of the sum."""
        of_hidden_TD, *of_table_VD = (saved * gradients[0] for saved in ctx.saved_tensors)
        return of_hidden_TD, of_table_VD[0] if of_table_VD else None, None, None, None, None


def _part(
    logits_RV: Tensor, teacher_RV: Tensor, labels_R: Tensor, alpha_R: Tensor, target: Target
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss and KL of some positions, summed, and the gradient by their logits."""
    labels_R1, alpha_R1 = labels_R[:, None], alpha_R[:, None]
    p, log_sum_R1 = _shares(logits_RV)
    q, of_teacher_R1 = _shares(teacher_RV)
    kl_R = torch.linalg.vecdot(q, teacher_RV - logits_RV) - of_teacher_R1[:, 0] + log_sum_R1[:, 0]
    surprise_R = (log_sum_R1 - logits_RV.gather(1, labels_R1))[:, 0]
    if target == Target():  # p - q and p - onehot(y) share p
        nats_R, gradient_RV = kl_R, p.sub_(q.mul_(alpha_R1))
    else:
        nats_R, of_nats_RV = divergence(logits_RV, teacher_RV, target)
        gradient_RV = p.mul_(1 - alpha_R1).addcmul_(of_nats_RV, alpha_R1)
    gradient_RV.scatter_add_(1, labels_R1, alpha_R1 - 1)
    return ((1 - alpha_R) * surprise_R).sum() + (alpha_R * nats_R).sum(), kl_R.sum(), gradient_RV


def _shares(logits_RV: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax, and the logarithm of the sum of exponentials from it: the likeliest token's share is never 0."""
    shares_RV = torch.softmax(logits_RV, -1)
    best = logits_RV.max(-1, keepdim=True)
    return shares_RV, best.values - shares_RV.gather(1, best.indices).log()
