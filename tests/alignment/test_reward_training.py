from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hftrain.alignment.reward import new_reward_model, score_rows
from hftrain.alignment.reward_training import averaged, leave_words_out, start_folder
from hftrain.artifacts import stage
from hftrain.config import StageConfig
from hftrain.errors import ArtifactError
from hftrain.models.loading import save_model
from hftrain.tokens.chat import encode_conversation, load_tokenizer

TALK = [{"role": "user", "content": "Where is the cat?"}, {"role": "assistant", "content": "On the mat, I think."}]


def test_while_it_trains_a_model_reads_fewer_words_and_every_mark_of_a_turn(chat_dir: Path) -> None:
    tokenizer = load_tokenizer(chat_dir)
    model = new_reward_model(chat_dir, pad_token_id=tokenizer.pad_token_id, seed=1)
    leave_words_out(model, tokenizer, 0.5)
    seen: list[Any] = []
    model.base_model.register_forward_pre_hook(lambda _, args, kwargs: seen.append((args, kwargs)), with_kwargs=True)
    row = encode_conversation(tokenizer, TALK)[0]
    ids = torch.tensor([row, [*row[:-4], tokenizer.eos_token_id, *[tokenizer.pad_token_id] * 3]])
    mask = (ids != tokenizer.pad_token_id).long()

    torch.manual_seed(0)
    model.train()
    model(input_ids=ids, attention_mask=mask)
    model.eval()
    model(input_ids=ids, attention_mask=mask)

    args, kwargs = seen[0]
    read = kwargs.get("input_ids", args[0] if args else None)
    kept = kwargs["attention_mask"].bool()
    marks = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    for before, after, is_kept in zip(ids.tolist(), read.tolist(), kept.tolist(), strict=True):
        words = [token for token, stays in zip(after, is_kept, strict=True) if stays]
        assert [token for token in words if token in marks] == [token for token in before if token in marks]
        assert words[-1] == tokenizer.eos_token_id
        remaining = iter(before)
        assert all(token in remaining for token in words)  # in their order
        assert len(words) < sum(token != tokenizer.pad_token_id for token in before)
    assert torch.equal(seen[1][1].get("input_ids", seen[1][0][0] if seen[1][0] else None), ids)


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
    make_artifact(tmp_path / "base", "base", lambda out: save_model(*tiny_model(2), out))
    (tmp_path / "base" / "manifest.json").write_text(
        (tmp_path / "base" / "manifest.json").read_text().replace('"digest": "sha256:', '"digest": "sha256:0')
    )
    with pytest.raises(ArtifactError, match="the base model that it was made of is not beside it"):
        start_folder(chat, "base")


def test_a_chat_model_of_unknown_origin_has_no_base_to_start_from(chat_dir: Path) -> None:
    with pytest.raises(ArtifactError, match="start_from: base needs it"):
        start_folder(chat_dir, "base")
