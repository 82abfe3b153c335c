"""What a run will take, before it starts: parameters, tokens, FLOPs, minutes, memory and disk.

Minutes come from a few steps taken on this machine with the run's own model and batch; what they are multiplied by is
stated in each line's note, so that an estimate can be judged.
"""

import dataclasses
import time
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from hftrain.models.loading import causal_lm_config, parameter_count
from hftrain.runtime import device, forget_peak_memory, peak_memory_bytes, progress
from hftrain.training.callbacks import KEPT_CHECKPOINTS

PROBE_STEPS = 5
BYTES_PER_PARAMETER_KEPT = 12
"""fp32 weights and AdamW's two moments, in a checkpoint."""
ASSUMED_CONVERSATIONS = 2000
ASSUMED_ROW_TOKENS = 48
"""Of a short chat; used where the conversations were not read yet."""


@dataclasses.dataclass(frozen=True)
class Line:
    """What one stage will take."""

    stage: str
    steps: int
    tokens: int
    flops: float
    seconds: float
    note: str


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a step costs here."""

    seconds_per_step: float
    seconds_per_token_made: float
    peak_memory_bytes: int | None


def plan_lines(flow: Any) -> Iterator[str]:
    """The plan of a flow's training stages as lines of text, from a probe of a few steps on this machine.

    Args:
        flow: A ``FlowConfig``.
    """
    vocab, row = flow.train_tokenizer.vocab_size, flow.pretrain.row_tokens
    config = causal_lm_config(flow.pretrain.model, vocab_size=vocab, context_tokens=row)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).to(device())
    parameters = parameter_count(model)
    rows = int(flow.pretrain.training.get("per_device_train_batch_size", 8))
    probe = measure(model, rows=rows, row_tokens=row)
    lines = [*_lines(flow, model, probe, rows * row)]
    memory = f"{probe.peak_memory_bytes / 2**20:,.0f} MiB" if probe.peak_memory_bytes else "unknown"
    disk = disk_bytes(parameters, int(flow.pretrain.training.get("save_total_limit", KEPT_CHECKPOINTS)))
    flops, minutes = sum(line.flops for line in lines), sum(line.seconds for line in lines) / 60
    yield f"model       {config.model_type}, {parameters:,} parameters, vocabulary {vocab:,}, context {row}"
    yield f"probe       {PROBE_STEPS} steps, {rows} x {row} tokens: {probe.seconds_per_step:.3f} s each, peak {memory}"
    yield f"{'stage':18}{'steps':>8}{'tokens':>14}{'FLOPs':>11}{'minutes':>9}   counted"
    for line in lines:
        numbers = f"{line.steps:8,}{line.tokens:14,}{line.flops:11.2e}{line.seconds / 60:9.1f}"
        yield f"{line.stage:18}{numbers}   {line.note}"
    yield f"{'training in all':40}{flops:11.2e}{minutes:9.1f}"
    yield f"disk        {_mebibytes(disk['kept'])} kept, {_mebibytes(disk['while_training'])} while one trains"


def _mebibytes(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _lines(flow: Any, model: PreTrainedModel, probe: Probe, probe_tokens: int) -> Iterator[Line]:
    """A line for each training stage; the cost of a token in training is taken from the probe."""
    per_token = probe.seconds_per_step / probe_tokens

    def trained(stage: str, steps: int, batch: int, row_tokens: int, note: str, passes: float = 1) -> Line:
        tokens = steps * batch * row_tokens
        flops = tokens * passes * flops_per_token(model, row_tokens)
        return Line(stage, steps, tokens, flops, tokens * passes * per_token, note)

    pretrain = flow.pretrain.training
    batch = _batch(pretrain)
    steps = int(pretrain.get("max_steps", -1))
    if steps > 0:
        yield trained("pretrain", steps, batch, flow.pretrain.row_tokens, "max_steps x batch x row_tokens")
    talks = flow.collect.max_conversations or ASSUMED_CONVERSATIONS
    note = f"{talks:,} conversations of {ASSUMED_ROW_TOKENS} tokens assumed"
    yield trained("sft", _epochs(flow.sft.training, talks), _batch(flow.sft.training), ASSUMED_ROW_TOKENS, note)
    pairs = (flow.collect_preferences.prompts or talks) * flow.collect_preferences.pairs_per_prompt // 2
    note = f"{pairs:,} pairs of 2 x {ASSUMED_ROW_TOKENS} tokens assumed"
    reward = flow.reward_model.training
    yield trained("reward_model", _epochs(reward, pairs), _batch(reward), 2 * ASSUMED_ROW_TOKENS, note)
    yield _ppo_line(flow.ppo, trained, probe)


def _ppo_line(ppo: Any, trained: Any, probe: Probe) -> Line:
    """Each episode is made once (a token at a time) and then passes policy and critic in every epoch."""
    given = ppo.training
    episodes = int(given.get("total_episodes") or given.get("max_steps", 0))
    row = ppo.max_prompt_tokens // 2 + ppo.new_tokens
    # Policy and critic learn (2 passes of training an epoch); policy, reference, critic and reward are read once each,
    # a forward pass being a third of a training pass.
    passes = 2 * int(given.get("num_ppo_epochs", 4)) + 4 / 3
    batch = _batch(given)
    line: Line = trained("ppo", episodes // batch, batch, row, f"{episodes:,} episodes of {row} tokens", passes)
    making = episodes * ppo.new_tokens * probe.seconds_per_token_made
    return dataclasses.replace(line, seconds=line.seconds + making)


def measure(model: PreTrainedModel, *, rows: int, row_tokens: int) -> Probe:
    """Take a few training steps on random tokens, and make a few tokens for a batch; medians.

    Args:
        model: The model as it would be trained; its weights change.
        rows: Rows in a batch, B.
        row_tokens: Tokens in a row, L.
    """
    forget_peak_memory()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    ids = torch.randint(0, model.config.vocab_size, (rows, row_tokens), device=model.device)
    seconds = []
    model.train()
    for _ in progress(range(PROBE_STEPS), unit="step", description="probe"):
        began = time.monotonic()
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.monotonic() - began)
    return Probe(median(seconds), _seconds_per_token_made(model, ids[:, :8]), peak_memory_bytes())


@torch.inference_mode()
def _seconds_per_token_made(model: PreTrainedModel, prompts: torch.Tensor) -> float:
    """Seconds for one token of one row, rows made together. Prompts of shape (B, L)."""
    model.eval()
    made = 8
    began = time.monotonic()
    model.generate(
        prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=made, min_new_tokens=made, do_sample=False,
        pad_token_id=0,
    )  # fmt: skip
    return (time.monotonic() - began) / (made * len(prompts))


def flops_per_token(model: PreTrainedModel, row_tokens: int) -> float:
    """Floating-point operations to train on one token: 6 N + 12 L d T.

    N counts the parameters that multiply (a table that only looks up does not), L layers, d width, T tokens in a row.
    Source: Chowdhery et al. 2022 (PaLM), arXiv:2204.02311, appendix B.
    """
    config = model.config
    layers = getattr(config, "num_hidden_layers", None) or config.n_layer
    width = getattr(config, "hidden_size", None) or config.n_embd
    multiplied = parameter_count(model)
    if not config.tie_word_embeddings:
        multiplied -= model.get_input_embeddings().weight.numel()
    return float(6 * multiplied + 12 * layers * width * row_tokens)


def disk_bytes(parameters: int, checkpoints: int) -> dict[str, int]:
    """Bytes of the models that a run keeps (base, chat, reward, policy and five formats), and more while one trains."""
    formats = parameters * (4 + 1 + 0.7 + 2 + 1.07)
    return {
        "kept": int(4 * 4 * parameters + formats),
        "while_training": checkpoints * BYTES_PER_PARAMETER_KEPT * parameters,
    }


def _batch(training: Mapping[str, Any]) -> int:
    return int(training.get("per_device_train_batch_size", 8)) * int(training.get("gradient_accumulation_steps", 1))


def _epochs(training: Mapping[str, Any], rows: int) -> int:
    steps = int(training.get("max_steps", -1))
    return steps if steps > 0 else int(float(training.get("num_train_epochs", 3)) * rows) // _batch(training)
