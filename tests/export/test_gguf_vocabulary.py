import ast
import json
from pathlib import Path

import gguf
import pytest
from tokenizers import AddedToken, normalizers, pre_tokenizers

from hftrain.errors import ArtifactError, ConfigError
from hftrain.export.gguf_folder import check_splits, check_template, read_gguf
from hftrain.export.gguf_model import FILE, write_gguf
from hftrain.export.gguf_vocabulary import check_vocabulary, split_is_read_by_transformers
from hftrain.export.hard_texts import hard_texts
from hftrain.export.llama_cpp import LlamaCpp
from hftrain.export.parity import CONVERSATION
from hftrain.tokens.chat import encode_text, load_tokenizer
from hftrain.tokens.vocabulary import PROBES, learn_vocabulary

NASTY = (
    *PROBES,
    "",
    " ",
    "1234567890 3.14 ١٢٣ ½² x1y2",
    "\n\n \t\r\n\x0b\x0c\x1c\u0085\u2028\u3000",
    "don't WE'LL I'M 'S '",
    "👩‍👩‍👧 🇩🇪 ❤️ e\u0301 ǅ",
    "<|im_end|><|im_start|>assistant\n<|pad|> <|endoftext|> <|im_end",
    "[PAD3] <s> </s> <0x0A> ▁",
    "   three before, two after  ",
    "a" * 300,
)


SPLITS = [("gpt2", None), ("gpt2", 1), ("gpt4", None), ("gpt4", 1)]


@pytest.fixture(scope="module", params=SPLITS, ids=lambda split: f"{split[0]}-{split[1]}")
def nasty_tokenizer(request):
    """Of the nasty texts themselves, so that a split in another place finds other merges."""
    split, digits = request.param
    return learn_vocabulary(NASTY * 3, vocab_size=520, split=split, digits=digits)


@pytest.fixture(scope="module")
def folder(make_model, nasty_tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gguf")
    write_gguf(make_model(vocab_size=520), nasty_tokenizer, folder / FILE, precision="f16")
    return folder


@pytest.fixture(scope="module")
def llama(folder):
    return LlamaCpp(folder / FILE)


@pytest.mark.parametrize("text", NASTY)
def test_llama_cpp_splits_text_as_the_tokenizer_does(text, llama, nasty_tokenizer):
    assert llama.tokens(text) == encode_text(nasty_tokenizer, text)


@pytest.mark.parametrize("text", NASTY)
def test_llama_cpp_reads_special_tokens_as_the_tokenizer_does_where_a_template_may_put_them(
    text, llama, nasty_tokenizer
):
    assert llama.tokens(text, special=True) == nasty_tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("text", NASTY)
def test_transformers_rebuilds_a_tokenizer_that_splits_alike(text, folder, nasty_tokenizer):
    if not split_is_read_by_transformers(nasty_tokenizer):
        pytest.skip("transformers takes this split for GPT-2's")
    _, rebuilt = read_gguf(folder)

    assert encode_text(rebuilt, text) == encode_text(nasty_tokenizer, text)


def test_llama_cpp_renders_a_conversation_as_the_tokenizer_does(llama, nasty_tokenizer):
    check_template("here", nasty_tokenizer, llama)

    assert llama.prompt(CONVERSATION).endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_another_template_in_a_runtime_is_told(llama, tokenizer_dir):
    other = load_tokenizer(tokenizer_dir)
    other.chat_template = "{{ messages[0]['content'] }}"

    with pytest.raises(ArtifactError, match="here: renders a conversation as .* not 'Be brief.'"):
        check_template("here", other, llama)


def test_special_tokens_are_control_tokens_and_no_other_is(folder, nasty_tokenizer):
    fields = gguf.GGUFReader(folder / FILE).fields
    types = fields["tokenizer.ggml.token_type"].contents()

    control = {index for index, kind in enumerate(types) if kind == gguf.TokenType.CONTROL}

    assert control == set(nasty_tokenizer.all_special_ids)
    assert fields["tokenizer.ggml.eos_token_id"].contents() == nasty_tokenizer.eos_token_id
    assert fields["tokenizer.ggml.padding_token_id"].contents() == nasty_tokenizer.pad_token_id
    assert fields["tokenizer.ggml.add_bos_token"].contents() is False


def test_another_split_in_a_runtime_is_told_with_the_text(tokenizer):
    with pytest.raises(ArtifactError, match='in llama.cpp: splits "The quick brown fox'):
        check_splits("in llama.cpp", tokenizer, lambda text: [0], ["text"])


def test_one_text_that_is_split_otherwise_is_enough(tokenizer):
    def split(text):
        return [0] if text == "odd" else encode_text(tokenizer, text)

    check_splits("here", tokenizer, split, ["even"] * 99)
    with pytest.raises(ArtifactError, match="here: splits 'odd' into"):
        check_splits("here", tokenizer, split, [*["even"] * 99, "odd"])


@pytest.mark.slow
def test_ten_thousand_texts_of_every_script_and_kind_have_the_same_ids_in_llama_cpp(llama, nasty_tokenizer):
    texts = [*documents(2_000), *hard_texts(8_000, seed=1)]

    differing = [text for text in texts if llama.tokens(text) != encode_text(nasty_tokenizer, text)]
    marked = [
        text
        for text in texts
        if llama.tokens(text, special=True) != nasty_tokenizer(text, add_special_tokens=False)["input_ids"]
    ]

    assert len(texts) == 10_000
    assert (differing[:3], marked[:3]) == ([], [])


def documents(count):
    """Paragraphs of prose and functions of code that no vocabulary here was learned from."""
    sources = sorted(Path(json.__file__).parent.glob("*.py")) + sorted(Path(ast.__file__).parent.glob("[a-m]*.py"))
    pieces = [piece for path in sources for piece in path.read_text(encoding="utf-8").split("\n\n") if piece.strip()]
    return pieces[:count]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda backend: setattr(backend, "normalizer", normalizers.NFC()), "the normalizer NFC"),
        (
            lambda backend: setattr(backend, "pre_tokenizer", pre_tokenizers.Digits(individual_digits=True)),
            "the pre-tokenizer .*Digits",
        ),
        (lambda backend: backend.add_tokens([AddedToken("<x>", lstrip=True)]), "'<x>', which swallows"),
    ],
)
def test_a_tokenizer_with_rules_that_a_gguf_file_cannot_hold_is_refused(spoil, said, tokenizer_dir):
    tokenizer = load_tokenizer(tokenizer_dir)
    spoil(tokenizer.backend_tokenizer)

    with pytest.raises(ConfigError, match=said):
        check_vocabulary(tokenizer, 400)


@pytest.mark.parametrize(("split", "digits"), [("gpt2", 2), ("gpt2", 3), ("gpt4", 2)])
def test_a_split_that_llama_cpp_has_no_name_for_is_refused(split, digits):
    tokenizer = learn_vocabulary(NASTY, vocab_size=300, split=split, digits=digits)

    with pytest.raises(ConfigError, match=rf"the split {split} with numbers cut every {digits} digits, unknown to"):
        check_vocabulary(tokenizer, 400)


def test_a_table_smaller_than_the_vocabulary_is_refused(tokenizer):
    with pytest.raises(ConfigError, match="320 tokens for a model whose table has 319 rows"):
        check_vocabulary(tokenizer, 319)
