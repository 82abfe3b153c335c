from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hftrain.alignment.reward import new_reward_model, pad_rows, score_rows
from hftrain.alignment.reward_training import (
    averaged,
    in_both,
    leave_words_out,
    start_folder,
    trainable_reward_model,
)
from hftrain.artifacts import read_manifest, stage
from hftrain.config import StageConfig
from hftrain.errors import ArtifactError
from hftrain.models.loading import save_model
from hftrain.tokens.chat import encode_conversation, load_tokenizer

TALK = [{"role": "user", "content": "Where is the cat?"}, {"role": "assistant", "content": "On the mat, I think."}]


def read_in_training(
    chat_dir: Path, texts: tuple[str, str], **shares: float
) -> tuple[list[list[int]], list[list[int]]]:
    """The tokens of two conversations, and those that the model's body saw of them in one step of training."""
    tokenizer = load_tokenizer(chat_dir)
    model = new_reward_model(chat_dir, pad_token_id=tokenizer.pad_token_id, seed=1)
    leave_words_out(model, tokenizer, **shares)  # type: ignore[arg-type]
    seen: list[Any] = []
    model.base_model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append({"input_ids": args[0] if args else None} | kwargs), with_kwargs=True
    )
    rows = [encode_conversation(tokenizer, [TALK[0], {"role": "assistant", "content": text}])[0] for text in texts]
    ids, mask = pad_rows(rows, tokenizer.pad_token_id)
    model.train()
    torch.manual_seed(0)
    model(input_ids=ids, attention_mask=mask)
    model.eval()
    model(input_ids=ids, attention_mask=mask)
    assert torch.equal(seen[1]["input_ids"], ids)  # who only asks for a score has all of it read
    kept = seen[0]["attention_mask"].bool()
    read = [row[stays].tolist() for row, stays in zip(seen[0]["input_ids"], kept, strict=True)]
    return rows, read


def is_part(words: list[int], row: list[int]) -> bool:
    remaining = iter(row)
    return all(token in remaining for token in words)


def test_words_of_one_row_alone_are_left_out_and_marks_of_turns_stay(chat_dir: Path) -> None:
    tokenizer = load_tokenizer(chat_dir)
    rows, read = read_in_training(
        chat_dir, ("On the mat, I think.", "xyz qqq JJJ WWW 7777"), share=0.5, shared_share=0.0
    )
    marks = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    for row, other, words in zip(rows, reversed(rows), read, strict=True):
        assert is_part(words, row)
        assert [token for token in words if token in marks] == [token for token in row if token in marks]
        assert words[-1] == tokenizer.eos_token_id
        assert [token for token in words if token in other] == [token for token in row if token in other]
        alone = [token for token in row if token not in other]
        assert 0 < sum(token not in other for token in words) < len(alone)


def test_words_that_both_rows_have_go_from_both_or_from_neither(chat_dir: Path) -> None:
    rows, read = read_in_training(chat_dir, ("On the mat, I think.", "Is it on the mat?"), share=0.0, shared_share=0.9)
    shared = set(rows[0]) & set(rows[1])
    assert set(read[0]) & shared == set(read[1]) & shared < shared
    assert all(is_part(words, row) for row, words in zip(rows, read, strict=True))
    assert [token for token in read[0] if token not in shared] == [token for token in rows[0] if token not in shared]


def test_what_both_rows_have_is_looked_for_anywhere_in_them() -> None:
    ids = torch.tensor([[5, 6, 7], [8, 8, 9], [7, 5, 5], [1, 2, 9]])  # two chosen rows, then their rejected ones
    assert in_both(ids).tolist() == [[True, False, True], [False, False, True], [True] * 3, [False, False, True]]


def test_words_are_left_out_under_an_adapter_too(chat_dir: Path) -> None:
    tokenizer = load_tokenizer(chat_dir)
    adapter = {"r": 2, "target_modules": ["q_proj"]}
    model = trainable_reward_model(
        chat_dir, tokenizer, adapter=adapter, word_dropout=0.5, shared_word_dropout=0.9, seed=1
    )
    widths: list[int] = []
    model.get_base_model().base_model.register_forward_pre_hook(
        lambda _, args, kwargs: widths.append((args[0] if args else kwargs["input_ids"]).shape[1]), with_kwargs=True
    )
    ids = torch.tensor([encode_conversation(tokenizer, TALK)[0]] * 2)
    for mode in (True, False):
        model.train(mode)(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert widths[0] < widths[1] == ids.shape[1]


def test_the_mean_of_two_models_has_the_mean_of_each_weight(chat_dir: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(chat_dir)
    models = [new_reward_model(chat_dir, pad_token_id=tokenizer.pad_token_id, seed=seed) for seed in (1, 2)]
    for place, model in enumerate(models):
        save_model(model, tokenizer, tmp_path / str(place))
    mean = averaged([tmp_path / "0", tmp_path / "1"])
    expected = (models[0].score.weight.double() + models[1].score.weight.double()) / 2
    assert torch.equal(mean.score.weight, expected.float())
    # One body under two heads: the mean of the weights scores as the mean of the scores.
    scores = [score_rows(each, [[5, 6, 7]]).item() for each in models]
    assert score_rows(mean, [[5, 6, 7]]).item() == pytest.approx(sum(scores) / 2, abs=1e-6)


def test_the_base_model_is_the_one_that_the_chat_model_was_made_of(
    tiny_model: Callable[..., Any], make_artifact: Callable[..., Path], tmp_path: Path
) -> None:
    base = make_artifact(tmp_path / "base", "base", lambda out: save_model(*tiny_model(), out))

    @stage(makes="chat", reads=("base",))
    def talk(config: StageConfig, *, base: Path, out: Path) -> None:
        save_model(*tiny_model(1), out)

    chat = talk(StageConfig(seed=1), base=base, out=tmp_path / "chat")
    assert start_folder(chat, "chat") == chat
    assert start_folder(chat, "base") == base.resolve()
    of_another = read_manifest(base)["digest"]
    told = chat / "manifest.json"
    told.write_text(told.read_text().replace(of_another, "sha256:" + "0" * 64))
    with pytest.raises(ArtifactError, match="the base model that it was made of is not beside it"):
        start_folder(chat, "base")


def test_a_chat_model_of_unknown_origin_has_no_base_to_start_from(chat_dir: Path) -> None:
    with pytest.raises(ArtifactError, match="start_from: base needs it"):
        start_folder(chat_dir, "base")
