"""How likely a model finds continuations: sums of log-probabilities, many requests in one pass.

Texts become tokens as in lm-evaluation-harness 0.4.13: spaces at a context's end go to its continuation; both are
encoded together and split where the context alone would end; an empty context is the token that begins texts (or, where
the tokenizer has none, the one that ends them); what is too long for the model is cut on the left.
Source: ``lm_eval/api/model.py``, ``_encode_pair`` and ``loglikelihood``.

It is faster for three reasons: rows of like length share a batch, alternatives that begin alike share a row
(`token_trees`), and logits are made of the scored places alone.
"""

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.errors import DataError
from hftrain.evaluation.token_trees import Batch, Row, Sequence_, batch_of, rows_of
from hftrain.models.loading import context_tokens as context_of
from hftrain.runtime import progress

Request = tuple[str, str]
"""Context and continuation."""

LOGIT_BUDGET = 2**26
"""So many logits at most are in memory at a time (a quarter of a gigabyte)."""
MOST_BATCH_TOKENS = 1024
"""Of 256 to 4096 the quickest on two cores: what more rows save in calls, they lose in the processor's caches."""
MISSING_CONTEXT = 2048
"""The harness' context where neither a model nor its tokenizer states one."""
SAME_NATS = 1e-3
NOISES = 4
"""A model for which a shared row gives sums that are further off than this, and than so many times what another batch
of the same rows does to them (weights in 8 bits round otherwise in each), is asked one sequence a row."""
PROBED = 4
"""Items that this is tried on."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model makes of one continuation."""

    nats: float
    """Sum of log p of its tokens: 0 or less."""
    is_greedy: bool
    """Whether each of its tokens is the likeliest one."""
    tokens: int


@dataclass(frozen=True)
class Plan:
    """Requests as tokens, grouped; the same for every model with one tokenizer and context."""

    groups: list[list[tuple[int, Sequence_]]]
    requests: int
    made: dict[bool, list[Row]] = field(default_factory=dict)
    """The rows, by whether they branch."""

    def rows(self, *, branching: bool) -> list[Row]:
        """The rows in which all of it is computed; made once."""
        if branching not in self.made:
            self.made[branching] = rows_of(self.groups, branching=branching)
        return self.made[branching]


class Requests:
    """Requests of many items, as tokens once for all models with one tokenizer and context."""

    def __init__(self, groups: Sequence[Sequence[Request]]) -> None:
        """Keep them as text."""
        self.groups, self.plans = groups, dict[str, Plan]()

    def scored(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, digest: str, *, description: str = "scoring"
    ) -> list[list[Scored]]:
        """What a model makes of each; ``digest`` is its tokenizer's, empty where none is known.

        Raises:
            DataError: As `plan_requests`.
        """
        limit = context_of(model)
        key = f"{digest} {limit}"
        plan = self.plans.get(key) if digest else None
        if plan is None:
            plan = self.plans[key] = plan_requests(tokenizer, self.groups, context_tokens=limit)
        return score_plan(model, plan, description=description)


def plan_requests(
    tokenizer: PreTrainedTokenizerFast, groups: Sequence[Sequence[Request]], *, context_tokens: int | None
) -> Plan:
    """Encode the requests of each item.

    Raises:
        DataError: A continuation has no token, or more than the model's context.
    """
    flat = list(chain.from_iterable(groups))
    limit = context_tokens or MISSING_CONTEXT
    encoded = iter(enumerate(_encoded(tokenizer, flat, limit)))
    return Plan([[next(encoded) for _ in group] for group in groups], len(flat))


def score_requests(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, groups: Sequence[Sequence[Request]]
) -> list[list[Scored]]:
    """The sum of log-probabilities of each request's continuation, in the order of the groups.

    Raises:
        DataError: As `plan_requests`.
    """
    return Requests(groups).scored(model, tokenizer, "")


def score_plan(model: PreTrainedModel, plan: Plan, *, description: str = "scoring") -> list[list[Scored]]:
    """The same for requests that are tokens already."""
    rows = plan.rows(branching=takes_trees(model, plan))
    nats, greedy, counts = _sums(model, rows, plan.requests, description)
    scored = [
        Scored(*values)
        for values in zip(nats.tolist(), greedy.tolist(), counts.tolist(), strict=True)
    ]  # fmt: skip
    return [[scored[request] for request, _ in group] for group in plan.groups]


def takes_trees(model: PreTrainedModel, plan: Plan) -> bool:
    """Whether this model gives a branching row's tokens what it gives them alone; tried on some items of the plan."""
    if "position_ids" not in inspect.signature(model.forward).parameters:
        return False
    branching = (group for group in plan.groups if any(row.branches for row in rows_of([group], branching=True)))
    probe = list(islice(branching, PROBED))
    if not probe:
        return False
    count = sum(map(len, probe))
    numbers = iter(range(count))
    groups = [[(next(numbers), sequence) for _, sequence in group] for group in probe]
    rows = [row for group in groups for one in group for row in rows_of([[one]], branching=False)]
    alone, _, _ = _sums(model, rows, count, "")
    again = sum(_sums(model, [row], count, "")[0] for row in rows)
    together, _, _ = _sums(model, rows_of(groups, branching=True), count, "")
    noise = float((alone - again).abs().max())
    return bool((alone - together).abs().max() < max(SAME_NATS, NOISES * noise))


def _encoded(tokenizer: PreTrainedTokenizerFast, requests: Sequence[Request], limit: int) -> Iterator[Sequence_]:
    moved = []
    for context, continuation in requests:
        kept = context.rstrip()
        moved.append((kept, context[len(kept) :] + continuation) if context else ("", continuation))
    contexts = list(dict.fromkeys(context for context, _ in moved if context))
    sizes = {text: len(ids) for text, ids in zip(contexts, _ids(tokenizer, contexts), strict=True)}
    with_context = iter(_ids(tokenizer, [context + text for context, text in moved if context]))
    alone = iter(_ids(tokenizer, [text for context, text in moved if not context], add_special_tokens=False))
    opening = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    for context, continuation in moved:
        if context:
            whole = next(with_context)
            scored = len(whole) - sizes[context]
        else:
            ids = next(alone)
            whole = ids if ids[:1] == [opening] else [opening, *ids]
            scored = len(whole) - 1
        if not 0 < scored <= limit:
            raise DataError(
                f"continuation {continuation[:60]!r}: {scored} tokens after its context. 1 to {limit} are needed, the "
                "model's context. Leave the row out."
            )
        yield Sequence_(tuple(whole[-(limit + 1) :]), scored)


def _ids(tokenizer: PreTrainedTokenizerFast, texts: list[str], **how: Any) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(texts, **how)["input_ids"] if texts else []
    return ids


def _sums(
    model: PreTrainedModel, rows: Sequence[Row], requests: int, description: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Per request: the sum of log p, whether every token was the likeliest, and the number of tokens."""
    nats = torch.zeros(requests, dtype=torch.float64)
    greedy = torch.ones(requests, dtype=torch.bool)
    counts = torch.zeros(requests, dtype=torch.long)
    budget = max(256, min(MOST_BATCH_TOKENS, LOGIT_BUDGET // model.config.get_text_config().vocab_size))
    # Masks keep the padding apart; transformers would warn of the pad token's own id.
    filler = int(getattr(model.config, "pad_token_id", None) == 0)
    was_training = model.training
    model.eval()
    with torch.no_grad(), progress(total=len(rows), unit="row", description=description) as bar:
        for chunk in _batches(rows, budget):
            batch = batch_of(chunk, filler)
            logits_TV = _logits(model, batch)
            wanted_T = batch.wanted_T.to(logits_TV.device)
            wanted_logits_T = logits_TV.gather(1, wanted_T[:, None])[:, 0]
            chosen_T = wanted_logits_T - logits_TV.logsumexp(1)
            nats.index_add_(0, batch.requests_T, chosen_T.double().cpu())
            counts.index_add_(0, batch.requests_T, torch.ones_like(batch.requests_T))
            greedy[batch.requests_T[_missed(logits_TV, wanted_logits_T, wanted_T).cpu()]] = False
            bar.update(len(chunk))
    model.train(was_training)
    return nats, greedy, counts


def _missed(logits_TV: torch.Tensor, wanted_logits_T: torch.Tensor, wanted_T: torch.Tensor) -> torch.Tensor:
    """Which tokens are not the likeliest; of equal ones the first is. Only what may be is looked for by its place."""
    missed_T = wanted_logits_T < logits_TV.amax(1)
    tried_T = ~missed_T
    missed_T[tried_T] = logits_TV[tried_T].argmax(1) != wanted_T[tried_T]
    return missed_T


def _batches(rows: Sequence[Row], budget: int) -> Iterator[list[Row]]:
    """Rows of like length, so many that they and their padding stay within the budget of tokens."""
    chunk: list[Row] = []
    for row in sorted(rows, key=lambda row: (-len(row), row.branches)):
        if chunk and len(chunk[0]) * (len(chunk) + 1) > budget:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def _logits(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Logits of the scored places, in fp32. Shape (T, V)."""
    given: dict[str, Any] = {"input_ids": batch.ids_BL.to(model.device), "use_cache": False}
    if batch.sees_BLL is not None:
        lowest = torch.finfo(model.dtype).min
        hidden = torch.zeros(batch.sees_BLL.shape, dtype=model.dtype).masked_fill_(~batch.sees_BLL, lowest)
        given |= {
            "attention_mask": hidden[:, None].to(model.device),
            "position_ids": batch.positions_BL.to(model.device),
        }
    with _only(model, batch.rows_T, batch.places_T) as is_thinned:
        logits = model(**given).logits
    logits = logits[0] if is_thinned[0] else logits[batch.rows_T, batch.places_T]
    return logits.float()


@contextlib.contextmanager
def _only(model: PreTrainedModel, rows_T: torch.Tensor, places_T: torch.Tensor) -> Iterator[list[bool]]:
    """Within the block, the model's head is given these places alone, as one row; says whether it was asked so."""
    head, was_called = model.get_output_embeddings(), [False]

    def thin(module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        was_called[0] = True
        return (given[0][rows_T.to(given[0].device), places_T.to(given[0].device)][None],)

    handle = head.register_forward_pre_hook(thin) if isinstance(head, torch.nn.Module) else None
    try:
        yield was_called
    finally:
        if handle is not None:
            handle.remove()
