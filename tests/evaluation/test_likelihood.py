from collections.abc import Callable
from typing import Any

import pytest
import torch

from hftrain.errors import DataError
from hftrain.evaluation import likelihood
from hftrain.evaluation.likelihood import plan_requests, score_plan, score_requests
from hftrain.evaluation.token_trees import rows_of

GROUPS = [
    [("The cat sat on the", " mat and looked at the red ball."), ("The cat sat on the", " dog.")],
    [("", "The sun was warm."), ("", "The sun warm was.")],
    [("What is your name? ", "My name is Ann.")],
    [("A small dog ran so the dog", " ran."), ("A small dog ran so the cat", " ran.")],
]


def directly(model: Any, tokenizer: Any, context: str, continuation: str) -> tuple[float, bool]:
    """The sum by plain transformers: the whole text in one row, the context's own tokens counted off."""
    kept = context.rstrip()
    ids = tokenizer(context + continuation)["input_ids"]
    before = len(tokenizer(kept)["input_ids"]) if context else 0
    opening = [] if context else [tokenizer.eos_token_id]
    whole, skipped = torch.tensor([opening + ids]), before + len(opening)
    with torch.no_grad():
        log_p = model.eval()(whole).logits[0, :-1].float().log_softmax(-1)
    wanted = whole[0, 1:]
    chosen = log_p[range(len(wanted)), wanted][skipped - 1 :]
    return chosen.sum().item(), bool((log_p.argmax(-1) == wanted)[skipped - 1 :].all())


@pytest.mark.parametrize("shape", [{}, {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2}])
def test_sums_are_those_of_transformers_computed_directly(
    tiny_model: Callable[..., tuple[Any, Any]], shape: dict[str, Any]
) -> None:
    model, tokenizer = tiny_model() if not shape else gpt2(tiny_model, shape)

    scored = score_requests(model, tokenizer, GROUPS)

    for group, found in zip(GROUPS, scored, strict=True):
        for (context, continuation), one in zip(group, found, strict=True):
            nats, is_greedy = directly(model, tokenizer, context, continuation)
            assert one.nats == pytest.approx(nats, abs=1e-3)
            assert one.is_greedy == is_greedy


def gpt2(tiny_model: Callable[..., tuple[Any, Any]], shape: dict[str, Any]) -> tuple[Any, Any]:
    from hftrain.models.loading import new_causal_lm

    _, tokenizer = tiny_model()
    torch.manual_seed(1)
    return new_causal_lm(shape, tokenizer, context_tokens=128), tokenizer


def test_alternatives_that_share_a_row_get_what_they_get_alone(tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = tiny_model()
    for parameter in model.parameters():  # else attention is nearly even, and a wrong place or mask hardly shows
        parameter.data *= 6
    context = "The sun was warm. The children played in the garden."
    group = [(context, " The cat sat on the mat."), (context, " My name is Ann, thank you."), (context, " Hello!")]
    plan = plan_requests(tokenizer, [group], context_tokens=128)

    assert len(rows_of(plan.groups, branching=True)) == 1 and likelihood.takes_trees(model, plan)
    for one, request in zip(score_plan(model, plan)[0], group, strict=True):
        assert one.nats == pytest.approx(directly(model, tokenizer, *request)[0], abs=1e-2)


def test_spaces_at_the_end_of_a_context_go_to_its_continuation(tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = tiny_model()

    ((spaced,),) = score_requests(model, tokenizer, [[("The cat ", "sat.")]])
    ((plain,),) = score_requests(model, tokenizer, [[("The cat", " sat.")]])

    assert spaced == plain


def test_what_is_too_long_is_cut_on_the_left(tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    _, tokenizer = tiny_model()

    plan = plan_requests(tokenizer, [[("The cat sat on the mat. " * 40, "The dog ran.")]], context_tokens=32)

    ((_, sequence),) = plan.groups[0:1][0]
    assert len(sequence.tokens) == 33  # 32 that are read, and the last, which is only asked for
    assert tokenizer.decode(sequence.tokens[-sequence.scored :]) == " The dog ran."


def test_a_continuation_of_nothing_is_refused(tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    _, tokenizer = tiny_model()

    with pytest.raises(DataError, match="0 tokens after its context"):
        plan_requests(tokenizer, [[("The cat", "")]], context_tokens=32)


def test_a_model_for_which_branches_differ_is_asked_one_sequence_a_row(
    tiny_model: Callable[..., tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = tiny_model()
    context = "The sun was warm. The children played in the garden until the evening. " * 2
    groups = [[(context, "The cat sat on the mat."), (context, "My name is Ann, thank you.")]]
    plan = plan_requests(tokenizer, groups, context_tokens=128)
    before = score_plan(model, plan)
    assert likelihood.takes_trees(model, plan)

    plain = model.forward

    def blind(input_ids: Any, attention_mask: Any = None, position_ids: Any = None, **more: Any) -> Any:
        return plain(input_ids, **more)

    monkeypatch.setattr(model, "forward", blind)

    assert not likelihood.takes_trees(model, plan)
    for one, other in zip(score_plan(model, plan)[0], before[0], strict=True):
        assert one.nats == pytest.approx(other.nats, abs=1e-3)


def test_the_order_and_company_of_items_change_no_sum(tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    model, tokenizer = tiny_model()

    together = score_requests(model, tokenizer, GROUPS)
    alone = [score_requests(model, tokenizer, [group])[0] for group in reversed(GROUPS)][::-1]

    for ours, theirs in zip(together, alone, strict=True):
        assert [each.nats for each in ours] == pytest.approx([each.nats for each in theirs], abs=1e-4)


def test_of_equally_likely_tokens_the_first_is_the_likeliest() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0], [1.0, 3.0, 3.0], [5.0, 3.0, 3.0], [5.0, 3.0, 3.0]])
    wanted = torch.tensor([1, 2, 0, 1])

    missed = likelihood._missed(logits, logits.gather(1, wanted[:, None])[:, 0], wanted)

    assert missed.tolist() == [False, True, False, True]


@pytest.mark.parametrize(("noise", "shared", "takes"), [(0.0, 0.1, False), (0.05, 0.1, True), (0.05, 0.3, False)])
def test_a_model_that_rounds_shares_rows_where_that_moves_sums_no_more_than_another_batch_does(
    tiny_model: Callable[..., tuple[Any, Any]],
    monkeypatch: pytest.MonkeyPatch,
    noise: float,
    shared: float,
    takes: bool,
) -> None:
    model, tokenizer = tiny_model()
    context = "The sun was warm. The children played in the garden."
    plan = plan_requests(tokenizer, [[(context, " The cat sat."), (context, " Hello you!")]], context_tokens=128)

    def sums(model: Any, rows: Any, requests: int, description: str) -> Any:
        is_shared = any(row.branches for row in rows)
        moved = shared if is_shared else noise if len(rows) == 1 else 0.0
        asked = {request for row in rows for _, _, request in row.targets}
        found = torch.tensor([-1.0 + moved if place in asked else 0.0 for place in range(requests)])
        return found, None, None

    monkeypatch.setattr(likelihood, "_sums", sums)

    assert likelihood.takes_trees(model, plan) == takes
