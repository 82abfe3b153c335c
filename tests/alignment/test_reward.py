from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from hftrain.alignment.reward import (
    load_reward_model,
    new_reward_model,
    reward_accuracy,
    reward_margin,
    score_conversations,
    score_rows,
    wilson_interval,
)
from hftrain.errors import ArtifactError, DataError
from hftrain.models.loading import load_causal_lm, save_model
from hftrain.tokens.chat import END_OF_TURN, load_tokenizer


@pytest.fixture(scope="module")
def tokenizer(chat_dir: Path) -> Any:
    return load_tokenizer(chat_dir)


@pytest.fixture(scope="module")
def model(chat_dir: Path, tokenizer: Any) -> Any:
    return new_reward_model(chat_dir, pad_token_id=tokenizer.pad_token_id, seed=1)


def talk(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def test_two_wins_a_tie_and_a_loss_are_five_eighths() -> None:
    assert reward_accuracy(torch.tensor([2.0, 3.0, 1.0, 0.0]), torch.tensor([1.0, -1.0, 1.0, 5.0])) == 0.625


def test_a_constant_model_is_right_half_of_the_time() -> None:
    assert reward_accuracy(torch.zeros(3), torch.zeros(3)) == 0.5


@pytest.mark.parametrize(("chosen", "rejected"), [(torch.zeros(2), torch.zeros(3)), (torch.zeros(0), torch.zeros(0))])
def test_accuracy_of_unequal_or_no_pairs_is_refused(chosen: torch.Tensor, rejected: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="as many chosen as rejected"):
        reward_accuracy(chosen, rejected)


def test_the_margin_is_the_mean_difference() -> None:
    assert reward_margin(torch.tensor([2.0, 1.0]), torch.tensor([1.0, 3.0])) == -0.5


@pytest.mark.parametrize(
    ("share", "trials", "expected"),
    [(0.5, 10, (0.2366, 0.7634)), (1.0, 10, (0.7225, 1.0)), (0.0, 10, (0.0, 0.2775))],
)
def test_wilson_intervals_of_the_textbook(share: float, trials: int, expected: tuple[float, float]) -> None:
    assert wilson_interval(share, trials) == pytest.approx(expected, abs=1e-4)


def test_a_type_without_a_head_for_scores_is_refused(tiny_model: Any, tmp_path: Path) -> None:
    shape = {"model_type": "lfm2", "full_attn_idxs": [0], "block_auto_adjust_ff_dim": False}
    chat, tokenizer = tiny_model(**shape)
    save_model(chat, tokenizer, tmp_path / "chat")
    with pytest.raises(ArtifactError, match="a lfm2 model, and transformers has none of this type that gives scores"):
        new_reward_model(tmp_path / "chat", pad_token_id=tokenizer.pad_token_id, seed=1)


def test_a_new_reward_model_has_the_body_of_the_chat_model(chat_dir: Path, model: Any) -> None:
    body = load_causal_lm(chat_dir).base_model.state_dict()
    assert all(torch.equal(value, body[name]) for name, value in model.base_model.state_dict().items())


def test_the_head_depends_on_the_seed_alone(chat_dir: Path, tokenizer: Any, model: Any) -> None:
    again, other = (new_reward_model(chat_dir, pad_token_id=tokenizer.pad_token_id, seed=seed) for seed in (1, 2))
    assert torch.equal(again.score.weight, model.score.weight)
    assert not torch.equal(other.score.weight, model.score.weight)


def test_a_padded_batch_scores_as_single_rows_do(model: Any, tokenizer: Any) -> None:
    talks = [talk("Hello!", "Hi"), talk("What is your name?", "My name is Ann. " * 4), talk("Who?", "")]
    together = score_conversations(model, tokenizer, talks, batch_rows=3)
    alone = torch.cat([score_conversations(model, tokenizer, [each]) for each in talks])
    assert torch.allclose(together, alone, atol=1e-6)
    assert len(set(together.tolist())) == 3


def test_the_score_is_read_at_the_end_of_turn(model: Any, tokenizer: Any) -> None:
    ids = tokenizer.apply_chat_template(talk("Hello!", "Hi"), tokenize=True)["input_ids"]
    assert ids[-1] == tokenizer.convert_tokens_to_ids(END_OF_TURN)
    with torch.no_grad():
        states = model.base_model(input_ids=torch.tensor([ids])).last_hidden_state
    expected = model.score(states[0, -1]).item()
    assert score_conversations(model, tokenizer, [talk("Hello!", "Hi")]).item() == pytest.approx(expected, abs=1e-6)


def test_an_end_of_turn_that_someone_typed_stays_text(model: Any, tokenizer: Any) -> None:
    typed = score_conversations(model, tokenizer, [talk("Hello!", f"Hi{END_OF_TURN}")])
    assert typed.item() != score_conversations(model, tokenizer, [talk("Hello!", "Hi")]).item()


def test_scoring_leaves_the_mode_of_the_model_as_it_was(model: Any) -> None:
    model.train()
    score_rows(model, [[5, 6]])
    assert model.training
    model.eval()


@pytest.mark.parametrize("row", [[], [5] * 129])
def test_a_row_that_the_model_cannot_read_is_refused(model: Any, row: list[int]) -> None:
    with pytest.raises(DataError, match=rf"row 1: {len(row)} tokens. The reward model reads 1 to 128"):
        score_rows(model, [[5], row])


def test_a_saved_reward_model_scores_the_same(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    rows = [[5, 6, 7], [8]]
    assert torch.equal(score_rows(load_reward_model(tmp_path), rows), score_rows(model, rows))


@pytest.mark.parametrize(
    ("change", "said"), [({"num_labels": 2}, "gives 2 numbers"), ({"pad_token_id": None}, "names no padding token")]
)
def test_a_folder_of_another_model_is_refused(model: Any, tmp_path: Path, change: Any, said: str) -> None:
    config = AutoConfig.for_model(**(model.config.to_dict() | {"num_labels": 1} | change))
    type(model)(config).save_pretrained(tmp_path)
    with pytest.raises(ArtifactError, match=said):
        load_reward_model(tmp_path)
