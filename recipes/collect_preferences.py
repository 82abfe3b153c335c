"""Rank the chat model's answers, or read people's rankings: chat/ + corpus/ -> preferences/."""

from pathlib import Path

from hftrain.cli import main
from hftrain.stages.collect_preferences import CollectPreferencesConfig, collect_preferences


def run(config: CollectPreferencesConfig, run_dir: Path) -> Path:
    """Make ``run_dir/preferences``."""
    return collect_preferences(config, chat=run_dir / "chat", corpus=run_dir / "corpus", out=run_dir / "preferences")


if __name__ == "__main__":
    main(run, CollectPreferencesConfig, section="collect_preferences")
