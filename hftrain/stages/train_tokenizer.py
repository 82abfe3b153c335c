"""corpus -> tokenizer."""

import itertools
from dataclasses import dataclass
from pathlib import Path

from hftrain.artifacts import digest_file, stage, write_json
from hftrain.config import StageConfig

SMALLEST_VOCABULARY = 256 + 4
"""The bytes, and the special tokens."""

RIVAL_FILES = ("tokenizer.json", "vocab.json", "merges.txt")


@dataclass(frozen=True, kw_only=True)
class TrainTokenizerConfig(StageConfig):
    """How the vocabulary is learned."""

    vocab_size: int | None = 4096
    """Tokens in the vocabulary, the 256 bytes and the special tokens included. Not set: as many as the training text
    is worth, by ``hftrain.tokens.vocabulary.vocabulary_size_for``."""

    split: str = "gpt2"
    """Where text is cut into words: ``gpt2`` or ``gpt4``, as the tokenizers of these models do. GPT-4's keeps a quote
    or bracket with its word."""

    digits: int | None = None
    """In how many digits a number is cut: 1, 2 or 3. Not set: as the split does, ``gpt2`` nowhere, ``gpt4`` in threes.
    llama.cpp knows ``gpt2`` with 1 or none, and ``gpt4`` with 1 or 3."""

    text_bytes: int = 20_000_000
    """How much training text to learn from, in UTF-8 bytes; documents are taken in a shuffled order."""

    heldout_bytes: int = 500_000
    """How much held-out text the report measures compression on."""

    compare_with: str | None = None
    """Another tokenizer that the report measures too: a folder with tokenizer.json, or with GPT-2's vocab.json and
    merges.txt, or the name of one that was downloaded from the Hub."""

    def outside(self) -> dict[str, str]:
        """Digests of the other tokenizer's files."""
        if self.compare_with is None:
            return {}
        folder = Path(self.compare_with)
        paths = [folder / name for name in RIVAL_FILES]
        if not folder.is_dir():
            from huggingface_hub import try_to_load_from_cache

            found = (try_to_load_from_cache(self.compare_with, name) for name in RIVAL_FILES)
            paths = [Path(path) for path in found if isinstance(path, str)]
        return {f"{folder.name}/{path.name}": digest_file(path) for path in paths if path.is_file()}

    def problems(self) -> list[str]:
        """A split, a number of digits or a tokenizer that nobody knows, and sizes that leave nothing."""
        problems = []
        if self.split not in ("gpt2", "gpt4"):
            problems.append(f"train_tokenizer.split: {self.split!r}. gpt2 or gpt4 is needed. Mend the word.")
        if self.digits not in (None, 1, 2, 3):
            problems.append(f"train_tokenizer.digits: {self.digits}. 1, 2, 3 or null is needed. Mend the number.")
        for name in ("text_bytes", "heldout_bytes"):
            if getattr(self, name) < 1:
                problems.append(f"train_tokenizer.{name}: {getattr(self, name)}. At least 1 is needed. Raise it.")
        if self.vocab_size is not None and self.vocab_size < SMALLEST_VOCABULARY:
            problems.append(
                f"train_tokenizer.vocab_size: {self.vocab_size}. Bytes and special tokens alone need "
                f"{SMALLEST_VOCABULARY}. Raise it."
            )
        if self.compare_with is not None and not self.outside():
            problems.append(
                f"train_tokenizer.compare_with: {self.compare_with}: no tokenizer there (looked in {Path.cwd()}). A "
                "folder with tokenizer.json, or with vocab.json and merges.txt, or the name of one that was "
                "downloaded from the Hub is needed. Mend the path."
            )
        return problems


@stage(makes="tokenizer", reads=("corpus",))
def train_tokenizer(config: TrainTokenizerConfig, *, corpus: Path, out: Path) -> None:
    """Learn a byte-level BPE vocabulary with a chat template, check that it loads alike, report how it writes text."""
    from hftrain.corpus.splits import conversations_of, texts_of, up_to_bytes
    from hftrain.runtime import progress
    from hftrain.tokens import comparison
    from hftrain.tokens.encoded_corpus import train_text_bytes
    from hftrain.tokens.vocabulary import check_saved, learn_vocabulary, save_tokenizer, vocabulary_size_for
    from hftrain.tokens.words import Tally

    spoken = [message["content"] for talk in conversations_of(corpus, "train", needed=False) for message in talk]
    written = up_to_bytes(texts_of(corpus, "train", shuffled_by=config.seed), config.text_bytes)
    read = Tally(itertools.chain(written, spoken))
    tokenizer = learn_vocabulary(
        progress(read, unit="text", description="learning words"),
        vocab_size=config.vocab_size or vocabulary_size_for(train_text_bytes(corpus)),
        split=config.split,
        digits=config.digits,
    )
    save_tokenizer(tokenizer, out)
    check_saved(tokenizer, out)
    domains = comparison.heldout_by_source(corpus, size_bytes=config.heldout_bytes, shuffled_by=config.seed or 0)
    check_saved(tokenizer, out, [text for texts in domains.values() for text in texts][:200])
    talks = [message["content"] for talk in conversations_of(corpus, "heldout", needed=False) for message in talk]
    report = comparison.report(tokenizer, domains, talks, compare_with=config.compare_with)
    write_json(out / "report.json", report)
    write_json(
        out / "summary.json",
        {
            "tokens": len(tokenizer),
            "learned_from_bytes": read.bytes,
            "heldout_bytes_per_token": report["documents"]["bytes_per_token"],
            "conversation_bytes_per_token": report["conversations"]["bytes_per_token"],
            "used_share": report["documents"]["used_share"],
        },
    )
