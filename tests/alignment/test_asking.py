from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hftrain.alignment.asking import ask_model, prompt_room
from hftrain.errors import ConfigError, DataError

ASKED: dict[str, Any] = {
    "answers_per_prompt": 2, "new_tokens": 4, "temperature": 1.0, "judge": "concise", "options": {}, "seed": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory, make_artifact: Callable[..., Path]) -> Path:
    """Twelve questions to train on and eight others held out, the last of each too long for the context."""
    from hftrain.corpus.storage import CONVERSATION_FEATURES, write_rows

    def rows(questions: list[str]) -> list[dict[str, Any]]:
        common = {"source": "test", "license": "CC0-1.0", "meta": "{}"}
        said = [[{"role": "user", "content": each}, {"role": "assistant", "content": "Yes"}] for each in questions]
        return [{"id": str(place), "messages": talk, **common} for place, talk in enumerate(said)]

    def write(out: Path) -> None:
        long = "xyz" * 200
        for split, numbers in (("train", range(11)), ("heldout", range(20, 27))):
            questions = [*map(str, numbers), f"{split} {long}"]
            write_rows(out / "conversations" / split, rows(questions), CONVERSATION_FEATURES)

    return make_artifact(tmp_path_factory.mktemp("talks") / "corpus", "corpus", write)


def test_a_prompt_has_the_room_that_the_answer_leaves(tiny_model: Callable[..., Any]) -> None:
    model, _ = tiny_model()
    assert prompt_room(model, new_tokens=28) == 100
    with pytest.raises(ConfigError, match="new_tokens: 128, but the chat model's context is 128"):
        prompt_room(model, new_tokens=128)


def test_a_quarter_as_many_held_out_prompts_are_asked(chat_dir: Path, talks: Path) -> None:
    splits = ask_model(chat_dir, talks, prompts=8, **ASKED).splits
    assert [len(splits[split]) for split in ("train", "heldout")] == [8, 2]
    assert all(len(each.answers) + each.duplicates == 2 for each in splits["train"])


def test_without_a_limit_all_are_asked_but_those_that_leave_no_room(chat_dir: Path, talks: Path) -> None:
    collected = ask_model(chat_dir, talks, prompts=None, **ASKED)
    assert [len(collected.splits[split]) for split in ("train", "heldout")] == [11, 7]
    assert collected.origin["prompts_too_long"] == 2


def test_a_split_whose_prompts_leave_no_room_is_refused(chat_dir: Path, talks: Path) -> None:
    with pytest.raises(DataError, match="conversations/train: gives no prompt.*12 prompts leave no room"):
        ask_model(chat_dir, talks, prompts=None, **ASKED | {"new_tokens": 126})
