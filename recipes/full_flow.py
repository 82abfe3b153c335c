"""The whole life of a language model: plain calls, in order. Finished stages are skipped."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.flow import FlowConfig
from recipes import (
    best_of_n,
    collect,
    collect_preferences,
    curate,
    distill,
    dpo,
    evaluate_model,
    export,
    grpo,
    kto,
    ppo,
    pretrain,
    report,
    reward_model,
    rloo,
    sft,
    train_tokenizer,
)

POLICIES = {"ppo": ppo, "dpo": dpo, "kto": kto, "grpo": grpo, "rloo": rloo, "best_of_n": best_of_n}


def run(config: FlowConfig, run_dir: Path) -> Path:
    """Make everything under ``run_dir``; returns the page that shows it."""
    collect.run(config.collect, run_dir)
    curate.run(config.curate, run_dir)
    train_tokenizer.run(config.train_tokenizer, run_dir)
    pretrain.run(config.pretrain, run_dir)
    sft.run(config.sft, run_dir)
    collect_preferences.run(config.collect_preferences, run_dir)
    reward_model.run(config.reward_model, run_dir)
    POLICIES[config.policy].run(getattr(config, config.policy), run_dir)
    distill.run(config.distill, run_dir)
    export.run(config.export, run_dir)
    evaluate_model.run(config.evaluate_model, run_dir)
    return report.run(config.report, run_dir)


if __name__ == "__main__":
    main(run, FlowConfig)
