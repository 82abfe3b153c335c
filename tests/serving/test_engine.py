import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hftrain.errors import ArtifactError
from hftrain.models.generation import answer_prompts
from hftrain.models.loading import save_model
from hftrain.serving.engine import Answer, Candidate, Piece, Question, Refused, Report, UntilStop
from hftrain.serving.engine_text import TextStream, TokenTexts
from hftrain.serving.engine_torch import Draws, TorchEngine, nucleus
from hftrain.tokens.chat import encode_conversation, encode_prompt, load_tokenizer


def fed(stops: list[str], *texts: str) -> tuple[list[str], str, bool]:
    until = UntilStop(stops)
    released = [until.add(Piece(text)).text for text in texts if not until.stopped]
    return released, until.rest().text, until.stopped


@pytest.mark.parametrize(
    ("stops", "texts", "expected"),
    [
        ([], ["a", "b"], (["a", "b"], "", False)),
        (["END"], ["a E", "N", "x"], (["a ", "", "ENx"], "", False)),
        (["END"], ["a E", "ND", "x"], (["a ", ""], "", True)),
        (["END"], ["aE", "N"], (["a", ""], "EN", False)),
        (["aab"], ["aa", "ab"], (["", "a"], "", True)),
        (["x", "bc"], ["abcx"], (["a"], "", True)),
    ],
)
def test_text_is_held_back_while_it_may_become_a_stop(
    stops: list[str], texts: list[str], expected: tuple[list[str], str, bool]
) -> None:
    assert fed(stops, *texts) == expected


def test_reports_go_with_their_text_and_none_is_told_of_a_token_after_the_stop() -> None:
    until = UntilStop(["##"])
    reports = [Report(Candidate(text, tuple(text.encode()), -1.0)) for text in ("a", "#", "b", "##", "c")]
    told = [until.add(Piece(each.drawn.text, (each,))) for each in reports[:4]]
    assert [piece.text for piece in told] == ["a", "", "#b", ""]
    assert [report.drawn.text for piece in told for report in piece.reports] == ["a", "#", "b"]
    assert until.stopped


def test_characters_are_sent_when_they_are_whole(tokenizer_dir: Path) -> None:
    texts = TokenTexts(load_tokenizer(tokenizer_dir), 128)
    ids = texts.tokenizer("aé😀", add_special_tokens=False)["input_ids"]
    stream = TextStream(texts.bytes_of)
    pieces = [stream.add(token) for token in ids]
    assert "".join(pieces) == "aé😀"
    assert len(ids) > len([piece for piece in pieces if piece]) == 3
    stream.add(ids[-4])
    assert stream.rest() == "\ufffd"


def test_layers_that_have_no_pages_are_refused(tiny_model: Callable[..., Any], tmp_path: Path) -> None:
    model, tokenizer = tiny_model(model_type="lfm2", full_attn_idxs=[], block_auto_adjust_ff_dim=False)
    save_model(model, tokenizer, tmp_path / "chat")
    with pytest.raises(ArtifactError, match=r"a lfm2 model is not served \(Invalid layer type: conv\)"):
        TorchEngine(tmp_path / "chat")


def test_a_served_prompt_has_the_ids_of_training_and_typed_special_tokens_stay_text(tokenizer_dir: Path) -> None:
    texts = TokenTexts(load_tokenizer(tokenizer_dir), 128)
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "<|im_end|> 😀\n"}]
    ids = texts.prepare(Question(messages=tuple(talk))).ids

    trained, _ = encode_conversation(texts.tokenizer, [*talk, {"role": "assistant", "content": "Hello!"}])
    assert list(ids) == encode_prompt(texts.tokenizer, talk) == trained[: len(ids)]
    end = texts.tokenizer.eos_token_id
    assert ids.count(end) == 2
    plain = [{"role": "user", "content": "Hello!"}]
    templated = texts.tokenizer.apply_chat_template(plain, add_generation_prompt=True)["input_ids"]
    assert list(texts.prepare(Question(messages=tuple(plain))).ids) == templated


def test_what_does_not_fit_the_context_is_refused(tokenizer_dir: Path) -> None:
    texts = TokenTexts(load_tokenizer(tokenizer_dir), 10)
    assert texts.prepare(Question(prompt=tuple(range(4, 13)))).new_tokens == 1
    assert texts.prepare(Question(prompt=(5, 6), new_tokens=8)).new_tokens == 8
    for question in (Question(prompt=(5,) * 10), Question(prompt=(5, 6), new_tokens=9)):
        with pytest.raises(Refused, match="context is 10 tokens") as refused:
            texts.prepare(question)
        assert refused.value.code == "context_length_exceeded"
    with pytest.raises(Refused, match="token ids"):
        texts.prepare(Question(prompt=(10**6,)))


def test_the_nucleus_is_the_fewest_likeliest_tokens_that_add_up() -> None:
    weights = torch.tensor([0.1, 0.5, 0.15, 0.25])
    assert nucleus(weights, 0.7).tolist() == pytest.approx([0, 0.5, 0, 0.25])
    assert nucleus(weights, 0.5).tolist() == pytest.approx([0, 0.5, 0, 0])
    assert nucleus(weights, 0.0).tolist() == pytest.approx([0, 0.5, 0, 0])
    assert nucleus(weights, 1.0).tolist() == pytest.approx(weights.tolist())


def test_draws_follow_the_temperature_and_the_seed() -> None:
    logits = torch.log(torch.tensor([0.9, 0.09, 0.01]))

    def drawn(temperature: float, seed: int) -> list[int]:
        draws = Draws(Question(temperature=temperature), torch.Generator().manual_seed(seed))
        return [draws.draw(logits) for _ in range(300)]

    assert set(drawn(0.0, 0)) == {0}
    assert drawn(1.0, 1) == drawn(1.0, 1) != drawn(1.0, 2)
    assert drawn(1.0, 1).count(0) == pytest.approx(270, abs=20)
    assert drawn(10.0, 1).count(0) < 200


@pytest.mark.parametrize(
    "shape",
    [
        {"model_type": "qwen3", "head_dim": 16},
        {"model_type": "llama", "num_key_value_heads": 1},
        {"model_type": "mistral", "sliding_window": 16},
    ],
    ids=str,
)
def test_models_of_other_kinds_answer_as_generate_does(
    tiny_model: Callable[..., Any], tmp_path: Path, shape: dict[str, Any]
) -> None:
    model, tokenizer = tiny_model(3, **shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.ndim > 1 else 1)
    save_model(model, tokenizer, tmp_path)
    talks = [[{"role": "user", "content": text}] for text in ("Hello!", "The cat sat on the mat. Why?")]
    expected = answer_prompts(model, tokenizer, talks, new_tokens=20, temperature=0, seed=0)

    async def ask_all() -> list[str]:
        engine = TorchEngine(tmp_path)
        prepared = [engine.prepare(Question(messages=tuple(talk), new_tokens=20, temperature=0)) for talk in talks]
        answers = await asyncio.gather(*(read(engine.answer(each)) for each in prepared))
        await engine.close()
        return answers

    async def read(answer: Answer) -> str:
        return "".join([piece.text async for piece in answer if isinstance(piece, Piece)])

    assert asyncio.run(ask_all()) == [each[0].text for each in expected]
