from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from hftrain.tokens import merges
from hftrain.tokens.merges import learn_merges

WORDS = st.dictionaries(st.text(alphabet="ab", min_size=1, max_size=14), st.integers(1, 40), max_size=30)


def upstream(word_counts: dict[str, int], vocab_size: int) -> tuple[dict[str, int], list[list[str]]]:
    """What tokenizers' own trainer learns from the words, each as often as it is counted."""
    import json

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=["a", "b"], show_progress=False)
    tokenizer.train_from_iterator((word for word, count in word_counts.items() for _ in range(count)), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], model["merges"]


@settings(deadline=None, max_examples=40)
@given(WORDS, st.integers(2, 60), st.sampled_from([0, 2, 64]))
def test_merges_are_those_of_tokenizers_own_trainer(word_counts, vocab_size, few) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merges, "FEW", few)  # arrays, loops, and both
        vocabulary, learned = learn_merges(word_counts, ["a", "b"], vocab_size=vocab_size)

    assert (vocabulary, [list(pair) for pair in learned]) == upstream(word_counts, vocab_size)


def test_the_commonest_pair_is_joined_first_and_of_equals_the_one_of_smaller_ids() -> None:
    vocabulary, learned = learn_merges({"low": 5, "lower": 2, "newest": 6}, sorted("elnorstw"), vocab_size=11)

    # we: 2 + 6 = 8; then lo: 5 + 2 = 7; of n-e, e-we, we-s and s-t, 6 each, e-we has the smallest id in front.
    assert learned == [("w", "e"), ("l", "o"), ("e", "we")]
    assert vocabulary["ewe"] == 10


def test_no_pair_is_left_when_every_word_is_a_token() -> None:
    assert learn_merges(Counter({"ab": 3}), ["a", "b"], vocab_size=100) == ({"a": 0, "b": 1, "ab": 2}, [("a", "b")])
    assert learn_merges({}, ["a", "b"], vocab_size=100) == ({"a": 0, "b": 1}, [])


def test_a_word_without_letters_counts_for_nothing() -> None:
    for words in ({"": 9, "ab": 3}, {"ab": 3, "": 9}, {"ab": 2, "": 9, "abb": 1}):
        _, learned = learn_merges(words, ["a", "b"], vocab_size=3)
        assert learned == [("a", "b")]
    assert learn_merges({"a": 2, "": 9, "b": 2}, ["a", "b"], vocab_size=3)[1] == []


def test_a_run_of_one_letter_is_joined_from_the_left() -> None:
    vocabulary, learned = learn_merges({"aaaaa": 2, "aa": 1}, ["a"], vocab_size=3)

    assert learned == [("a", "a"), ("aa", "a")]  # aa aa a, then aa aaa: of two equals, the smaller ids
    assert list(vocabulary) == ["a", "aa", "aaa"]
