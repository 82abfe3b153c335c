from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from hftrain.alignment.ppo_reading import token_log_probs
from hftrain.alignment.ppo_sampling import Sampling, draw, write_answers

PAD, END = 0, 3
HOW = Sampling(new_tokens=8, temperature=1.0, end_token=END, pad_token=PAD, batch_rows=64)


def test_a_token_is_drawn_where_the_shares_added_up_pass_the_chance() -> None:
    """Shares 1/4, 1/4, 1/2 of tokens 1, 2, 3 add up to 1/4, 1/2, 1."""
    logits = torch.tensor([[-1e9, 1.0, 1.0, 2.0]]).repeat(5, 1)
    logits[:, 3] = 1.0 + torch.tensor(2.0).log()
    tokens, log_probs, entropies = draw(logits, torch.tensor([0.0, 0.2, 0.25, 0.49, 0.75]), HOW)
    assert tokens.tolist() == [1, 1, 2, 2, 3]
    assert log_probs.exp().tolist() == pytest.approx([0.25, 0.25, 0.25, 0.25, 0.5])
    assert entropies[0].item() == pytest.approx(1.5 * 0.6931472)


def test_padding_is_never_drawn_however_likely() -> None:
    logits = torch.tensor([[50.0, 0.0, 0.0, 0.0]]).repeat(64, 1)
    tokens, _, _ = draw(logits, torch.linspace(0, 1 - 2**-24, 64), HOW)
    assert set(tokens.tolist()) == {1, 2, 3}


def test_the_largest_chance_draws_a_token_that_has_a_share() -> None:
    logits = torch.full((1, 4096), -1e9)
    logits[0, 5:9] = torch.tensor([0.1, 0.7, 0.3, 0.2])
    assert draw(logits, torch.tensor([1 - 2**-24]), HOW)[0].item() == 8


def test_each_token_is_drawn_as_often_as_its_share_says() -> None:
    """60,000 draws: four standard deviations of a share of 1/2 are 0.008."""
    torch.manual_seed(0)
    logits = torch.tensor([-1e9, 0.1, 0.3, 0.6]).clamp(min=0).log().repeat(60_000, 1)
    tokens, _, _ = draw(logits, torch.rand(60_000), HOW)
    shares = torch.bincount(tokens, minlength=4) / 60_000
    assert shares.tolist() == pytest.approx([0, 0.1, 0.3, 0.6], abs=0.008)


@pytest.fixture
def writer(tiny_model: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Sampling, torch.Tensor]]:
    """A random model of some kind that ends an answer now and then, how it shall write, and prompts of many lengths."""

    def make(**settings: Any) -> tuple[Any, Sampling, torch.Tensor]:
        kind = settings.pop("kind", None)
        model, tokenizer = tiny_model(seed=1, **settings)
        if kind is not None:
            config = AutoConfig.for_model(kind, vocab_size=model.config.vocab_size, n_embd=32, n_layer=2, n_head=2)
            model = AutoModelForCausalLM.from_config(config)
        bias = torch.zeros(model.config.vocab_size)
        bias[tokenizer.eos_token_id] = 3.5
        model.lm_head.register_forward_hook(lambda _module, _inputs, output: output + bias)
        pad = tokenizer.pad_token_id
        torch.manual_seed(5)
        rows = [torch.randint(10, 90, (length,)).tolist() for length in (2, 9, 3, 3, 6, 12, 1, 4, 7, 2, 2, 3)]
        prompts = torch.tensor([[pad] * (12 - len(row)) + row for row in rows])
        return model.eval(), Sampling(10, 0.8, tokenizer.eos_token_id, pad, 64), prompts

    return make


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_hidden_layers": 2, "num_key_value_heads": 1},
        {"kind": "gpt2"},
        {"model_type": "mistral", "sliding_window": 4},
    ],
)
def test_what_is_written_down_is_what_a_plain_forward_pass_says(
    writer: Callable[..., tuple[Any, Sampling, torch.Tensor]], settings: dict[str, Any]
) -> None:
    """Of prompt groups, preallocated caches and rows that leave, nothing shows; a sliding window goes another way."""
    model, how, prompts = writer(**settings)
    torch.manual_seed(0)
    written = write_answers(model, prompts, how)
    lengths = written.last(how.pad_token) + 1
    assert len(set(lengths.tolist())) > 3
    assert written.ended(how.end_token).any()
    for row, (prompt, answer) in enumerate(zip(prompts, written.answers, strict=True)):
        prompt, answer = prompt[prompt != how.pad_token], answer[: lengths[row]]
        with torch.no_grad():
            logits = model(input_ids=torch.cat([prompt, answer])[None], use_cache=False).logits[0, len(prompt) - 1 : -1]
        expected = token_log_probs(logits / how.temperature, answer)
        torch.testing.assert_close(written.log_probs[row, : len(answer)], expected, atol=1e-5, rtol=1e-5)
        assert (written.log_probs[row, len(answer) :] == 0).all()
        assert (answer[:-1] != how.end_token).all()


def test_what_a_row_draws_does_not_depend_on_its_batch(
    writer: Callable[..., tuple[Any, Sampling, torch.Tensor]],
) -> None:
    model, how, prompts = writer()
    found = []
    for rows in (64, 5, 1):
        torch.manual_seed(0)
        found.append(write_answers(model, prompts, Sampling(10, 0.8, how.end_token, how.pad_token, rows)))
    assert torch.equal(found[0].answers, found[1].answers)
    assert torch.equal(found[0].answers, found[2].answers)
    torch.testing.assert_close(found[0].entropies, found[2].entropies)


def test_a_cache_of_upstreams_begins_with_plain_layers(
    writer: Callable[..., tuple[Any, Sampling, torch.Tensor]],
) -> None:
    """Else the way with room from the start would never be taken."""
    model, _, _ = writer()
    assert [type(layer).__name__ for layer in DynamicCache(config=model.config).layers] == ["DynamicLayer"]
