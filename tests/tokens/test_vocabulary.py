import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from hftrain.tokens.chat import SPECIAL_TOKENS
from hftrain.tokens.splitting import Split
from hftrain.tokens.vocabulary import PROBES, check_saved, learn_vocabulary, save_tokenizer, vocabulary_size_for

TEXTS = [*PROBES, "The quick brown fox can't outrun the quicker fox 1234 times.\n\n“No,” it said."] * 3


def test_the_size_grows_with_the_root_of_the_text_in_powers_of_two() -> None:
    sizes = {1_000_000: 4096, 16_000_000: 16_384, 100_000_000: 32_768, 1_000_000_000: 65_536}
    assert {size: vocabulary_size_for(size) for size in sizes} == sizes


def test_the_size_never_falls_and_stays_within_its_bounds() -> None:
    sizes = [vocabulary_size_for(2**power) for power in range(50)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (2048, 65_536)


@pytest.mark.parametrize(("split", "digits"), [("gpt2", None), ("gpt2", 3), ("gpt4", None)])
def test_the_vocabulary_is_the_one_that_tokenizers_own_trainer_learns(split, digits) -> None:
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = Split(split, digits).pre_tokenizer()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(SPECIAL_TOKENS), initial_alphabet=alphabet, show_progress=False
    )
    theirs.train_from_iterator(TEXTS, trainer=trainer)

    ours = learn_vocabulary(TEXTS, vocab_size=400, split=split, digits=digits)

    rules, expected = (json.loads(each.to_str()) for each in (ours.backend_tokenizer, theirs))
    assert (rules["model"], rules["added_tokens"]) == (expected["model"], expected["added_tokens"])


@pytest.mark.parametrize("digits", [None, 1, 2, 3])
@pytest.mark.parametrize("split", ["gpt2", "gpt4"])
def test_every_split_loads_alike_and_gives_every_text_back(split, digits, tmp_path) -> None:
    tokenizer = learn_vocabulary(TEXTS, vocab_size=400, split=split, digits=digits)
    save_tokenizer(tokenizer, tmp_path)

    check_saved(tokenizer, tmp_path)
