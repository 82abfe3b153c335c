"""Worker processes for curation, started before anything heavy is imported here: they load what they need meanwhile."""

from pathlib import Path

from hftrain.corpus.workers import Workers, cpu_count

PROCESSES_FROM_BYTES = 12_000_000
"""Below, starting other processes (seconds each) costs more than they save."""


def process_count_for(documents: Path) -> int:
    """How many processes are worth starting for a dataset."""
    return cpu_count() if size_bytes_of(documents) >= PROCESSES_FROM_BYTES else 1


def size_bytes_of(documents: Path) -> int:
    """How much a dataset takes on disk."""
    return sum(path.stat().st_size for path in documents.glob("*.arrow"))


def workers_for(documents: Path) -> Workers:
    """As many workers as pay for a dataset, loading what every curator needs while they wait."""
    return Workers(process_count_for(documents), _warm_up)


def _warm_up() -> None:
    """Let a curator of everything judge one text: what it loads for that, seconds of work, is loaded."""
    import pyarrow as pa

    from hftrain.corpus import curator, exclusions, languages, rules, settings

    languages.known_languages()
    plan = curator.Plan(
        rules=tuple(rules.rule_sets()),
        thresholds={},
        languages=settings.LanguageSettings(keep=("en",)),
        toxicity=settings.ToxicitySettings(),
        exclude=exclusions.ExclusionSettings(),
        personal_data={},
        names_model=None,
        c4_lines=False,
        near_rows=4,
        boilerplate=None,
        excluded=None,
        contaminating=None,
        quality=None,
        minimum_quality=0,
    )
    text = "The cat sat on the mat, and it was warm in the sun. " * 10
    row = {"id": "", "text": text, "source": "", "license": "", "meta": "{}"}
    curator.Curator(plan).judge(pa.RecordBatch.from_pylist([row]))
