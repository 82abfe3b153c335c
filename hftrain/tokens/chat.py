"""The chat template, and the one way from messages to token ids that all stages share."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from hftrain.corpus.conversations import ROLES
from hftrain.errors import ArtifactError, DataError

PAD = "<|pad|>"
END_OF_TEXT = "<|endoftext|>"
START_OF_TURN = "<|im_start|>"
END_OF_TURN = "<|im_end|>"
SPECIAL_TOKENS = (PAD, END_OF_TEXT, START_OF_TURN, END_OF_TURN)
"""Who may speak. A tool's turn is what it gave back; like a user's it is read, never learned."""

# ChatML with the newline before a later message, none after the last: a conversation then ends in the end-of-turn
# token, where a reward model is read and where generation stops, and a prompt is a strict prefix of its answer.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if not loop.first -%}{{ '\\n' }}{%- endif -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{ message['content'] + '<|im_end|>' }}{%- endgeneration -%}"
    "{%- else -%}{{ message['content'] + '<|im_end|>' }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '\\n<|im_start|>assistant\\n' }}{%- endif -%}"
)

Message = Mapping[str, str]
Messages = Sequence[Message]
ListOfMessages = TypeVar("ListOfMessages", bound=Messages)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in a folder, from that folder alone.

    Raises:
        ArtifactError: The folder holds none, or it lacks a pad token, an end-of-turn token or a chat template.
    """
    if not (Path(folder) / "tokenizer.json").is_file():
        raise ArtifactError(
            f"{folder}: holds no tokenizer.json. Name the folder of a tokenizer or of a model with one."
        )
    tokenizer = open_tokenizer(folder)
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise ArtifactError(
            f"{folder}: pad token is {tokenizer.pad_token!r} and end token {tokenizer.eos_token!r}. "
            "Two different ones are needed: with one for both, a model never learns to stop. Add a pad token."
        )
    return tokenizer


def open_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in a folder as it is; no code that lies beside it is run.

    Raises:
        ArtifactError: Its files are damaged, or it is of a kind that has to be run.
    """
    try:
        opened = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as problem:  # tokenizers raises nothing narrower
        if isinstance(problem, OSError) and problem.errno is not None:
            raise
        said = str(problem).strip().partition("\n")[0][:300]
        raise ArtifactError(
            f"{folder}: its tokenizer cannot be loaded: {said} ({type(problem).__name__}). Whole files of a tokenizer "
            "that transformers knows are needed. Put them there, or name another folder."
        ) from problem
    if isinstance(opened, PreTrainedTokenizerFast):  # those in Python have no such memory
        remember_no_words(opened.backend_tokenizer)
    return opened


def remember_no_words(backend: Tokenizer) -> None:
    """Let a tokenizer look no word up among those that it met, from now on.

    What tokenizers 0.23 remembers of words belongs to the thread and stays when the tokenizer goes, up to a megabyte
    for each that was ever opened; a process that trains or loads again and again would grow. A corpus is encoded by
    `hftrain.tokens.encoding.Encoder`, which remembers for itself. The call is not public, and may go one day.
    """
    resize = getattr(backend.model, "_resize_cache", None)
    if resize is not None:
        resize(0)


def encode_text(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Token ids of plain text: nothing is added, and special tokens written in it stay text."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids


def encode_conversation(tokenizer: PreTrainedTokenizerFast, messages: Messages) -> tuple[list[int], list[int]]:
    """Token ids of a conversation, and which of them are an assistant's words or its end of turn.

    Special tokens typed by anyone stay text, so no message can close its turn or open another.

    Returns:
        ids and mask of one length; mask is 1 where a model is to learn.

    Raises:
        DataError: A role is unknown.
    """
    start, end = tokenizer.convert_tokens_to_ids([START_OF_TURN, END_OF_TURN])
    ids: list[int] = []
    mask: list[int] = []
    for index, message in enumerate(messages):
        role, content = message["role"], message["content"]
        if role not in ROLES:
            raise DataError(f"message {index}: role {role!r}. One of {', '.join(ROLES)} is needed. Rename it.")
        opening = encode_text(tokenizer, "\n") if index else []
        if role == "assistant":
            head, body = encode_text(tokenizer, "assistant\n"), [*encode_text(tokenizer, content), end]
        else:
            head, body = [*encode_text(tokenizer, f"{role}\n{content}"), end], []
        ids += [*opening, start, *head, *body]
        mask += [0] * (len(opening) + 1 + len(head)) + [1] * len(body)
    return ids, mask


def encode_prompt(tokenizer: PreTrainedTokenizerFast, messages: Messages) -> list[int]:
    """Token ids of a conversation up to where an assistant's answer begins."""
    ids, _ = encode_conversation(tokenizer, messages)
    start = tokenizer.convert_tokens_to_ids(START_OF_TURN)
    return [*ids, *encode_text(tokenizer, "\n"), start, *encode_text(tokenizer, "assistant\n")]


def that_fit(
    tokenizer: PreTrainedTokenizerFast, conversations: Iterable[ListOfMessages], *, max_tokens: int
) -> list[ListOfMessages]:
    """The conversations of at most ``max_tokens`` tokens, in their order."""
    return [talk for talk in conversations if len(encode_conversation(tokenizer, talk)[0]) <= max_tokens]


def prompt_of(messages: Messages) -> list[Message]:
    """The messages before the last assistant turn.

    Raises:
        DataError: There is no assistant turn, or nothing before it.
    """
    last = max((index for index, message in enumerate(messages) if message["role"] == "assistant"), default=0)
    if last == 0:
        raise DataError(f"conversation of {len(messages)} messages: no answer of an assistant after a first message.")
    return list(messages[:last])
