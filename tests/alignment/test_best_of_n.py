from typing import Any

import pytest

from hftrain.alignment.best_of_n import Picks, mixed_with
from hftrain.models.generation import Answer

ASKED = [{"role": "user", "content": "Hi"}]


def answers(*ended: bool) -> list[Answer]:
    return [Answer(text=f"answer {place}", tokens=(1, 2), ended=each) for place, each in enumerate(ended)]


def test_the_best_of_the_answers_that_ended_is_picked_the_first_of_equals() -> None:
    picks = Picks()
    picks.add(ASKED, answers(True, True, False, True), [1.0, 3.0, 9.0, 3.0], 0.0)
    assert picks.rows == [
        {"prompt": ASKED, "answer": "answer 1", "reward": 3.0, "mean_reward": pytest.approx(7 / 3)},
    ]


def test_prompts_without_a_pick_are_counted_by_reason() -> None:
    picks = Picks()
    picks.add(ASKED, answers(False, False), [1.0, 2.0], 0.0)
    picks.add(ASKED, answers(True, True), [1.0, 1.0], 0.0)
    picks.add(ASKED, answers(True, True), [1.0, 2.0], 0.5)  # the best is exactly 0.5 above the mean
    picks.add(ASKED, answers(True, True), [1.0, 2.2], 0.5)
    account = picks.account()
    assert (account["picked"], account["none_ended"], account["too_small_gain"]) == (1, 1, 2)
    assert account["picked_reward"] - account["mean_reward"] == pytest.approx(0.6)


def test_enough_conversations_are_mixed_in_to_make_up_their_share() -> None:
    picks: list[dict[str, Any]] = [{"prompt": ASKED, "answer": f"{place}"} for place in range(6)]
    others = [[{"role": "user", "content": f"{place}"}] for place in range(9)]
    talks, mixed_in = mixed_with(picks, others, share=0.25, seed=1)
    assert (len(talks), mixed_in) == (8, 2)
    assert talks[0] == [*ASKED, {"role": "assistant", "content": "0"}]
    assert all(talk in others for talk in talks[6:])
    assert mixed_with(picks, others, share=0.25, seed=1)[0] == talks
    assert mixed_with(picks, others, share=0.0, seed=1)[1] == 0
    assert mixed_with(picks, others, share=0.9, seed=1)[1] == 9, "there are no more"
