"""Small whole things to damage: a corpus, a tokenizer, a model of each kind, as finished artifacts and as folders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

STORIES = [
    "The cat sat on the mat and looked at the red ball.",
    "A small dog ran after the ball, and the cat ran after the dog.",
    "The sun was warm. The children played in the garden until the evening.",
    "What is your name? My name is Ann. Do you like books? Yes, I like books.",
]
TALKS = [("Hello!", "Hello! How are you today?"), ("What is your name?", "My name is Ann."), ("Where is it?", "Here.")]
SHAPE: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": False,
}  # fmt: skip
CONTEXT_TOKENS = 64


def finish(folder: Path, kind: str, write: Callable[[Path], None]) -> Path:
    """A finished artifact of this kind, filled by ``write(out)``."""
    from hftrain.artifacts import stage
    from hftrain.config import StageConfig

    @stage(makes=kind)
    def given(config: StageConfig, *, out: Path) -> None:
        write(out)

    return given(StageConfig(seed=0), out=folder)


def lay(run: Path) -> Path:
    """``corpus``, ``tokenizer`` and ``base`` in a run's folder, each a finished artifact."""
    import torch

    from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, write_rows
    from hftrain.models.loading import new_causal_lm, save_model
    from hftrain.tokens.vocabulary import learn_vocabulary, save_tokenizer

    tokenizer = learn_vocabulary(STORIES * 3, vocab_size=300)
    torch.manual_seed(0)
    model = new_causal_lm(SHAPE, tokenizer, context_tokens=CONTEXT_TOKENS)

    def corpus(out: Path) -> None:
        common = {"source": "test", "license": "CC0-1.0", "meta": "{}"}
        documents = [{"id": f"d{place}", "text": text, **common} for place, text in enumerate(STORIES * 8)]
        talks = [
            {
                "id": f"c{place}",
                "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}],
            }
            | common
            for place, (asked, said) in enumerate(TALKS * 6)
        ]
        for split in ("train", "heldout"):
            write_rows(out / split, documents, DOCUMENT_FEATURES)
            write_rows(out / "conversations" / split, talks, CONVERSATION_FEATURES)

    finish(run / "corpus", "corpus", corpus)
    finish(run / "tokenizer", "tokenizer", lambda out: save_tokenizer(tokenizer, out))
    finish(run / "base", "base", lambda out: save_model(model, tokenizer, out))
    return run
