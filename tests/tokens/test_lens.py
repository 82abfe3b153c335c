from pathlib import Path
from typing import Any

import pytest

from hftrain.errors import DataError
from hftrain.tokens.chat import load_tokenizer
from hftrain.tokens.lens import LabelledRows, as_line, check_labels, label_conversations, show_labels, tokens_by_source

TALK = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "My name is Ann."}]


@pytest.fixture(scope="module")
def tokenizer(tokenizer_dir: Path) -> Any:
    return load_tokenizer(tokenizer_dir)


def test_a_row_on_one_line_brackets_what_is_trained(tokenizer: Any) -> None:
    row = label_conversations(tokenizer, [TALK], max_row_tokens=100).rows[0]
    line = as_line(show_labels(tokenizer, row))
    assert line == "<|im_start|>user⏎Hello!<|im_end|>⏎<|im_start|>assistant⏎⟦My name is Ann.<|im_end|>⟧"


def test_a_character_of_several_tokens_is_shown_whole(tokenizer: Any) -> None:
    talk = [TALK[0], {"role": "assistant", "content": "né 🙂!"}]
    shown = show_labels(tokenizer, label_conversations(tokenizer, [talk], max_row_tokens=100).rows[0])
    assert "".join(piece["text"] for piece in shown if piece["trained"]) == "né 🙂!<|im_end|>"
    assert "🙂" in [piece["text"] for piece in shown]


def test_rows_too_long_or_without_answer_are_left_out_whole_and_counted(tokenizer: Any) -> None:
    long = [TALK[0], {"role": "assistant", "content": "so " * 300}]
    labelled = label_conversations(tokenizer, [TALK, long, TALK[:1]], max_row_tokens=100)
    assert len(labelled.rows) == 1
    assert labelled.dropped == {"too_long": 1, "no_answer": 1}
    with pytest.raises(DataError, match=r"2 of 3 .*no_answer 1, too_long 1"):
        check_labels(tokenizer, labelled, max_dropped_share=0.5)


@pytest.mark.parametrize(
    ("ids", "labels", "message"),
    [
        ([5, 6, 3], [-100, -100, -100], "every label is masked"),
        ([5, 6, 3], [-100, 6, -100], "is a label in none of 1 rows"),
        ([5, 6, 3], [-100, 7, 3], "a label differs from the token under it"),
    ],
)
def test_rows_that_would_train_wrongly_without_a_word_are_refused(
    tokenizer: Any, ids: list[int], labels: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        check_labels(tokenizer, LabelledRows([{"input_ids": ids, "labels": labels}]), max_dropped_share=0)


def test_a_doubled_beginning_of_text_is_refused(tokenizer_dir: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_dir)
    tokenizer.bos_token = "<|endoftext|>"
    rows = LabelledRows([{"input_ids": [1, 1, 5, 3], "labels": [-100, -100, 5, 3]}])
    with pytest.raises(DataError, match="begins with '<|endoftext|>' twice"):
        check_labels(tokenizer, rows, max_dropped_share=0)


def test_tokens_are_counted_by_source_and_those_left_out_as_cut(tokenizer: Any) -> None:
    long = [TALK[0], {"role": "assistant", "content": "so " * 300}]
    labelled = label_conversations(tokenizer, [TALK, long, TALK], max_row_tokens=100, sources=["b", "a", "b"])
    ids, answer = len(labelled.rows[0]["input_ids"]), sum(label >= 0 for label in labelled.rows[0]["labels"])
    assert tokens_by_source(labelled.seen) == {
        "a": {"rows": 0, "left_out": 1, "trained": 0, "masked": 0, "cut": labelled.seen[1].tokens},
        "b": {"rows": 2, "left_out": 0, "trained": 2 * answer, "masked": 2 * (ids - answer), "cut": 0},
    }
    assert labelled.sources == ["b", "b"]


def test_a_sound_row_passes(tokenizer: Any) -> None:
    check_labels(tokenizer, label_conversations(tokenizer, [TALK], max_row_tokens=100), max_dropped_share=0)
