"""Collect preferences: answers to the corpus's prompts, ranked, as pairs of chosen and rejected."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hftrain.artifacts import SCRATCH, digest_file, stage
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
    """Who ranks: concise or reference (rules), reward_model, model (a chat model on this machine), or openai (a model
    behind an OpenAI-compatible address); see ``hftrain.alignment.judges``."""
    judge_options: dict[str, Any] = field(default_factory=dict)
    """The judge's own settings by name, such as ``target_words`` of concise or ``base_url`` of openai."""
    minimum_margin: float = 0.1
    """Two answers make a pair if their scores (0 to 1; logits of a reward model; ranks in a file) differ by at least
    this."""
    pairs_per_prompt: int = 6
    """At most so many pairs of a prompt, those with the largest margins."""
    rankings: Path | None = None
    """File of people's rankings (.jsonl, .jsonl.gz, .parquet), used instead of asking and judging."""
    check_against: Path | None = None
    """File of people's rankings in the same forms; how often the judge decides as they did goes into the summary."""

    def outside(self) -> dict[str, str]:
        """The digests of the files of rankings, and of the model that judges."""
        if self.rankings:
            return {"rankings": digest_file(self.rankings)}
        from hftrain.alignment.judges import judge_outside

        checked = {"check_against": digest_file(self.check_against)} if self.check_against else {}
        return checked | judge_outside(self.judge, self.judge_options)

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
        suffixes = (".jsonl", ".jsonl.gz", ".parquet")
        for name in ("rankings", "check_against"):
            path = getattr(self, name)
            if path is not None and not (path.is_file() and path.name.endswith(suffixes)):
                found.append(
                    f"{where}.{name}: {path} is not a file ending in {', '.join(suffixes)}. "
                    "A file of rankings is needed. Mend the path, or remove the key."
                )
        if self.rankings is not None and self.check_against is not None:
            found.append(
                f"{where}.check_against: {self.check_against}, but people rank (rankings is set), so no judge is there "
                "to check. Remove one of the two."
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
            scratch=out / SCRATCH,
            check_against=config.check_against,
        )
    write_preferences(collected, out, minimum_margin=config.minimum_margin, pairs_per_prompt=config.pairs_per_prompt)
