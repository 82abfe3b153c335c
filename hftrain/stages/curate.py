"""Clean, judge, scrub and deduplicate what was collected; split it into train and held-out."""

import time
from dataclasses import dataclass
from pathlib import Path

from hftrain.artifacts import record_measured, stage
from hftrain.config import StageConfig
from hftrain.corpus import settings, settings_checks


@dataclass(frozen=True, kw_only=True)
class CurateConfig(StageConfig, settings.CurationSettings):
    """Which documents stay, and what of them: see ``hftrain.corpus.settings``."""

    def outside(self) -> dict[str, str]:
        """Digests of the files that the settings name."""
        return settings_checks.outside_of(self)

    def problems(self) -> list[str]:
        """Shares outside 0 to 1, names that nobody knows, files that are not there."""
        return settings_checks.problems_of(self)


@stage(makes="corpus", reads=("raw",), uses_torch=False)
def curate(config: CurateConfig, *, raw: Path, out: Path) -> None:
    """Write the splits of documents and conversations to ``out``, and the account of all drops.

    Raises:
        DataError: Nothing is left, or one of the splits is empty.
    """
    from hftrain.corpus import warming

    scratch, began = out / "scratch", time.monotonic()
    with warming.workers_for(raw / "documents") as workers:
        from hftrain.corpus import curation, preparation

        plan = preparation.prepared(config, raw / "documents", workers, folder=scratch)
        references = preparation.references(config.duplicates.against, folder=scratch / "references")
        with curation.dropped_rows(out) as dropped:
            survivors, conversations = curation.judged_here(
                config, plan, raw, references, workers, dropped=dropped, out=out
            )
            curation.publish(config, survivors, conversations, dropped=dropped, out=out)
    megabytes = survivors.funnel.seen_bytes / 1e6
    record_measured(out, megabytes_per_second=round(megabytes / (time.monotonic() - began), 2))


@stage(makes="corpus", reads=("raw",), uses_torch=False)
def curate_on_cluster(config: CurateConfig, *, raw: Path, out: Path) -> None:
    """The same by the executor of ``config.executor``: on many machines that see one file system.

    Raises:
        ConfigError: The executor's arguments are not its own, or ``duplicates.against`` is set.
        DataError: Nothing is left, or one of the splits is empty.
    """
    from hftrain.corpus import cluster, curation, preparation, warming

    scratch = out / "scratch"
    with warming.workers_for(raw / "documents") as workers:
        plan = preparation.prepared(config, raw / "documents", workers, folder=scratch)
    references = preparation.references(config.duplicates.against, folder=scratch / "references")
    conversations = curation.judged_conversations(config, plan, raw, out=out)
    with curation.dropped_rows(out) as dropped:
        survivors = cluster.judged_on_cluster(
            plan, raw / "documents", references, config.executor, dropped=dropped, folder=scratch / "cluster"
        )
        curation.publish(config, survivors, conversations, dropped=dropped, out=out)
