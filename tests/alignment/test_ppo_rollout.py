from collections.abc import Callable
from typing import Any

import pytest
import torch

from hftrain.alignment.ppo_reading import groups_of, like_lengths, token_log_probs
from hftrain.alignment.ppo_rollout import Models, Sampling, look_again, places_up_to, roll_out

PAD = 0


def test_places_count_up_to_the_last_one() -> None:
    assert places_up_to(torch.tensor([0, 2]), 3).tolist() == [[True, False, False], [True, True, True]]


def test_two_equally_likely_tokens_have_ln_2_nats_each() -> None:
    logits = torch.tensor([[[1.0, 1.0, -1e9]]])
    assert token_log_probs(logits, torch.tensor([[1]])).item() == pytest.approx(-0.6931472)


def test_rows_up_to_one_and_a_half_times_as_long_are_read_together() -> None:
    groups = like_lengths(torch.tensor([9, 2, 3, 4, 20, 10]), most_rows=64)
    assert [group.tolist() for group in groups] == [[1, 2], [3], [0, 5], [4]]
    assert [len(group) for group in like_lengths(torch.tensor([5] * 5), most_rows=2)] == [2, 2, 1]


def test_a_group_is_padded_on_the_right_alone() -> None:
    tokens = torch.tensor([[PAD, PAD, 7, 8, 9, PAD], [4, 5, 6, 7, PAD, PAD]])
    (group,) = groups_of(tokens, 3, PAD, 64)
    assert group.rows.tolist() == [0, 1]
    assert group.ids.tolist() == [[7, 8, 9, PAD], [4, 5, 6, 7]]
    assert group.prompt_tokens.tolist() == [1, 3]
    assert group.answer_tokens.tolist() == [2, 1]


@pytest.fixture
def models(tiny_model: Callable[..., tuple[Any, Any]]) -> tuple[Models, Any]:
    """A random policy that ends an answer now and then, another as reference, and scalar models."""
    from transformers import AutoModelForSequenceClassification

    policy, tokenizer = tiny_model(seed=1)
    reference, _ = tiny_model(seed=2)
    bias = torch.zeros(policy.config.vocab_size)
    bias[tokenizer.eos_token_id] = 4.0
    policy.lm_head.register_forward_hook(lambda _module, _inputs, output: output + bias)
    config = type(policy.config)(**policy.config.to_diff_dict())
    config.num_labels = 1
    reward, critic = (AutoModelForSequenceClassification.from_config(config) for _ in range(2))
    for model in (policy, reference, reward, critic):
        model.eval()
    return Models(policy, reference, reward, critic), tokenizer


def sampling(tokenizer: Any, *, batch_rows: int = 64, new_tokens: int = 8) -> Sampling:
    return Sampling(new_tokens, 0.8, tokenizer.eos_token_id, tokenizer.pad_token_id, batch_rows)


def prompts(tokenizer: Any, rows: int = 12) -> torch.Tensor:
    pad = tokenizer.pad_token_id
    return torch.tensor([[pad, pad, 10, 11], [pad, 12, 13, 14], [15, 16, 17, 18]] * (rows // 3))


def test_log_probabilities_written_down_while_sampling_are_those_of_reading_again(models: tuple[Models, Any]) -> None:
    group, tokenizer = models
    torch.manual_seed(0)
    seen = roll_out(group, prompts(tokenizer), sampling(tokenizer))
    again, values = look_again(group.policy, group.critic, seen.tokens, seen.prompt_tokens, sampling(tokenizer))
    torch.testing.assert_close(seen.log_probs, again, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(seen.values, values)
    assert seen.ended.any()
    assert len(set(seen.last.tolist())) > 1


def test_nothing_is_measured_after_an_answer_but_the_value_of_its_end(models: tuple[Models, Any]) -> None:
    group, tokenizer = models
    torch.manual_seed(0)
    seen = roll_out(group, prompts(tokenizer), sampling(tokenizer))
    for measured in (seen.log_probs, seen.reference_log_probs, seen.entropies):
        assert torch.equal(measured != 0, seen.mask)
    assert torch.equal(seen.values != 0, seen.value_mask)
    assert torch.equal(seen.answers == tokenizer.pad_token_id, ~seen.mask)


def test_the_reference_is_read_as_a_plain_forward_pass_reads_it(models: tuple[Models, Any]) -> None:
    group, tokenizer = models
    torch.manual_seed(0)
    seen = roll_out(group, prompts(tokenizer), sampling(tokenizer))
    for row, tokens in enumerate(seen.tokens):
        tokens, length = tokens[tokens != tokenizer.pad_token_id], int(seen.last[row]) + 1
        with torch.no_grad():
            logits = group.reference(input_ids=tokens[None]).logits[0, -length - 1 : -1] / 0.8
        expected = token_log_probs(logits, tokens[-length:])
        torch.testing.assert_close(seen.reference_log_probs[row, :length], expected, atol=1e-5, rtol=1e-5)


def test_the_texts_are_the_answers_without_their_end(models: tuple[Models, Any]) -> None:
    group, tokenizer = models
    torch.manual_seed(0)
    seen = roll_out(group, prompts(tokenizer), sampling(tokenizer))
    for ids, ended, last in zip(seen.texts(), seen.ended.tolist(), seen.last.tolist(), strict=True):
        assert len(ids) == last + 1 - ended
        assert tokenizer.eos_token_id not in ids


def test_without_a_reward_model_and_a_critic_there_are_zeros(models: tuple[Models, Any]) -> None:
    group, tokenizer = models
    seen = roll_out(Models(group.policy, group.policy), prompts(tokenizer, 3), sampling(tokenizer))
    assert not seen.scores.any() and not seen.values.any() and not seen.divergence.any()


def test_the_score_is_the_reward_models_at_the_last_token(models: tuple[Models, Any]) -> None:
    group, tokenizer = models
    torch.manual_seed(0)
    seen = roll_out(group, prompts(tokenizer), sampling(tokenizer))
    group.reward.config.pad_token_id = tokenizer.pad_token_id
    for row in range(12):
        tokens = seen.tokens[row]
        with torch.no_grad():
            score = group.reward(input_ids=tokens[tokens != tokenizer.pad_token_id][None]).logits.item()
        assert seen.scores[row].item() == pytest.approx(score, abs=1e-5)


def test_what_is_measured_does_not_depend_on_how_many_rows_go_at_a_time(models: tuple[Models, Any]) -> None:
    """Answers of both calls are the same by greed: at a temperature near 0 nothing is left to chance."""
    group, tokenizer = models
    cold = [
        roll_out(group, prompts(tokenizer, 6), Sampling(8, 1e-4, tokenizer.eos_token_id, tokenizer.pad_token_id, rows))
        for rows in (6, 1)
    ]
    assert torch.equal(cold[0].tokens, cold[1].tokens)
    for name in ("values", "scores", "last", "ended"):
        torch.testing.assert_close(getattr(cold[0], name), getattr(cold[1], name), atol=1e-5, rtol=1e-4)


def test_the_policy_stays_in_the_mode_it_was_in(models: tuple[Models, Any]) -> None:
    group, tokenizer = models
    group.policy.train()
    roll_out(group, prompts(tokenizer, 3), sampling(tokenizer))
    assert group.policy.training
