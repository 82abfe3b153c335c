"""Collect preferences: answers to the corpus's prompts, ranked, as pairs of chosen and rejected."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hftrain.artifacts import digest_file, stage
from hftrain.config import StageConfig


@dataclass(frozen=True, kw_only=True)
class CollectPreferencesConfig(StageConfig):
    """How answers are asked for and ranked."""

    prompts: int | None = 400
    """At most so many training prompts are asked, and a quarter as many held-out ones; None asks all."""
    answers_per_prompt: int = 4
    """Answers sampled for each prompt, 2 or more."""
    new_tokens: int = 48
    """An answer is stopped here; stopped answers are in no pair."""
    temperature: float = 1.0
    """Of sampling, above 0; higher gives answers that differ more."""
    judge: str = "concise"
    """The declared rule that ranks: concise or reference, see ``hftrain.alignment.judges``."""
    judge_options: dict[str, Any] = field(default_factory=dict)
    """The judge's own settings by name, such as ``target_words`` of concise."""
    minimum_margin: float = 0.1
    """Two answers make a pair if their scores (0 to 1; ranks in a file) differ by at least this."""
    pairs_per_prompt: int = 6
    """At most so many pairs of a prompt, those with the largest margins."""
    rankings: Path | None = None
    """File of people's rankings (.jsonl, .jsonl.gz, .parquet), used instead of asking and judging."""

    def outside(self) -> dict[str, str]:
        """The digest of the rankings, if they come from a file."""
        return {"rankings": digest_file(self.rankings)} if self.rankings else {}

    def problems(self) -> list[str]:
        """Values that cannot be, and a rankings file that is not there."""
        from hftrain.alignment.judges import judge_problems

        where = "collect_preferences"
        floors = {
            "prompts": (
                self.prompts is None or self.prompts >= 1,
                "1 or more, or null for all, is needed",
            ),
            "answers_per_prompt": (self.answers_per_prompt >= 2, "A pair needs at least 2 answers"),
            "new_tokens": (self.new_tokens >= 1, "1 or more is needed"),
            "temperature": (
                self.temperature > 0,
                "At 0 all answers to a prompt are one; more than 0 is needed",
            ),
            "minimum_margin": (self.minimum_margin >= 0, "0 or more is needed"),
            "pairs_per_prompt": (self.pairs_per_prompt >= 1, "1 or more is needed"),
        }
        found = [
            f"{where}.{name}: {getattr(self, name)}. {needed}. Change it or remove it to get the default."
            for name, (holds, needed) in floors.items()
            if not holds
        ]
        if self.rankings is not None:
            suffixes = (".jsonl", ".jsonl.gz", ".parquet")
            if not self.rankings.is_file() or not self.rankings.name.endswith(suffixes):
                found.append(
                    f"{where}.rankings: {self.rankings} is not a file ending in {', '.join(suffixes)}. "
                    "A file of rankings is needed. Mend the path, or remove the key to ask the chat model."
                )
        return found + judge_problems(self.judge, self.judge_options, where)


@stage(makes="preferences", reads=("chat", "corpus"))
def collect_preferences(config: CollectPreferencesConfig, *, chat: Path, corpus: Path, out: Path) -> None:
    """Write ranked answers and the pairs that come of them, held-out prompts apart."""
    from hftrain.alignment.asking import ask_model
    from hftrain.alignment.collected import write_preferences
    from hftrain.alignment.rankings import collect_rankings

    if config.rankings is not None:
        collected = collect_rankings(config.rankings)
    else:
        collected = ask_model(
            chat,
            corpus,
            prompts=config.prompts,
            answers_per_prompt=config.answers_per_prompt,
            new_tokens=config.new_tokens,
            temperature=config.temperature,
            judge=config.judge,
            options=config.judge_options,
            seed=config.seed or 0,
        )
    write_preferences(collected, out, minimum_margin=config.minimum_margin, pairs_per_prompt=config.pairs_per_prompt)
