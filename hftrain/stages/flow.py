"""The configuration of a whole run: one section a stage, in the order in which they run."""

from dataclasses import dataclass, field
from typing import Literal

from hftrain.config import DEFAULT_SEED
from hftrain.models.shapes import WITHOUT_SCORES
from hftrain.stages.adapt import AdaptConfig
from hftrain.stages.best_of_n import BestOfNConfig
from hftrain.stages.collect import CollectConfig
from hftrain.stages.collect_preferences import CollectPreferencesConfig
from hftrain.stages.curate import CurateConfig
from hftrain.stages.cycle import CycleConfig
from hftrain.stages.distill import DistillConfig
from hftrain.stages.dpo import DPOStageConfig
from hftrain.stages.evaluate_model import EvaluateModelConfig
from hftrain.stages.export import ExportConfig
from hftrain.stages.grpo import GRPOStageConfig
from hftrain.stages.kto import KTOStageConfig
from hftrain.stages.ppo import PPOStageConfig
from hftrain.stages.pretrain import PretrainConfig
from hftrain.stages.report import ReportConfig
from hftrain.stages.reward_model import RewardModelConfig
from hftrain.stages.rloo import RLOOStageConfig
from hftrain.stages.sft import SFTStageConfig
from hftrain.stages.train_tokenizer import TrainTokenizerConfig


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """All that can vary in a run."""

    seed: int = DEFAULT_SEED
    """The run's one seed; each stage's own is derived from it and the stage's name."""

    policy: Literal["ppo", "dpo", "kto", "grpo", "rloo", "best_of_n"] = "ppo"
    """How the policy is made of chat model, preferences and reward model: which of these sections is run."""

    collect: CollectConfig = field(default_factory=CollectConfig)
    curate: CurateConfig = field(default_factory=CurateConfig)
    train_tokenizer: TrainTokenizerConfig = field(default_factory=TrainTokenizerConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    sft: SFTStageConfig = field(default_factory=SFTStageConfig)
    collect_preferences: CollectPreferencesConfig = field(default_factory=CollectPreferencesConfig)
    reward_model: RewardModelConfig = field(default_factory=RewardModelConfig)
    ppo: PPOStageConfig = field(default_factory=PPOStageConfig)
    dpo: DPOStageConfig = field(default_factory=DPOStageConfig)
    kto: KTOStageConfig = field(default_factory=KTOStageConfig)
    grpo: GRPOStageConfig = field(default_factory=GRPOStageConfig)
    rloo: RLOOStageConfig = field(default_factory=RLOOStageConfig)
    best_of_n: BestOfNConfig = field(default_factory=BestOfNConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    evaluate_model: EvaluateModelConfig = field(default_factory=EvaluateModelConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    cycle: CycleConfig = field(default_factory=CycleConfig)
    """Of ``hftrain cycle``, which trains again on what people said; no part of the flow."""
    adapt: AdaptConfig = field(default_factory=AdaptConfig)
    """Of ``hftrain adapt``, which trains an adapter for one person or domain; no part of the flow."""

    def problems(self) -> list[str]:
        """Sections that contradict each other."""
        kind = self.pretrain.model.get("model_type")
        if kind not in WITHOUT_SCORES:
            return []
        return [
            f"pretrain.model.model_type: {kind}, but transformers has no model of this type that gives scores, and the "
            "flow trains a reward model. llama, qwen3 or gpt2 is needed. Take one of them, or call the stages without "
            "reward_model and ppo one by one."
        ]
