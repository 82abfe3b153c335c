"""Training again: what people said of a served model -> a new one, held against it -> promoted or refused."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from hftrain.config import StageConfig, derive_seed
from hftrain.stages.collect_feedback import CollectFeedbackConfig, collect_feedback
from hftrain.stages.dpo import DPOStageConfig, dpo
from hftrain.stages.examine import ExamineConfig, examine
from hftrain.stages.learn_thumbs import LearnThumbsConfig, learn_thumbs
from hftrain.stages.mix_corrections import MixConfig, mix_corrections
from hftrain.stages.mix_preferences import MixPreferencesConfig, mix_preferences
from hftrain.stages.ppo import PPOStageConfig, ppo
from hftrain.stages.reward_model import RewardModelConfig, reward_model
from hftrain.stages.sft import SFTStageConfig, sft
from hftrain.stages.take_model import taken_as

if TYPE_CHECKING:
    from hftrain.serving.cycles import Cycle


def sft_again() -> SFTStageConfig:
    """Fewer and smaller steps than from a base: the answers are there, some of them are to change."""
    return SFTStageConfig(
        max_dropped_share=0.2,
        training={
            "num_train_epochs": 3,
            "per_device_train_batch_size": 8,
            "learning_rate": 3e-4,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 0.1,
        },
    )


@dataclass(frozen=True, kw_only=True)
class CycleConfig(StageConfig):
    """How a run learns from those who use it: a section for each stage of a cycle, and when there is enough."""

    comparisons: Literal["dpo", "ppo"] = "dpo"
    """What is done with comparisons and rankings: DPO on the pairs, or a reward model of them and PPO."""

    fewest_corrections: int = 20
    """With fewer, corrections wait for a later cycle."""

    fewest_comparisons: int = 20
    """With fewer, comparisons and ranked pairs do."""

    fewest_thumbs: int = 20
    """With fewer, thumbs do."""

    collect_feedback: CollectFeedbackConfig = field(default_factory=CollectFeedbackConfig)
    mix_corrections: MixConfig = field(default_factory=MixConfig)
    sft: SFTStageConfig = field(default_factory=sft_again)
    mix_preferences: MixPreferencesConfig = field(default_factory=MixPreferencesConfig)
    dpo: DPOStageConfig = field(default_factory=DPOStageConfig)
    reward_model: RewardModelConfig = field(default_factory=RewardModelConfig)
    ppo: PPOStageConfig = field(default_factory=PPOStageConfig)
    learn_thumbs: LearnThumbsConfig = field(default_factory=LearnThumbsConfig)
    examine: ExamineConfig = field(default_factory=ExamineConfig)

    def problems(self) -> list[str]:
        """What is wrong in any of its sections."""
        fewest = [
            f"cycle.{name}: {value}. 1 or more is needed. Change it or remove it to get the default."
            for name in ("fewest_corrections", "fewest_comparisons", "fewest_thumbs")
            if (value := getattr(self, name)) < 1
        ]
        return fewest + [f"cycle.{problem}" for section in self._sections().values() for problem in section.problems()]

    def seeded(self) -> "CycleConfig":
        """The same with a seed for each section: its own, or one derived from the cycle's."""
        seeded: dict[str, Any] = {
            name: replace(section, seed=derive_seed(self.seed or 0, name) if section.seed is None else section.seed)
            for name, section in self._sections().items()
        }
        return replace(self, **seeded)

    def _sections(self) -> dict[str, StageConfig]:
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: section for name, section in found.items() if isinstance(section, StageConfig)}


def run_cycle(
    config: CycleConfig, run: Path, out: TextIO, *, database: str | None = None, count_only: bool = False
) -> None:
    """Learn from what people said since the promoted model was; promote the new one, or refuse it with the reasons.

    A cycle that was cut goes on: the same command, and what it makes is what it would have made.

    Args:
        config: The ``cycle`` section.
        run: The run's folder; the cycle lies in its ``cycles/``.
        out: Where to say what came of it.
        database: An SQLAlchemy URL; None for the file that the run's server keeps.
        count_only: Say what feedback there is, and make nothing.

    Raises:
        ArtifactError: The new model was refused, another process is in a cycle of this run, or a part is missing.
        DataError: There is too little feedback.
    """
    from hftrain.serving import cycles

    wanted = config.seeded()
    fewest = {
        "corrections": config.fewest_corrections,
        "comparisons": config.fewest_comparisons,
        "thumbs": config.fewest_thumbs,
    }
    if count_only:
        cycles.say_counts(run, out, database, wanted.collect_feedback, fewest)
        return
    with cycles.only_one(run):
        cycle = cycles.open_cycle(run, database, wanted.collect_feedback, fewest)
        candidate = learn(wanted, run, cycle)
        examine(
            wanted.examine,
            base=cycle.folder / "base",
            candidate=candidate,
            feedback=cycle.folder / "feedback",
            corpus=run / "corpus",
            reward=run / "reward",
            out=cycle.folder / "evaluation",
        )
        cycles.decide(run, cycle, candidate, out)


def learn(config: CycleConfig, run: Path, cycle: "Cycle") -> Path:
    """Make a cycle's artifacts up to the new model; returns its folder.

    Args:
        config: With all seeds.
        run: Its old corpus and pairs are learned again in part.
        cycle: What it starts from, and what there is enough of to learn.
    """
    folder, learns = cycle.folder, cycle.learns
    rules = replace(config.collect_feedback, rows=(folder / "rows.jsonl").resolve())
    rules = rules if cycle.reads_rankings else replace(rules, rankings=None)
    feedback = collect_feedback(rules, out=folder / "feedback")
    base = taken_as("base")(StageConfig(seed=0), model=cycle.promoted, out=folder / "base")
    if "corrections" in learns:
        corpus = mix_corrections(
            config.mix_corrections, feedback=feedback, corpus=run / "corpus", out=folder / "corpus"
        )
        model = sft(config.sft, base=base, corpus=corpus, out=folder / "chat")
    else:
        model = taken_as("chat")(StageConfig(seed=0), model=base, out=folder / "chat")
    if "comparisons" in learns:
        model = _compared(config, run, folder, model)
    if "thumbs" in learns:
        model = learn_thumbs(
            config.learn_thumbs,
            model=model,
            feedback=feedback,
            preferences=run / "preferences",
            corpus=run / "corpus",
            out=folder / "liked",
        )
    return model


def _compared(config: CycleConfig, run: Path, folder: Path, chat: Path) -> Path:
    pairs = mix_preferences(
        config.mix_preferences,
        feedback=folder / "feedback",
        preferences=run / "preferences",
        out=folder / "preferences",
    )
    made = folder / "compared"
    if config.comparisons == "dpo":
        return dpo(config.dpo, chat=chat, preferences=pairs, corpus=run / "corpus", out=made)
    reward = reward_model(config.reward_model, chat=chat, preferences=pairs, out=folder / "reward")
    return ppo(config.ppo, chat=chat, reward=reward, corpus=run / "corpus", out=made)
