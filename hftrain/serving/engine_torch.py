"""Answers from a model in torch: transformers' continuous batching, with each request's own draws.

Upstream schedules, keeps the paged cache and runs the model. It draws all requests' tokens from one random state, by
one temperature being zero or not, and reports no other token than the drawn one. So the last logits processor here
draws each request's token itself and leaves upstream's argmax no other choice.
"""

import asyncio
import itertools
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, LogitsProcessorList, PreTrainedModel
from transformers.generation.continuous_batching.cache import group_layers_by_attn_type
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)
from transformers.generation.continuous_batching.continuous_api import OutputRouter
from transformers.generation.continuous_batching.requests import GenerationOutput, RequestStatus

from hftrain.errors import ArtifactError
from hftrain.export.measurement import end_tokens
from hftrain.models.loading import context_tokens, load_causal_lm
from hftrain.runtime import threads_for
from hftrain.serving.engine import Answer, Candidate, End, Piece, Prepared, Question, Refused, Report
from hftrain.serving.engine_inbox import Inbox, all_waiting, apart
from hftrain.serving.engine_text import MOST_THREADS, TextStream, TokenTexts
from hftrain.tokens.chat import load_tokenizer

PAGE_TOKENS = 32
"""Tokens of one page of the cache: a conversation wastes half of one."""

CACHE_BYTES = 1 << 30
MOST_AT_ONCE = 64
BATCH_TOKENS = 512
"""Tokens that go through the model at once: longer prompts are read in parts, between other requests' steps."""

UNLIMITED_CONTEXT_TOKENS = 8192


@dataclass
class Draws:
    """How one request's tokens are drawn, and what was likely at each step."""

    question: Question
    dice: torch.Generator
    seen: list[tuple[float, list[int], list[float]]] = field(default_factory=list)
    """For each step: log p of the drawn token; the likeliest tokens; log p of those."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Draws":
        """Upstream copies a request that must make room in the cache; it goes on with the same dice."""
        return self

    def draw(self, logits_V: torch.Tensor) -> int:
        """The next token. Shape (V,), V tokens in the vocabulary."""
        question = self.question
        if question.temperature == 0:
            token = int(logits_V.argmax())
        else:
            weights_V = torch.softmax(logits_V / question.temperature, -1)
            if question.top_p < 1:
                weights_V = nucleus(weights_V, question.top_p)
            token = int(torch.multinomial(weights_V, 1, generator=self.dice))
        if question.top_logprobs is not None:
            logprobs_V = torch.log_softmax(logits_V, -1)
            top = torch.topk(logprobs_V, question.top_logprobs) if question.top_logprobs else None
            likeliest = (top.indices.tolist(), top.values.tolist()) if top else ([], [])
            self.seen.append((float(logprobs_V[token]), *likeliest))
        return token


def nucleus(weights_V: torch.Tensor, top_p: float) -> torch.Tensor:
    """The probabilities with all set to 0 but the fewest likeliest that add up to ``top_p``. Shape (V,).

    Source: Holtzman et al. 2020, arXiv:1904.09751.
    """
    values, places = weights_V.sort(descending=True, stable=True)
    before = values.cumsum(-1) - values
    return torch.zeros_like(weights_V).scatter(0, places, values.where(before < max(top_p, 1e-9), 0.0))


class DrawEach(ContinuousBatchingLogitsProcessor):
    """Draws a token for each request by its own `Draws`, and lets only that one stand."""

    supported_kwargs: dict[str, type] = {"draws": Draws}  # noqa: RUF012 (upstream's name and kind)
    ignored_kwargs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._batch: list[Draws] = []

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        """Nothing goes through upstream's tensor of arguments."""
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> torch.Tensor:
        """Note whose logits come next, in their order."""
        self._batch = [request.state.logit_processor_kwargs["draws"] for request in requests_with_new_token]
        return torch.zeros(len(self._batch), dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        """One-hot scores of the tokens drawn. Shape (R, V), R requests."""
        chosen = torch.zeros_like(scores)
        for row, draws in enumerate(self._batch):
            chosen[row, draws.draw(scores[row].cpu())] = 1.0
        return chosen


class Router(OutputRouter):
    """Gives each request's progress to whoever waits for it, and drops that of requests nobody waits for.

    Upstream keeps the handler of a cancelled request for ever, and what it still makes in a queue nobody reads.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[str, Callable[[GenerationOutput], object]] = {}

    def deliver(self, output: GenerationOutput) -> None:
        """Hand over one request's progress."""
        if (take := self.waiting.get(output.request_id)) is not None:
            take(output)

    def deliver_batch(self, outputs: list[GenerationOutput]) -> None:
        """Hand over that of a batch."""
        for output in outputs:
            self.deliver(output)


STOP_SECONDS = 10.0


class TorchEngine:
    """A model's folder in torch."""

    runtime = "torch"

    def __init__(self, folder: Path, model: PreTrainedModel | None = None) -> None:
        """Load the model and start its thread.

        Args:
            folder: The model's folder.
            model: The model where it is loaded already, in whole or in part with others; None loads the folder's.

        Raises:
            ArtifactError: The folder holds no model or no tokenizer that can be served, or layers of a kind that
                upstream has no paged cache for.
        """
        tokenizer = load_tokenizer(folder)
        self.model = model = model or load_causal_lm(folder)
        _check_layers(folder, model)
        self.context_tokens = context_tokens(model) or UNLIMITED_CONTEXT_TOKENS
        self._texts = TokenTexts(tokenizer, self.context_tokens)
        self._bytes_of = self._texts.bytes_of
        self._ends = end_tokens(tokenizer)
        pages = _pages(model.config, self.context_tokens)
        self.at_once = max(1, min(MOST_AT_ONCE, pages * PAGE_TOKENS // self.context_tokens))
        config = GenerationConfig(do_sample=False, eos_token_id=sorted(self._ends), pad_token_id=tokenizer.pad_token_id)
        self._manager: Any = model.init_continuous_batching(
            config,
            ContinuousBatchingConfig(
                page_size=PAGE_TOKENS,
                num_blocks=pages,
                max_batch_tokens=max(BATCH_TOKENS, self.at_once),
                max_requests_per_batch=self.at_once,
                allow_block_sharing=False,  # what one user wrote must not decide how fast another is answered
                use_async_batching=False,
            ),
        )
        self._router = self._manager.output_router = Router()
        processors = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([DrawEach()]))
        processors.tensors_required = 1
        self._manager.logit_processor = processors
        self._numbers = itertools.count()
        self._inbox: Inbox[GenerationOutput] | None = None
        # Upstream's thread is as whoever starts it: by one that is no daemon, an engine that nobody closed would keep
        # the process from ending.
        starter = threading.Thread(target=self._start, daemon=True)
        starter.start()
        starter.join()
        self._forgotten = weakref.finalize(self, _stop, self._manager)

    def prepare(self, question: Question) -> Prepared:
        """As `Engine.prepare`."""
        return self._texts.prepare(question)

    async def answer(self, prepared: Prepared) -> Answer:
        """As `Engine.answer`."""
        loop = asyncio.get_running_loop()
        if self._inbox is None or self._inbox.loop is not loop:
            self._inbox = Inbox(loop)
        inbox = self._inbox
        outputs: asyncio.Queue[GenerationOutput] = asyncio.Queue()
        name, draws = f"answer-{next(self._numbers)}", self._draws(prepared.question)
        self._router.waiting[name] = lambda output: inbox.put(outputs.put_nowait, output)
        is_done = False
        try:
            ids, longest = list(prepared.ids), prepared.new_tokens
            if self._manager.add_request(ids, name, max_new_tokens=longest, streaming=True, draws=draws) is None:
                raise _failed("its thread has stopped")
            text, told = TextStream(self._bytes_of), 0
            while not is_done:
                output = (await all_waiting(outputs))[-1]  # each holds what those before it hold
                if output.status == RequestStatus.FAILED:
                    raise _failed(str(output.error))
                is_done = output.is_finished()
                made = [each for each in enumerate(output.generated_tokens[told:], told) if each[1] not in self._ends]
                for some in apart(made, prepared.question):
                    reports = tuple(report for step, token in some for report in self._reports(draws, step, token))
                    yield Piece("".join(text.add(token) for _, token in some), reports, len(some))
                told = len(output.generated_tokens)
            if rest := text.rest():
                yield Piece(rest, tokens=0)
            ended = bool(told) and output.generated_tokens[-1] in self._ends
            yield End("stop" if ended else "length", len(prepared.ids), told)
        finally:
            del self._router.waiting[name]
            if not is_done:
                self._manager.cancel_request(name)

    async def close(self) -> None:
        """End the thread; what is still being made is dropped."""
        if self._forgotten.detach() is not None:
            await asyncio.to_thread(_stop, self._manager)

    def _start(self) -> None:
        """Start upstream's thread, with as many of torch's threads as the model has work for.

        A thread takes the number that was set last when it first computes; whoever has computed keeps its own.
        """
        weight_bytes = sum(each.nbytes for each in self.model.parameters())
        torch.set_num_threads(threads_for(weight_bytes, MOST_THREADS))
        self._manager.start()

    def _draws(self, question: Question) -> Draws:
        dice = torch.Generator()
        if question.seed is None:
            dice.seed()
        else:
            dice.manual_seed(question.seed)
        return Draws(question, dice)

    def _reports(self, draws: Draws, step: int, token: int) -> tuple[Report, ...]:
        if draws.question.top_logprobs is None:
            return ()
        logprob, tokens, logprobs = draws.seen[step]
        top = (self._candidate(*pair) for pair in zip(tokens, logprobs, strict=True))
        return (Report(self._candidate(token, logprob), tuple(top)),)

    def _candidate(self, token: int, logprob: float) -> Candidate:
        data = self._bytes_of[token]
        text = data.decode("utf-8", "replace") if data else self._texts.tokenizer.convert_ids_to_tokens(token)
        return Candidate(text, tuple(data), logprob)


def _failed(why: str) -> Refused:
    return Refused(f"The model could not answer: {why}.", status=500, kind="server_error", code="runtime_failed")


def _check_layers(folder: Path, model: PreTrainedModel) -> None:
    try:
        group_layers_by_attn_type(model.config)
    except ValueError as problem:
        raise ArtifactError(
            f"{folder}: a {model.config.model_type} model is not served ({problem}): transformers keeps pages of what "
            "was read for layers that attend alone. Serve a llama, qwen3 or gpt2 model, or talk to this one by "
            "hftrain chat."
        ) from None


def _pages(config: Any, context: int) -> int:
    """Pages of the cache in `CACHE_BYTES`: enough for one whole context, and no more than all places could fill."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    page_bytes = PAGE_TOKENS * config.num_hidden_layers * heads * width * 2 * 4
    per_context = -(-context // PAGE_TOKENS) + 1
    return max(per_context, min(CACHE_BYTES // page_bytes, MOST_AT_ONCE * per_context))


def _stop(manager: Any) -> None:
    """End upstream's thread; at a process's end too, which a thread in torch would abort."""
    manager.stop(timeout=STOP_SECONDS, hard_stop=True)
