import pytest
import torch

from hftrain.alignment.ppo_math import (
    Targets,
    adapted_kl_coef,
    advantages_and_returns,
    clipped_losses,
    explained_variance,
    masked_variance,
    token_rewards,
    whitened,
)
from hftrain.alignment.ppo_rollout import Rollout


def rollout(
    *, log_probs: list[list[float]], reference: list[list[float]], last: list[int], **others: object
) -> Rollout:
    """Answers of which only these numbers matter."""
    shape = (len(log_probs), len(log_probs[0]))
    known = {
        "tokens": torch.ones(shape[0], 1 + shape[1], dtype=torch.long),
        "prompt_tokens": 1,
        "log_probs": torch.tensor(log_probs),
        "reference_log_probs": torch.tensor(reference),
        "values": torch.zeros(shape),
        "entropies": torch.zeros(shape),
        "scores": torch.zeros(shape[0]),
        "ended": torch.ones(shape[0], dtype=torch.bool),
        "last": torch.tensor(last),
    }
    return Rollout(**{**known, **others})


def test_the_score_is_paid_after_the_end_and_at_the_last_place_of_a_full_answer() -> None:
    answers = rollout(log_probs=[[0.0] * 3] * 2, reference=[[0.0] * 3] * 2, last=[0, 2])
    rewards = token_rewards(answers, torch.tensor([5.0, 7.0]), kl_coef=0.1, kl_estimator="k1")
    assert rewards.tolist() == [[0, 5, 0], [0, 0, 7]]


def test_a_token_twice_as_likely_as_in_the_reference_costs_ln_2_nats() -> None:
    ln2 = 0.6931472
    answers = rollout(log_probs=[[-1.0, -1.0, 9.9]], reference=[[-1.0 - ln2, -1.0, 0.0]], last=[1])
    rewards = token_rewards(answers, torch.tensor([0.0]), kl_coef=0.5, kl_estimator="k1")
    assert rewards.tolist() == [pytest.approx([-ln2 / 2, 0, 0])]
    assert answers.divergence.tolist() == pytest.approx([ln2])


def test_the_k3_estimate_of_the_same_token_is_ln_2_minus_a_half() -> None:
    ln2 = 0.6931472
    answers = rollout(log_probs=[[-1.0]], reference=[[-1.0 - ln2]], last=[0])
    rewards = token_rewards(answers, torch.tensor([0.0]), kl_coef=1.0, kl_estimator="k3")
    assert rewards.tolist() == [pytest.approx([-(0.5 - 1 + ln2)])]


def test_advantages_discount_the_errors_of_later_values() -> None:
    """d = (0 + 2 - 1, 3 - 2) = (1, 1); A_1 = 1, A_0 = 1 + 0.5 * 1; returns are A + V."""
    found = advantages_and_returns(torch.tensor([[0.0, 3.0]]), torch.tensor([[1.0, 2.0]]), gamma=1.0, lam=0.5)
    assert found.advantages.tolist() == [[1.5, 1.0]]
    assert found.returns.tolist() == [[2.5, 3.0]]


def test_with_lambda_one_the_return_is_the_discounted_sum_of_rewards() -> None:
    rewards, values = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[9.0, -3.0, 0.5]])
    found = advantages_and_returns(rewards, values, gamma=0.5, lam=1.0)
    assert found.returns.tolist() == [pytest.approx([1 + 1 + 1, 2 + 2, 4])]


def test_whitened_values_have_mean_0_and_variance_1_over_the_mask_alone() -> None:
    values, mask = torch.tensor([[1.0, 3.0, 100.0]]), torch.tensor([[True, True, False]])
    white = whitened(values, mask, keep_mean=False)
    assert white.tolist() == [pytest.approx([-(0.5**0.5), 0.5**0.5, 0])]
    assert whitened(values, mask, keep_mean=True).tolist() == [pytest.approx([2 - 0.5**0.5, 2 + 0.5**0.5, 0])]


def test_one_token_alone_has_no_variance() -> None:
    assert masked_variance(torch.tensor([[4.0, 1.0]]), torch.tensor([[True, False]])) == 0


def losses(new: float, *, advantage: float, value: float = 0.0, old_value: float = 0.0, target: float = 0.0):
    """Of one answer with one token that had log-probability 0."""
    answers = rollout(log_probs=[[0.0]], reference=[[0.0]], last=[0], values=torch.tensor([[old_value]]))
    targets = Targets(torch.tensor([[advantage]]), torch.tensor([[target]]))
    log_probs, values = torch.tensor([[new]]).log(), torch.tensor([[value]])
    return clipped_losses(log_probs, values, answers, targets, torch.tensor([0]), cliprange=0.2, cliprange_value=0.2)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [(1.1, 1.0, -1.1, 0), (1.5, 1.0, -1.2, 1), (0.5, 1.0, -0.5, 0), (0.5, -1.0, 0.8, 1), (1.5, -1.0, 1.5, 0)],
)
def test_a_ratio_beyond_the_clip_range_gains_nothing(ratio: float, advantage: float, loss: float, clipped: int) -> None:
    found = losses(ratio, advantage=advantage)
    assert found.policy.item() == pytest.approx(loss)
    assert found.clip_share.item() == clipped


def test_a_value_that_runs_ahead_counts_as_if_it_had_not() -> None:
    """Target 1, old value 0: 1 is free of error, but only 0.2 of the way counts, so the loss is 0.8^2 / 2."""
    assert losses(1.0, advantage=0.0, value=1.0, target=1.0).value.item() == pytest.approx(0.32)
    assert losses(1.0, advantage=0.0, value=0.1, target=1.0).value.item() == pytest.approx(0.405)


def test_tokens_after_the_end_change_no_loss() -> None:
    answers = rollout(log_probs=[[0.0, 0.0, 0.0]], reference=[[0.0] * 3], last=[0])
    targets = Targets(torch.tensor([[1.0, 1e6, 1e6]]), torch.tensor([[1.0, 1.0, 1e6]]))
    found = clipped_losses(
        torch.tensor([[0.0, 9.0, 9.0]]),
        torch.tensor([[1.0, 1.0, 1e6]]),
        answers,
        targets,
        torch.tensor([0]),
        cliprange=0.2,
        cliprange_value=10.0,
    )
    assert (found.policy.item(), found.value.item()) == (-1.0, 0.0)


def test_a_perfect_critic_explains_all_and_a_constant_one_nothing() -> None:
    returns, mask = torch.tensor([[1.0, 3.0]]), torch.tensor([[True, True]])
    assert explained_variance(returns, returns, mask) == 1
    assert explained_variance(torch.full((1, 2), 7.0), returns, mask) == 0
    assert explained_variance(returns, torch.full((1, 2), 7.0), mask) == 0


def test_the_price_of_a_nat_moves_by_a_fifth_of_an_update_over_its_horizon_at_most() -> None:
    """64 answers of a horizon of 640: 10 % times the error, which stands between -0.2 and 0.2."""
    named = {"target": 4.0, "horizon": 640, "episodes": 64}
    assert adapted_kl_coef(0.1, 40.0, **named) == pytest.approx(0.102)
    assert adapted_kl_coef(0.1, 0.0, **named) == pytest.approx(0.098)
    assert adapted_kl_coef(0.1, 4.4, **named) == pytest.approx(0.101)
    assert adapted_kl_coef(0.1, 4.0, **named) == 0.1


def test_the_move_from_the_old_policy_is_told_in_ratio_and_nats() -> None:
    """Two tokens, one of them e^0.2 times as likely as before; the third place is none of the answer."""
    answers = rollout(log_probs=[[0.0, 0.0, 0.0]], reference=[[0.0] * 3], last=[1])
    targets = Targets(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]]))
    found = clipped_losses(
        torch.tensor([[0.2, 0.0, 9.0]]),
        torch.tensor([[0.5, 0.5, 0.0]]),
        answers,
        targets,
        torch.tensor([0]),
        cliprange=0.2,
        cliprange_value=0.2,
    )
    assert found.ratio.item() == pytest.approx((1.2214028 + 1) / 2)
    assert found.approx_kl.item() == pytest.approx(0.5 * 0.04 / 2)
    # (V - R)^2 is 1/4, 1/4, 0; with V clipped to 0.2 it is 0.64, 0.04, 0: the first of the three counts clipped.
    assert found.value_clip_share.item() == pytest.approx(1 / 3)
