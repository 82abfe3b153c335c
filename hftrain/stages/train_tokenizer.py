"""corpus -> tokenizer."""

from dataclasses import dataclass
from pathlib import Path

from hftrain.artifacts import stage, write_json
from hftrain.config import StageConfig


@dataclass(frozen=True, kw_only=True)
class TrainTokenizerConfig(StageConfig):
    """How the vocabulary is learned."""

    vocab_size: int = 4096
    """Tokens in the vocabulary, the 256 bytes and the special tokens included."""

    text_bytes: int = 20_000_000
    """How much training text to learn from, in UTF-8 bytes; documents are taken in a shuffled order."""

    heldout_bytes: int = 500_000
    """How much held-out text the report measures compression on."""


@stage(makes="tokenizer", reads=("corpus",))
def train_tokenizer(config: TrainTokenizerConfig, *, corpus: Path, out: Path) -> None:
    """Learn a byte-level BPE vocabulary with a chat template, check that it loads alike, report its compression."""
    from hftrain.corpus.splits import conversations_of, take_bytes, texts_of
    from hftrain.runtime import progress
    from hftrain.tokens.vocabulary import check_saved, compression, learn_vocabulary, save_tokenizer

    texts = take_bytes(texts_of(corpus, "train", shuffled_by=config.seed), config.text_bytes)
    spoken = [message["content"] for talk in conversations_of(corpus, "train") for message in talk]
    tokenizer = learn_vocabulary(
        progress([*texts, *spoken], unit="text", description="learning words"), vocab_size=config.vocab_size
    )
    save_tokenizer(tokenizer, out)
    heldout = take_bytes(texts_of(corpus, "heldout"), config.heldout_bytes)
    check_saved(tokenizer, out)
    check_saved(tokenizer, out, heldout[:200])
    talks = [message["content"] for talk in conversations_of(corpus, "heldout") for message in talk]
    report = {"documents": compression(tokenizer, heldout), "conversations": compression(tokenizer, talks)}
    write_json(out / "report.json", report)
    write_json(
        out / "summary.json",
        {
            "tokens": len(tokenizer),
            "learned_from_bytes": sum(len(text.encode()) for text in texts + spoken),
            "heldout_bytes_per_token": report["documents"]["bytes_per_token"],
            "conversation_bytes_per_token": report["conversations"]["bytes_per_token"],
            "used_share": report["documents"]["used_share"],
        },
    )
