"""Talking to a model in a terminal, token by token, with the candidates of each step if wanted."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import torch

from hftrain.artifacts import read_manifest
from hftrain.errors import ArtifactError, ConfigError
from hftrain.models.loading import context_tokens, load_causal_lm
from hftrain.tokens.chat import Message, encode_prompt, load_tokenizer

SPEAKING = ("policy", "chat")
"""The models of a run that can hold a conversation, the one to talk to first."""

CANDIDATES = 5


def model_folder(run: Path, model: str | None) -> Path:
    """The model's folder: one by name, or the last of the run that can talk, or ``run`` itself.

    Raises:
        ArtifactError: There is none.
    """
    if model is None and (run / "config.json").is_file():
        return run
    names = [model] if model else SPEAKING
    found = next((run / name for name in names if (run / name / "config.json").is_file()), None)
    if found is None:
        raise ArtifactError(
            f"{run}: no model named {' or '.join(names)} is here. Name the folder of a run or of a model."
        )
    if (found / "manifest.json").is_file():
        read_manifest(found)
    return found


@dataclass(frozen=True)
class Step:
    """One token of an answer and what else could have come."""

    token: int
    candidates: list[tuple[str, float]]
    """The likeliest tokens and their probabilities at temperature 1, highest first."""


class Terminal:
    """A conversation with one model, its earlier turns kept as long as they fit."""

    def __init__(
        self, folder: Path, *, temperature: float, new_tokens: int, seed: int, show_probabilities: bool
    ) -> None:
        """Load the model.

        Raises:
            ConfigError: The temperature is negative, or an answer would not fit the context.
        """
        self.model, self.tokenizer = load_causal_lm(folder), load_tokenizer(folder)
        self.folder, self.temperature = folder, temperature
        context = context_tokens(self.model) or 2**20
        self.new_tokens = min(new_tokens, context // 2)
        self.room = context - self.new_tokens
        self.show_probabilities = show_probabilities
        self.dice = torch.Generator().manual_seed(seed)
        self.turns: list[Message] = []
        if temperature < 0 or new_tokens < 1:
            raise ConfigError(f"chat: temperature {temperature} and new tokens {new_tokens}. 0 or more, and 1 or more.")

    def talk(self, lines: TextIO, out: TextIO) -> None:
        """Answer each line until the input ends; ``/new`` begins a new conversation."""
        out.write(f"{self.folder}. Say something; /new forgets what was said, an empty end leaves.\n")
        while True:
            out.write("\nyou: ")
            out.flush()
            line = lines.readline()
            said = line.strip()
            if not line or said in ("/quit", "/exit"):
                out.write("\n")
                return
            if said == "/new":
                self.turns = []
            elif said:
                self._answer(said, out)

    def _answer(self, said: str, out: TextIO) -> None:
        self.turns.append({"role": "user", "content": said})
        prompt = encode_prompt(self.tokenizer, self.turns)
        while len(prompt) > self.room and len(self.turns) > 1:
            self.turns = self.turns[2:]
            prompt = encode_prompt(self.tokenizer, self.turns)
        if len(prompt) > self.room:
            self.turns.pop()
            out.write(f"(that has {len(prompt)} tokens; at most {self.room} fit)\n")
            return
        out.write("" if self.show_probabilities else f"{self.folder.name}: ")
        written, tokens = "", []
        for step in self.steps(prompt):
            tokens.append(step.token)
            text = self.tokenizer.decode(tokens, skip_special_tokens=True)
            if self.show_probabilities:
                out.write(self._candidates(step) + "\n")
            elif not text.endswith("\ufffd"):  # part of a character: wait for the rest
                out.write(text[len(written) :])
                written = text
            out.flush()
        text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        out.write(f"{self.folder.name}: {text}\n" if self.show_probabilities else text[len(written) :] + "\n")
        self.turns.append({"role": "assistant", "content": text})

    @torch.inference_mode()
    def steps(self, prompt: list[int]) -> Iterator[Step]:
        """The tokens of an answer, one at a time, up to its end of turn or the longest answer."""
        ids = torch.tensor([prompt], device=self.model.device)
        past = None
        for _ in range(self.new_tokens):
            out = self.model(ids, past_key_values=past, use_cache=True)
            past = out.past_key_values
            logits_V = out.logits[0, -1].float().cpu()
            top = torch.topk(torch.softmax(logits_V, -1), CANDIDATES)
            if self.temperature == 0:
                token = int(top.indices[0])
            else:
                weights_V = torch.softmax(logits_V / self.temperature, -1)
                token = int(torch.multinomial(weights_V, 1, generator=self.dice))
            names = [self.tokenizer.decode([index]) for index in top.indices.tolist()]
            yield Step(token, list(zip(names, top.values.tolist(), strict=True)))
            if token == self.tokenizer.eos_token_id:
                return
            ids = torch.tensor([[token]], device=self.model.device)

    def _candidates(self, step: Step) -> str:
        shown = "  ".join(f"{text!r} {probability:.2f}" for text, probability in step.candidates)
        return f"{self.tokenizer.decode([step.token])!r:>16} | {shown}"
