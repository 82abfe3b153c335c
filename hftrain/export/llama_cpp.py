"""A GGUF file run by llama.cpp inside this process, through the ``xllamacpp`` wheel."""

import json
import math
import secrets
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import xllamacpp
from transformers import PreTrainedTokenizerFast

from hftrain.errors import ArtifactError
from hftrain.models.scoring import TextScore
from hftrain.runtime import progress, threads_for
from hftrain.tokens.chat import END_OF_TEXT, Messages
from hftrain.tokens.packing import encode_documents

FORCED = 1e9
"""A bias on one token's logit that leaves the sampler no other choice."""

LIKELY = 64
EVERY = 1 << 30
"""How many candidates are asked for where one is not enough: as a rule few are, and more than a vocabulary has."""


class LlamaCpp:
    """A model in llama.cpp: its tokens, its prompts, its greedy answers and its probabilities.

    The wheel's server listens on the loopback address under a random key and ends with this object.
    """

    def __init__(self, path: Path) -> None:
        """Load a file.

        Raises:
            ArtifactError: llama.cpp cannot load it.
        """
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        threads = threads_for(path.stat().st_size, torch.get_num_threads())
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.fit_params = False  # it would shorten the context where memory is short
        parameters.warmup = False
        parameters.cache_ram_mib = 0  # one conversation after the other: the live cache is enough
        parameters.ui = False
        parameters.endpoint_slots = False
        parameters.verbosity = -1
        self._key = secrets.token_hex(16)
        parameters.api_keys = [self._key]
        try:
            self._server = xllamacpp.Server(parameters)
        except RuntimeError as problem:
            raise ArtifactError(
                f"{path}: llama.cpp does not load it ({problem}). A whole GGUF file of a type that it knows is needed. "
                "Delete the folder and export again."
            ) from None
        # A proxy from the environment must not see what goes to the loopback address.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def tokens(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of a text; special tokens written in it are read as such only if ``special``."""
        ids: list[int] = self._post("/tokenize", {"content": text, "parse_special": special})["tokens"]
        return ids

    def prompt(self, messages: Messages) -> str:
        """The conversation as text, by the chat template in the file, up to where an answer begins."""
        text: str = self._post("/apply-template", {"messages": list(messages)})["prompt"]
        return text

    def continue_greedily(self, ids: Sequence[int], new_tokens: int, *, stop_at_end: bool = True) -> list[int]:
        """The likeliest next tokens, an end token included where one came."""
        request = {"n_predict": new_tokens, "temperature": -1, "return_tokens": True, "ignore_eos": not stop_at_end}
        made: list[int] = self._post("/completion", {"prompt": list(ids), **request})["tokens"]
        return made

    def nats(self, ids: Sequence[int], target: int, plain: int) -> float:
        """-log p of ``target`` after ``ids``.

        llama.cpp reports the probability, as it was before any bias, of the token that it chose; a bias chooses it.
        It reports none where the text would end inside a character. Then ``plain``, a token that is a whole character,
        is chosen instead, and ``target`` is looked up among the likely ones, then among all.
        """
        for forced, candidates in ((target, 1), (plain, LIKELY), (plain, EVERY)):
            for each in self._report(ids, forced=forced, candidates=candidates):
                if each["id"] == target:
                    return -float(each["logprob"])
        raise ArtifactError(
            f"llama.cpp: gives token {target} no probability. Export the file again, and look at its size."
        )

    def log_probabilities(self, ids: Sequence[int], tokens: Sequence[int], plain: int) -> list[float]:
        """Log-probability of each of some likely tokens after ``ids``; ``plain`` as in `nats`."""
        found: dict[int, float] = {}
        for candidates in (LIKELY, EVERY):
            found = {each["id"]: each["logprob"] for each in self._report(ids, forced=plain, candidates=candidates)}
            if found.keys() >= set(tokens):
                break
        return [found.get(token, -math.inf) for token in tokens]

    def score(self, tokenizer: PreTrainedTokenizerFast, texts: Iterable[str], *, row_tokens: int) -> TextScore:
        """What `hftrain.models.scoring.score_texts` computes, in the same windows, by llama.cpp."""
        start, plain = (tokenizer.get_vocab()[token] for token in (END_OF_TEXT, "a"))
        nats, tokens, byte_count = 0.0, 0, 0
        texts = list(texts)
        with progress(total=len(texts), unit="text", description="scoring in llama.cpp") as bar:
            for text, ids in zip(texts, encode_documents(tokenizer, texts), strict=True):
                stream = [start, *ids[:-1]]
                for position in range(1, len(stream)):
                    first = (position - 1) // row_tokens * row_tokens
                    nats += self.nats(stream[first:position], stream[position], plain)
                tokens, byte_count = tokens + len(stream) - 1, byte_count + len(text.encode())
                bar.update()
        return TextScore(nats=nats, tokens=tokens, bytes=byte_count)

    def _report(self, ids: Sequence[int], *, forced: int, candidates: int) -> list[dict[str, Any]]:
        request = {
            "prompt": list(ids),
            "max_tokens": 1,
            "temperature": -1,
            "logit_bias": [[forced, FORCED]],
            "logprobs": candidates,
            "cache_prompt": True,
        }
        made = self._server.handle_completions(request)["choices"][0].get("logprobs") or {"content": []}
        return [each for report in made["content"] for each in (report, *report["top_logprobs"])]

    def _post(self, address: str, request: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        call = urllib.request.Request(self._server.listening_address + address, json.dumps(request).encode(), headers)
        with self._opener.open(call) as answer:
            return json.loads(answer.read())
