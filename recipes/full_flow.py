"""The whole life of a language model: plain calls, in order. Finished stages are skipped."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.flow import FlowConfig
from recipes import (
    collect,
    collect_preferences,
    curate,
    evaluate_model,
    export,
    ppo,
    pretrain,
    report,
    reward_model,
    sft,
    train_tokenizer,
)


def run(config: FlowConfig, run_dir: Path) -> Path:
    """Make everything under ``run_dir``; returns the page that shows it."""
    collect.run(config.collect, run_dir)
    curate.run(config.curate, run_dir)
    train_tokenizer.run(config.train_tokenizer, run_dir)
    pretrain.run(config.pretrain, run_dir)
    sft.run(config.sft, run_dir)
    collect_preferences.run(config.collect_preferences, run_dir)
    reward_model.run(config.reward_model, run_dir)
    ppo.run(config.ppo, run_dir)
    export.run(config.export, run_dir)
    evaluate_model.run(config.evaluate_model, run_dir)
    return report.run(config.report, run_dir)


if __name__ == "__main__":
    main(run, FlowConfig)
