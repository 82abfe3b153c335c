import math

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from hftrain.training import distillation_loss
from hftrain.training.distillation_loss import (
    Scores,
    Target,
    divergence,
    learned_positions,
    next_token_nats,
)

HALVES = torch.log(torch.tensor([[0.5, 0.5]]))
QUARTERS = torch.log(torch.tensor([[0.75, 0.25]]))


@pytest.mark.parametrize(
    ("beta", "nats"),
    [
        (0.0, 0.75 * math.log(1.5) + 0.25 * math.log(0.5)),
        (1.0, 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)),
        (
            0.5,
            0.5 * (0.75 * math.log(0.75 / 0.625) + 0.25 * math.log(0.25 / 0.375))
            + 0.5 * (0.5 * math.log(0.5 / 0.625) + 0.5 * math.log(0.5 / 0.375)),
        ),
    ],
)
def test_a_teacher_of_three_to_one_and_a_student_of_halves(beta: float, nats: float) -> None:
    assert divergence(HALVES, QUARTERS, Target(beta))[0].item() == pytest.approx(nats)


def of_trl(student: torch.Tensor, teacher: torch.Tensor, target: Target) -> torch.Tensor:
    """TRL 1.12's generalised Jensen-Shannon divergence, times the temperature squared, by autograd."""
    log_p, log_q = (torch.log_softmax(each / target.temperature, -1) for each in (student, teacher))
    beta = target.beta
    if beta in (0, 1):
        first, second = (log_p, log_q) if beta == 0 else (log_q, log_p)
        found = kl_div(first, second, reduction="none", log_target=True)
    else:
        weights = torch.tensor([1 - beta, beta], dtype=student.dtype).log()
        log_m = torch.logsumexp(torch.stack([log_p + weights[0], log_q + weights[1]]), 0)
        of_teacher = kl_div(log_m, log_q, reduction="none", log_target=True)
        found = beta * of_teacher + (1 - beta) * kl_div(log_m, log_p, reduction="none", log_target=True)
    return target.temperature**2 * found.sum(-1)


@pytest.mark.parametrize("target", [Target(0), Target(0, 2), Target(1), Target(1, 3), Target(0.3), Target(0.7, 2)])
def test_divergence_and_gradient_are_those_that_autograd_finds_for_trls_formula(target: Target) -> None:
    draw = torch.Generator().manual_seed(1)
    student, teacher = (torch.randn(5, 7, generator=draw, dtype=torch.float64) for _ in range(2))
    student.requires_grad_()
    expected = of_trl(student, teacher, target)
    expected.sum().backward()
    found, gradient = divergence(student.detach(), teacher, target)
    torch.testing.assert_close(found, expected.detach())
    torch.testing.assert_close(gradient, student.grad)


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize("target", [Target(), Target(0.5, 2), Target(0, 1, top_k=3)])
def test_some_positions_at_a_time_give_the_loss_and_the_gradients_of_all_at_once(
    target: Target, has_table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distillation_loss, "CHUNK_LOGITS", 22)  # two positions of eleven words
    draw = torch.Generator().manual_seed(2)
    hidden, table = torch.randn(5, 4, generator=draw), torch.randn(11, 4, generator=draw)
    if not has_table:
        hidden = hidden @ table.T
    theirs = torch.randn(5, 11, generator=draw)
    labels, alpha = torch.tensor([3, 0, 10, 3, 7]), torch.tensor([1.0, 0.5, 0.5, 0.25, 0.1])
    ours = [each.clone().requires_grad_() for each in (hidden, table)]
    loss, _ = distillation_loss.distillation_loss(
        Scores(ours[0], ours[1] if has_table else None), Scores(theirs, None), labels, alpha, target
    )
    (2 * loss).backward()

    plain = [each.clone().requires_grad_() for each in (hidden, table)]
    logits = plain[0] @ plain[1].T if has_table else plain[0]
    if target.top_k:
        theirs = theirs.masked_fill(theirs < theirs.topk(3).values[:, -1:], -1e4)
    surprise = cross_entropy(logits, labels, reduction="none")
    expected = ((1 - alpha) * surprise + alpha * of_trl(logits, theirs, target)).sum()
    (2 * expected).backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours[0].grad, plain[0].grad, atol=1e-5, rtol=1e-4)
    if has_table:
        torch.testing.assert_close(ours[1].grad, plain[1].grad, atol=1e-5, rtol=1e-4)


def test_what_is_told_of_the_divergence_is_the_plain_kl_whatever_is_learned() -> None:
    student, teacher, labels = HALVES.repeat(2, 1), QUARTERS.repeat(2, 1), torch.tensor([0, 1])
    for target in (Target(), Target(1, 2)):
        _, kl = distillation_loss.distillation_loss(
            Scores(student, None), Scores(teacher, None), labels, torch.full((2,), 0.5), target
        )
        assert kl.item() == pytest.approx(2 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)))


def test_the_one_likeliest_token_of_a_teacher_is_a_label() -> None:
    logits, theirs = torch.tensor([[0.3, -1.0, 2.0]]), torch.tensor([[5.0, 4.0, 4.9]])
    found, _ = divergence(logits, theirs, Target(top_k=1))
    assert found.item() == pytest.approx(cross_entropy(logits, torch.tensor([0])).item())


def test_a_label_is_learned_where_the_token_before_it_stands() -> None:
    where, labels = learned_positions(torch.tensor([[-100, 5, -100, 7], [4, 5, 6, -100]]))
    assert where.tolist() == [[True, False, True, False], [True, True, False, False]]
    assert labels.tolist() == [5, 7, 5, 6]


def test_a_token_of_one_half_costs_ln_2() -> None:
    assert next_token_nats(Scores(HALVES, None), torch.tensor([1])).item() == pytest.approx(math.log(2))
