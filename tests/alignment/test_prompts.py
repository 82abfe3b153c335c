from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hftrain.alignment.prompts import check_models, read_prompts
from hftrain.errors import ArtifactError, ConfigError, DataError
from hftrain.tokens.chat import load_tokenizer

Make = Callable[[Path, str, Callable[[Path], None]], Path]


def corpus_of(make_artifact: Make, folder: Path, train: list[str], heldout: list[str]) -> Path:
    """A corpus in which people ask these."""
    from hftrain.corpus.storage import CONVERSATION_FEATURES, write_rows

    def write(out: Path) -> None:
        for split, asked in (("train", train), ("heldout", heldout)):
            rows = [
                {
                    "id": f"{split}{index}",
                    "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}],
                    "source": "test",
                    "license": "CC0-1.0",
                    "meta": "{}",
                }
                for index, text in enumerate(asked)
            ]
            write_rows(out / "conversations" / split, rows, CONVERSATION_FEATURES)

    return make_artifact(folder / "corpus", "corpus", write)


def read(corpus: Path, tokenizer_dir: Path, **given: Any) -> Any:
    options = {"max_prompt_tokens": 40, "heldout_limit": 10, "seed": 0, **given}
    return read_prompts(corpus, load_tokenizer(tokenizer_dir), **options)


def test_each_prompt_is_asked_once_and_none_is_in_both_splits(
    make_artifact: Make, tokenizer_dir: Path, tmp_path: Path
) -> None:
    corpus = corpus_of(make_artifact, tmp_path, ["Hello!", "hello!", "Who?"], ["Hello!", "Where?", "When?"])
    prompts = read(corpus, tokenizer_dir)
    assert len(prompts.train) == 2
    assert sorted(messages[-1]["content"] for messages in prompts.heldout_messages) == ["When?", "Where?"]


def test_a_prompt_ends_where_the_assistant_begins(make_artifact: Make, tokenizer_dir: Path, tmp_path: Path) -> None:
    corpus = corpus_of(make_artifact, tmp_path, ["Hi"], ["Where?", "When?"])
    prompts = read(corpus, tokenizer_dir)
    text = load_tokenizer(tokenizer_dir).decode(prompts.train[0])
    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_long_prompts_are_left_out_and_counted(make_artifact: Make, tokenizer_dir: Path, tmp_path: Path) -> None:
    corpus = corpus_of(make_artifact, tmp_path, ["Hi", "zq " * 40], ["Where?", "When?", "qz " * 40])
    prompts = read(corpus, tokenizer_dir)
    assert (len(prompts.train), len(prompts.heldout), prompts.too_long) == (1, 2, 2)


def test_the_held_out_limit_draws_by_the_seed(make_artifact: Make, tokenizer_dir: Path, tmp_path: Path) -> None:
    corpus = corpus_of(make_artifact, tmp_path, ["Hi"], [f"Number {index}?" for index in range(20)])
    first, again, other = (read(corpus, tokenizer_dir, heldout_limit=3, seed=seed) for seed in (0, 0, 1))
    assert len(first.heldout) == 3
    assert first.heldout == again.heldout != other.heldout


@pytest.mark.parametrize(
    ("train", "heldout", "problem"),
    [
        (["zq " * 60], ["Where?", "When?"], "conversations/train: 0 prompts are left; 1 of both"),
        (["Hi"], ["Hi", "Where?"], "conversations/heldout: 1 prompts are left"),
    ],
)
def test_too_few_prompts_are_refused(
    make_artifact: Make, tokenizer_dir: Path, tmp_path: Path, train: list[str], heldout: list[str], problem: str
) -> None:
    corpus = corpus_of(make_artifact, tmp_path, train, heldout)
    with pytest.raises(DataError, match=problem):
        read(corpus, tokenizer_dir)


def test_a_context_that_prompt_and_answer_overrun_is_refused(chat_dir: Path) -> None:
    check_models(chat_dir, chat_dir, max_prompt_tokens=100, new_tokens=28)
    with pytest.raises(ConfigError, match=r"up to 100 tokens .* up to 29 .* is 128 tokens"):
        check_models(chat_dir, chat_dir, max_prompt_tokens=100, new_tokens=29)


def test_a_reward_model_with_other_tokens_is_refused(chat_dir: Path, tmp_path: Path) -> None:
    from hftrain.tokens.vocabulary import learn_vocabulary, save_tokenizer

    save_tokenizer(learn_vocabulary(["ab ba abba " * 20], vocab_size=262), tmp_path / "reward")
    with pytest.raises(ArtifactError, match="both need one tokenizer"):
        check_models(chat_dir, tmp_path / "reward", max_prompt_tokens=8, new_tokens=8)
