from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hftrain.alignment.judges import Candidate, Contest, load_judge
from hftrain.alignment.judges_models import label_asker, reward_judge
from hftrain.alignment.reward import new_reward_model, score_conversations
from hftrain.errors import ConfigError
from hftrain.models.loading import load_causal_lm, save_model
from hftrain.tokens.chat import encode_prompt, encode_text, load_tokenizer

QUESTIONS = [[{"role": "user", "content": text}] for text in ("Which, A or B?", "Is the cat on the mat? A or B?")]


def test_labels_are_weighed_by_their_log_probability_as_the_first_token_of_the_answer(chat_dir: Path) -> None:
    replies = label_asker(chat_dir)(QUESTIONS, ("A", "B"))
    model, tokenizer = load_causal_lm(chat_dir), load_tokenizer(chat_dir)
    for question, reply in zip(QUESTIONS, replies, strict=True):
        with torch.no_grad():
            logits_V = model(torch.tensor([encode_prompt(tokenizer, question)])).logits[0, -1]
        log_p = {label: logits_V.log_softmax(-1)[encode_text(tokenizer, label)[0]].item() for label in "AB"}
        assert reply.said == pytest.approx(log_p, abs=1e-5)
        assert reply.shares is not None
        assert reply.shares["A"] == pytest.approx(
            1 / (1 + torch.tensor(log_p["B"] - log_p["A"]).exp().item()), abs=1e-5
        )


def test_a_question_longer_than_the_context_gets_no_label(chat_dir: Path) -> None:
    long = [{"role": "user", "content": "xyz" * 200}]
    first, second = label_asker(chat_dir)([long, QUESTIONS[0]], ("A", "B"))
    assert first.shares is None and "more than the context of 128" in str(first.said)
    assert second.shares is not None


def test_labels_must_be_single_tokens(chat_dir: Path) -> None:
    with pytest.raises(ConfigError, match="no single token for each of zebra"):
        label_asker(chat_dir)(QUESTIONS, ("zebra",))


def test_a_reward_model_judges_by_its_scores(tmp_path: Path, chat_dir: Path) -> None:
    tokenizer = load_tokenizer(chat_dir)
    model = new_reward_model(chat_dir, pad_token_id=tokenizer.pad_token_id, seed=1)
    save_model(model, tokenizer, tmp_path / "reward")
    contests = [
        Contest(QUESTIONS[0], (Candidate("A", True), Candidate("B, I think", True))),
        Contest(QUESTIONS[1], (Candidate("Yes", True),)),
    ]
    judged = load_judge("reward_model", {"model": str(tmp_path)})(contests)
    talks = [
        [*contest.prompt, {"role": "assistant", "content": each.text}]
        for contest in contests
        for each in contest.candidates
    ]
    expected = score_conversations(model, tokenizer, talks).tolist()
    assert [score for each in judged.verdicts for score in each.scores] == pytest.approx(expected, abs=1e-5)
    assert judged.verdicts == reward_judge(tmp_path / "reward")(contests).verdicts


def test_a_chat_model_is_asked_in_both_orders_and_what_it_says_is_kept(
    tmp_path: Path, tiny_model: Callable[..., Any]
) -> None:
    save_model(*tiny_model(max_position_embeddings=1024), tmp_path)
    contest = Contest(QUESTIONS[0], (Candidate("Yes", True), Candidate("No", True)))
    judged = load_judge("model", {"model": str(tmp_path)})([contest])
    assert judged.numbers["judge_pairs"] == 1
    assert [(row["first"], row["second"], set(row["reply"])) for row in judged.asked] == [
        (0, 1, {"A", "B"}),
        (1, 0, {"A", "B"}),
    ]
    first_wins = [row["reply"]["A"] > row["reply"]["B"] for row in judged.asked]
    assert judged.numbers["judge_flipped_share"] == float(first_wins[0] == first_wins[1])
