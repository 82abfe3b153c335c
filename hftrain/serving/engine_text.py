"""Between text and token ids for the engines that run in this process."""

import codecs
from functools import cached_property

import torch
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from hftrain.errors import ArtifactError
from hftrain.serving.engine import Prepared, Question, Refused
from hftrain.tokens.chat import END_OF_TEXT, encode_prompt, encode_text

MOST_THREADS = torch.get_num_threads()
"""As many as torch was started with; what asks torch later may see an engine's own number."""


class TokenTexts:
    """The bytes of each token of a byte-level tokenizer, and prompts made of them."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, context_tokens: int) -> None:
        """Keep the tokenizer.

        Args:
            tokenizer: As `hftrain.tokens.chat.load_tokenizer` gives it.
            context_tokens: Tokens that a prompt and its answer may have together.
        """
        self.tokenizer, self.context_tokens = tokenizer, context_tokens

    @cached_property
    def _bytes_of_char(self) -> dict[str, int]:
        return {char: byte for byte, char in bytes_to_unicode().items()}

    @cached_property
    def bytes_of(self) -> list[bytes]:
        """The bytes of each token by its id; none for special tokens.

        Raises:
            ArtifactError: The tokenizer is not one of bytes.
        """
        table = [b""] * (max(self.tokenizer.get_vocab().values()) + 1)
        added = self.tokenizer.added_tokens_decoder
        for token, index in self.tokenizer.get_vocab().items():
            if index in added:
                table[index] = b"" if added[index].special else token.encode()
                continue
            try:
                table[index] = bytes(self._bytes_of_char[char] for char in token)
            except KeyError:
                raise ArtifactError(
                    f"tokenizer: token {index} is {token!r}, which is no run of bytes. A byte-level tokenizer is "
                    "needed to serve a model here. Serve it by --upstream."
                ) from None
        return table

    def prepare(self, question: Question) -> Prepared:
        """Token ids of what is asked; special tokens that a user typed stay text.

        Raises:
            Refused: The prompt, or it and the answer asked for, does not fit the context; or an id is no token.
        """
        if isinstance(question.prompt, str):
            end = self.tokenizer.get_vocab()[END_OF_TEXT]
            ids = [end, *encode_text(self.tokenizer, question.prompt)]
        elif question.prompt is not None:
            ids = list(question.prompt)
            if not ids or not all(0 <= index < len(self.tokenizer) for index in ids):
                raise Refused(f"'prompt': token ids of 0 to {len(self.tokenizer) - 1} are needed.", parameter="prompt")
        else:
            ids = encode_prompt(self.tokenizer, question.messages)
        room = self.context_tokens - len(ids)
        wanted = question.new_tokens
        if room < 1 or (wanted is not None and wanted > room):
            asked = f"{len(ids)} tokens of prompt" + (f" and {wanted} of answer" if wanted is not None else "")
            raise Refused(
                f"This model's context is {self.context_tokens} tokens, and {asked} were asked for. "
                "Shorten the conversation or lower max_tokens.",
                code="context_length_exceeded",
                parameter="prompt" if question.prompt is not None else "messages",
            )
        return Prepared(question, tuple(ids), room if wanted is None else wanted)


class TextStream:
    """Text out of tokens one at a time, in whole characters."""

    def __init__(self, bytes_of: list[bytes]) -> None:
        """Begin an answer."""
        self._bytes_of = bytes_of
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        """What became readable with this token."""
        return self._decoder.decode(self._bytes_of[token])

    def rest(self) -> str:
        """A replacement character for what never became a character."""
        return self._decoder.decode(b"", final=True)
