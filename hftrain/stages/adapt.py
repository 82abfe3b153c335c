"""An adapter for one person or domain: a model + conversations -> adapters/NAME."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TextIO

from hftrain.artifacts import digest_file, read_json, read_manifest, stage
from hftrain.config import StageConfig, derive_seed
from hftrain.errors import ArtifactError, ConfigError
from hftrain.stages import OWNED_TRAINING

FOLDER = "adapters"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
ROWS_DECIDE = frozenset(
    {"max_length", "packing", "padding_free", "assistant_only_loss", "completion_only_loss", "dataset_kwargs"}
)


@dataclass(frozen=True, kw_only=True)
class AdaptConfig(StageConfig):
    """How an adapter learns from a person's or a domain's conversations."""

    UPSTREAM: ClassVar[Mapping[str, str]] = {
        "training": "trl.trainer.sft_config:SFTConfig",
        "adapter": "peft:LoraConfig",
    }
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {
        "training": OWNED_TRAINING | ROWS_DECIDE | {"loss_type"},
        "adapter": frozenset({"task_type", "modules_to_save"}),
    }

    training: dict[str, Any] = field(
        default_factory=lambda: {
            "num_train_epochs": 10,
            "per_device_train_batch_size": 4,
            "learning_rate": 2e-3,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 0.1,
        }
    )
    """SFTConfig, by TRL's names."""

    adapter: dict[str, Any] = field(default_factory=lambda: {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"})
    """peft's LoraConfig by its names: more ``r``, or more modules, learn more and take more memory."""

    max_row_tokens: int | None = None
    """Longer conversations are left out and counted, not cut. Not set: the model's context."""

    max_dropped_share: float = 0.1
    """The stage refuses when a larger share of the conversations would be left out."""

    heldout_share: float = 0.1
    """Of the conversations, how many are only measured on; by their digests, one at least where there are two."""

    rows: Path | None = None
    """The conversations, in any of the forms that ``collect`` reads; `hftrain adapt --from` sets it."""

    def outside(self) -> dict[str, str]:
        """The digest of the conversations."""
        return {"rows": digest_file(self.rows)} if self.rows is not None else {}

    def problems(self) -> list[str]:
        """Values that cannot be."""
        rules = {
            "max_row_tokens": (self.max_row_tokens is None or self.max_row_tokens >= 1, "1 or more is needed"),
            "max_dropped_share": (0 <= self.max_dropped_share < 1, "A share from 0 to below 1 is needed"),
            "heldout_share": (0 < self.heldout_share < 1, "A share above 0 and below 1 is needed"),
            "adapter": (bool(self.adapter), "LoraConfig's arguments are needed, such as {r: 8}"),
        }
        return [
            f"adapt.{name}: {getattr(self, name)}. {needed}. Change it or remove it to get the default."
            for name, (holds, needed) in rules.items()
            if not holds
        ]


def run_adapt(config: AdaptConfig, run: Path, out: TextIO, *, name: str, rows: Path, model: str | None = None) -> None:
    """Train an adapter and say what it takes; a server of the run offers it by its name.

    Args:
        config: The ``adapt`` section.
        run: The run's folder; the adapter lies in its ``adapters/``.
        out: Where to say what it takes.
        name: What it is called, and asked for by.
        rows: Conversations, .jsonl.
        model: The model to adapt, by its place in the run; None for the promoted one.

    Raises:
        ConfigError: The name is taken, or is none.
        ArtifactError: There is no such model, or no such file.
    """
    from hftrain.serving.promotion import PROMOTED, promoted

    if not NAME.fullmatch(name) or name == PROMOTED or (run / name).exists():
        raise ConfigError(
            f"--name {name}: is no name for an adapter, or something of the run is called so. Small letters, digits, - "
            "and _ are needed. Name it otherwise."
        )
    if not rows.is_file():
        raise ArtifactError(f"--from {rows}: is not there. A file of conversations is needed. Mend the path.")
    folder = run / (model or promoted(run).model)
    seed = derive_seed(0, f"adapt {name}") if config.seed is None else config.seed
    made = adapt(replace(config, rows=rows.resolve(), seed=seed), model=folder, out=run / FOLDER / name)
    told = read_json(made / "summary.json")
    disk = sum(each["bytes"] for each in read_manifest(made)["files"].values())
    whole = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    out.write(
        f"{name}: {told['trained_parameters']:,} parameters beside {told['parameters']:,}; {disk / 1e6:.2f} MB on disk "
        f"({whole / 1e6:.1f} MB the model it goes with), {told['own_memory_bytes'] / 1e6:.1f} MB of memory of its own "
        f"when served beside it\n"
        f"held-out answers: {told['heldout_answer_nats_before']:.3f} nats a token before, "
        f"{told['heldout_answer_nats_after']:.3f} after ({told['heldout_conversations']} conversations)\n"
    )


def adapt(config: AdaptConfig, *, model: Path, out: Path) -> Path:
    """Train a few matrices beside a finished model's weights, which stay where they are; write those alone."""
    kind = read_manifest(model)["kind"]
    return stage(makes="adapter", reads=(kind,), every_process=True)(_adapt)(config, out=out, **{kind: model})


def _adapt(config: AdaptConfig, *, out: Path, **model: Path) -> None:
    from trl import SFTConfig, SFTTrainer

    from hftrain.tokens.chat import load_tokenizer
    from hftrain.training.adapting import Personal, publish
    from hftrain.training.answering import check_batch
    from hftrain.training.arguments import training_arguments
    from hftrain.training.loop import run_trainer

    [base] = model.values()
    ours = {"max_length": None, "loss_type": "nll", "dataset_kwargs": {"skip_prepare_dataset": True}}
    args = training_arguments(SFTConfig, config.training | ours, out, seed=config.seed or 0, section="adapt")
    personal = Personal(config, base, load_tokenizer(base))
    trainer = SFTTrainer(personal.learner, args, train_dataset=personal.rows, processing_class=personal.tokenizer)
    check_batch(trainer, personal.tokenizer)
    run_trainer(trainer, out, description="adapt")
    publish(trainer, personal, out)


_adapt.__name__ = "adapt"  # what manifests and logs call the stage
