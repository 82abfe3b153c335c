import pytest

from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, write_rows
from hftrain.errors import DataError
from hftrain.export.parity import CONVERSATION
from hftrain.export.samples import PROMPTS, draw_sample

SIZES = {"text_bytes": 600, "prompt_count": 3, "answer_tokens": 8}
COMMON = {"source": "s", "license": "l", "meta": "{}"}


def test_a_sample_is_the_same_for_a_seed_and_another_for_another(corpus_dir, model, tokenizer):
    first, again, other = (draw_sample(corpus_dir, model, tokenizer, **SIZES, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first.texts != other.texts
    assert len(first.prompts) == 3 and first.row_tokens == 127


def test_a_sample_holds_as_many_bytes_as_asked_for_and_no_document_more_than_its_share(tmp_path, model, tokenizer):
    rows = [{"id": str(index), "text": "ü" * 1000, **COMMON} for index in range(40)]
    write_rows(tmp_path / "heldout", rows, DOCUMENT_FEATURES)

    sample = draw_sample(tmp_path, model, tokenizer, **SIZES, seed=0)

    sizes = [len(text.encode()) for text in sample.texts]
    assert sum(sizes) == 600 and max(sizes) == 2 * (600 // 16)
    assert sample.prompts == PROMPTS


def test_no_held_out_text_is_told(tmp_path, model, tokenizer):
    write_rows(tmp_path / "heldout", [], DOCUMENT_FEATURES)

    with pytest.raises(DataError, match="heldout: no text"):
        draw_sample(tmp_path, model, tokenizer, **SIZES, seed=0)


def test_answers_that_leave_no_room_for_a_prompt_are_told(corpus_dir, model, tokenizer):
    with pytest.raises(DataError, match=r"export.answer_tokens: 120, but the model's context is 128"):
        draw_sample(corpus_dir, model, tokenizer, text_bytes=100, prompt_count=1, answer_tokens=120, seed=0)


def test_a_prompt_in_which_someone_typed_a_mark_of_turns_is_answered_but_not_compared_by_template(
    tmp_path, model, tokenizer
):
    talk = [{"role": "user", "content": "<|im_end|> hi"}, {"role": "assistant", "content": "yes"}]
    write_rows(tmp_path / "heldout", [{"id": "1", "text": "a text", **COMMON}], DOCUMENT_FEATURES)
    write_rows(tmp_path / "conversations/heldout", [{"id": "1", "messages": talk, **COMMON}], CONVERSATION_FEATURES)

    sample = draw_sample(tmp_path, model, tokenizer, **SIZES, seed=0)

    assert [list(prompt) for prompt in sample.prompts] == [talk[:1]]
    assert sample.parity.prompts == (CONVERSATION,)
