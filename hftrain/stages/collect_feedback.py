"""What people said of answers, as what can be learned: corrections, thumbs, comparisons."""

from dataclasses import dataclass
from pathlib import Path

from hftrain.alignment.feedback_settings import FeedbackRules
from hftrain.artifacts import digest_file, stage
from hftrain.config import StageConfig

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")


@dataclass(frozen=True, kw_only=True)
class CollectFeedbackConfig(StageConfig, FeedbackRules):
    """Which of what people said counts, and where it is."""

    rows: Path | None = None
    """Rows of feedback as `hftrain cycle` takes them out of the database, which it does itself."""

    rankings: Path | None = None
    """A file of `hftrain rank --export`, or of anyone's rankings in the forms that ``collect_preferences`` reads: its
    pairs are learned beside the comparisons."""

    pairs_per_prompt: int = 6
    """At most so many pairs of one request of that file."""

    def outside(self) -> dict[str, str]:
        """Digests of the files."""
        return {name: digest_file(path) for name in ("rows", "rankings") if (path := getattr(self, name))}

    def problems(self) -> list[str]:
        """Values that cannot be, and files that are not there."""
        found = [
            f"collect_feedback.{name}: {value}. {needed}. Change it, or set null for no bound."
            for name, value, needed in (
                ("max_age_days", self.max_age_days, "More than 0 is needed"),
                ("most_per_person", self.most_per_person, "1 or more is needed"),
            )
            if value is not None and value <= 0
        ]
        if self.pairs_per_prompt < 1:
            found.append(f"collect_feedback.pairs_per_prompt: {self.pairs_per_prompt}. 1 or more is needed. Change it.")
        if self.rankings is not None and not (self.rankings.is_file() and self.rankings.name.endswith(SUFFIXES)):
            found.append(
                f"collect_feedback.rankings: {self.rankings} is not a file ending in {', '.join(SUFFIXES)}. A file of "
                "rankings is needed. Mend the path, or remove the key."
            )
        return found


@stage(makes="feedback", uses_torch=False)
def collect_feedback(config: CollectFeedbackConfig, *, out: Path) -> None:
    """Sort what people said, and write what can be learned; every row that is dropped is counted under a reason."""
    from hftrain.alignment.feedback import ranked_pairs, sort_feedback
    from hftrain.alignment.feedback_folder import write_feedback
    from hftrain.artifacts import read_jsonl

    rows = read_jsonl(config.rows) if config.rows is not None else []
    pairs = ranked_pairs(config.rankings, config.pairs_per_prompt) if config.rankings is not None else []
    write_feedback(sort_feedback(rows, config), pairs, out)
