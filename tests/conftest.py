"""What tests share: a tokenizer and a model made on the spot, and finished artifacts to read."""

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest

from hftrain.artifacts import stage
from hftrain.config import StageConfig

STORIES = [
    "The cat sat on the mat and looked at the red ball.",
    "A small dog ran after the ball, and the cat ran after the dog.",
    "The sun was warm. The children played in the garden until the evening.",
    "What is your name? My name is Ann. Do you like books? Yes, I like books.",
    "Hello! How are you today? I am fine, thank you. Good night, and good bye.",
]

TALKS = [
    [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello! How are you today?"}],
    [{"role": "user", "content": "What is your name?"}, {"role": "assistant", "content": "My name is Ann."}],
    [{"role": "user", "content": "Do you like books?"}, {"role": "assistant", "content": "Yes, I like books."}],
    [{"role": "user", "content": "Where is the cat?"}, {"role": "assistant", "content": "The cat sat on the mat."}],
]


def finish(folder: Path, kind: str, write: Callable[[Path], None]) -> Path:
    """A finished artifact of this kind, filled by ``write(out)``."""

    @stage(makes=kind)
    def given(config: StageConfig, *, out: Path) -> None:
        write(out)

    return given(StageConfig(seed=0), out=folder)


@pytest.fixture(scope="session")
def make_artifact() -> Callable[[Path, str, Callable[[Path], None]], Path]:
    """``make_artifact(folder, kind, write)``: a finished artifact of this kind, filled by ``write(out)``."""
    return finish


@pytest.fixture(scope="session")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tokenizer of 320 tokens."""
    from hftrain.tokens.vocabulary import learn_vocabulary, save_tokenizer

    folder = tmp_path_factory.mktemp("tokens") / "tokenizer"
    return finish(folder, "tokenizer", lambda out: save_tokenizer(learn_vocabulary(STORIES * 3, vocab_size=320), out))


@pytest.fixture(scope="session")
def tiny_model(tokenizer_dir: Path) -> Callable[..., tuple[object, object]]:
    """Makes a random Llama of 1 layer, 32 wide, and its tokenizer."""

    def make(seed: int = 0, **settings: object) -> tuple[object, object]:
        import torch

        from hftrain.models.loading import new_causal_lm
        from hftrain.tokens.chat import load_tokenizer

        tokenizer = load_tokenizer(tokenizer_dir)
        shape = {
            "model_type": "llama",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
        }
        torch.manual_seed(seed)
        return new_causal_lm(shape | settings, tokenizer, context_tokens=128), tokenizer

    return make


@pytest.fixture(scope="session")
def chat_dir(tmp_path_factory: pytest.TempPathFactory, tiny_model: Callable[..., tuple[object, object]]) -> Path:
    """A finished chat model: random weights, with the tokenizer."""
    from hftrain.models.loading import save_model

    model, tokenizer = tiny_model()
    folder = tmp_path_factory.mktemp("models") / "chat"
    return finish(folder, "chat", lambda out: save_model(model, tokenizer, out))


@pytest.fixture(scope="session")
def corpus_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished corpus: short stories and conversations, the same in train and held-out."""
    from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, write_rows

    def write(out: Path) -> None:
        common = {"source": "test", "license": "CC0-1.0", "meta": "{}"}
        documents = [{"id": f"d{index}", "text": text, **common} for index, text in enumerate(STORIES * 20)]
        talks = [{"id": f"c{index}", "messages": talk, **common} for index, talk in enumerate(TALKS * 4)]
        for split in ("train", "heldout"):
            write_rows(out / split, documents, DOCUMENT_FEATURES)
            write_rows(out / "conversations" / split, talks, CONVERSATION_FEATURES)

    return finish(tmp_path_factory.mktemp("corpora") / "corpus", "corpus", write)
