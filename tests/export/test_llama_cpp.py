import pytest
import torch

from hftrain.errors import ArtifactError
from hftrain.export.gguf_model import FILE, write_gguf
from hftrain.export.llama_cpp import LlamaCpp
from hftrain.models.generation import answer_prompts
from hftrain.models.scoring import score_texts
from hftrain.tokens.chat import encode_prompt

TEXTS = ["The cat sat on the mat.", "Grüße 😀 日本語", "\x00 a b\n", "The dog and the cat. " * 6]


@pytest.fixture(scope="module")
def llama(model, tokenizer, tmp_path_factory):
    path = tmp_path_factory.mktemp("llama") / FILE
    write_gguf(model, tokenizer, path, precision="f16")
    return LlamaCpp(path)


def test_llama_cpp_scores_text_as_transformers_does_in_windows_and_inside_characters(llama, model, tokenizer):
    ours = score_texts(model, tokenizer, TEXTS, row_tokens=20)

    theirs = llama.score(tokenizer, TEXTS, row_tokens=20)

    assert (theirs.tokens, theirs.bytes) == (ours.tokens, ours.bytes)
    assert theirs.bits_per_byte == pytest.approx(ours.bits_per_byte, rel=1e-3)


def test_other_windows_give_another_score(llama, tokenizer):
    narrow, wide = (llama.score(tokenizer, TEXTS, row_tokens=tokens).nats for tokens in (2, 100))

    assert narrow != pytest.approx(wide, rel=1e-3)


def test_a_greedy_answer_is_the_one_of_transformers(llama, model, tokenizer):
    prompt = [{"role": "user", "content": "Where is the cat?"}]

    [[ours]] = answer_prompts(model, tokenizer, [prompt], new_tokens=12, temperature=0, seed=0)
    theirs = llama.continue_greedily(encode_prompt(tokenizer, prompt), new_tokens=12)

    assert tuple(theirs) == ours.tokens


def test_an_answer_ends_with_its_end_token_unless_it_has_to_go_on(make_model, tokenizer, tmp_path):
    model = make_model("gpt2", tie_word_embeddings=False)
    with torch.no_grad():  # whatever came before, the end of turn is likeliest by far
        model.transformer.ln_f.bias.fill_(3)
        model.lm_head.weight[tokenizer.eos_token_id] = 3
    write_gguf(model, tokenizer, tmp_path / FILE, precision="f16")
    llama, prompt = LlamaCpp(tmp_path / FILE), encode_prompt(tokenizer, [])

    assert llama.continue_greedily(prompt, new_tokens=5) == [tokenizer.eos_token_id]
    assert len(llama.continue_greedily(prompt, new_tokens=5, stop_at_end=False)) == 5


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"GGUF, or not")

    with pytest.raises(ArtifactError, match="llama.cpp does not load it"):
        LlamaCpp(tmp_path / FILE)
