"""Whether an exported model reads the same tokens and expects the same next ones as the model it was made from.

Bits per byte are a mean: a format whose tokenizer or template differs in one place, or whose weights are wrong in one
layer of many, can hide in it. Here each token id of some conversations is compared, and the log-probability of each
likely next token after a part of them; where the file keeps the model's matrices, those too.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.errors import ArtifactError
from hftrain.export.formats import FORMATS
from hftrain.models.loading import context_tokens
from hftrain.tokens.chat import Messages, encode_prompt

CONVERSATION: Messages = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Who are you?\n"},
    {"role": "assistant", "content": "naïve 😀"},
    {"role": "user", "content": "1, 2,  345:\n\tif x >= 10: return  '日本'"},
)
"""Three roles, spaces at the edges, a line end, digits, code, letters and signs of several bytes."""

LIKELY_SHARE, MOST_LIKELY = 0.01, 8
"""A next token is compared where the model gives it this probability, the likeliest ones alone: what is next to
impossible may move by many nats and nobody will see it."""

POSITIONS = 24
"""Places in all conversations after which next tokens are compared: llama.cpp is asked for each by itself."""


@dataclass(frozen=True)
class Place:
    """The next tokens after some others, as the full model expects them."""

    ids: tuple[int, ...]
    """What stands before."""
    tokens: tuple[int, ...]
    """The likely next tokens, the likeliest first."""
    log_p: tuple[float, ...]
    """Their log-probabilities, in nats."""


@dataclass(frozen=True)
class Parity:
    """What every format has to agree with."""

    prompts: tuple[Messages, ...]
    ids: tuple[tuple[int, ...], ...]
    """Token ids of each prompt, as in training, up to where an answer begins."""
    places: tuple[Place, ...]


@torch.inference_mode()
def parity_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[Messages]) -> Parity:
    """What the full model reads of each prompt, and what it expects next at evenly spaced places of them."""
    rows = [tuple(encode_prompt(tokenizer, prompt)) for prompt in prompts]
    read = [row[: (context_tokens(model) or len(row) + 1) - 1] for row in rows]  # llama.cpp wants room for one more
    every = max(1, sum(map(len, read)) // POSITIONS)
    places = []
    for row in read:
        log_p_LV = model(torch.tensor([row], device=model.device)).logits[0].float().log_softmax(-1).cpu()
        for end in range(len(row), 0, -every):
            log_p, tokens = log_p_LV[end - 1].topk(MOST_LIKELY)
            likely = max(1, int((log_p.exp() >= LIKELY_SHARE).sum()))
            places.append(Place(row[:end], tuple(tokens[:likely].tolist()), tuple(log_p[:likely].tolist())))
    return Parity(tuple(prompts), tuple(rows), tuple(places))


def check_ids(name: str, runtime: str, parity: Parity, encode: Callable[[Messages], Sequence[int]]) -> None:
    """Make sure that a runtime turns each conversation into the token ids of training, by its own files alone.

    Raises:
        ArtifactError: It does not; with the format, the prompt and the first place that differs.
    """
    for prompt, expected in zip(parity.prompts, parity.ids, strict=True):
        found = tuple(encode(prompt))
        if found != expected:
            pairs = enumerate(zip(found, expected, strict=False))
            at = next((index for index, (one, two) in pairs if one != two), min(len(found), len(expected)))
            raise ArtifactError(
                f"export, {name}: {runtime} encodes the conversation {_shown(prompt)} otherwise from position {at} on: "
                f"{list(found[at : at + 5])}, not {list(expected[at : at + 5])}. The token ids of training are needed. "
                f"Its tokenizer or chat template is another one: export again, or remove {name} from export.formats."
            )


def check_log_probabilities(
    name: str,
    runtime: str,
    parity: Parity,
    tokenizer: PreTrainedTokenizerFast,
    log_p_of: Callable[[Place], Sequence[float]],
) -> float:
    """Make sure that a runtime expects the next tokens that the full model expects, and say how far it is off.

    Args:
        name: The format.
        runtime: What reads it.
        parity: What to agree with.
        tokenizer: Writes the tokens of the message.
        log_p_of: The runtime's log-probabilities of a place's tokens after its ids.

    Returns:
        The largest difference met, in nats.

    Raises:
        ArtifactError: It is above the format's; with the format, the prompt and the place.
    """
    allowed, largest = FORMATS[name].nats, 0.0
    for place in parity.places:
        difference = np.abs(np.asarray(log_p_of(place), dtype=np.float64) - np.asarray(place.log_p))
        worst = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
        if not difference[worst] <= allowed:
            prompt = next(
                one for one, ids in zip(parity.prompts, parity.ids, strict=True) if ids[: len(place.ids)] == place.ids
            )
            raise ArtifactError(
                f"export, {name}: {runtime} gives {tokenizer.decode([place.tokens[worst]])!r} after "
                f"{tokenizer.decode(place.ids[-12:])!r} (position {len(place.ids)} of the conversation "
                f"{_shown(prompt)}) a log-probability {difference[worst]:.4g} nats from the model's "
                f"{place.log_p[worst]:.4g}. At most {allowed:g} is this format's rounding; more is damage. "
                f"Export again, or remove {name} from export.formats."
            )
        largest = max(largest, float(difference[worst]))
    return largest


def check_weights(name: str, weights: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """Make sure that a file holds the model's matrices, each within the format's rounding.

    Args:
        name: The format.
        weights: Name of a matrix, the model's numbers, and the file's as numbers again.

    Raises:
        ArtifactError: ``norm(file's - model's) / norm(model's)`` is above the format's; with the matrix.
    """
    allowed = FORMATS[name].weight_error
    assert allowed is not None, f"{name} keeps no matrices apart"
    for matrix, expected, found in weights:
        error = float(np.linalg.norm(found - expected)) / max(float(np.linalg.norm(expected)), 1e-30)
        if not error <= allowed:
            raise ArtifactError(
                f"export, {name}: {matrix} differs from the model's by {error:.4g} of its norm. At most {allowed:g} is "
                f"this format's rounding; more is damage. Export again, or remove {name} from export.formats."
            )


def encode_by_template(tokenizer: PreTrainedTokenizerFast, messages: Messages) -> list[int]:
    """Token ids by the template and the tokenizer beside a model, as anyone who loads the folder would make them."""
    talk = [dict(message) for message in messages]
    text = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def log_p_in_torch(model: Any) -> Callable[[Place], list[float]]:
    """Log-probabilities from anything that is called as a model of transformers is."""

    def log_p_of(place: Place) -> list[float]:
        with torch.inference_mode():
            logits_V = model(torch.tensor([place.ids], device=model.device)).logits[0, -1].float()
        found: list[float] = logits_V.log_softmax(-1)[list(place.tokens)].tolist()
        return found

    return log_p_of


def _shown(messages: Messages) -> str:
    return " | ".join(f"{each['role']}: {each['content']!r}"[:60] for each in messages)[:240]
