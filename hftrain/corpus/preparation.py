"""What curation needs before it can judge: indexes of protected texts, the quality model, counts of lines."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from hftrain.corpus import boilerplate, minhash, passes, personal_data, warming
from hftrain.corpus.curator import Plan
from hftrain.corpus.gathering import Gathering
from hftrain.corpus.overlap import OverlapIndex, protected_texts
from hftrain.corpus.settings import CurationSettings, OverlapSettings, QualitySettings
from hftrain.corpus.storage import DOCUMENT_FEATURES, each_batch, write_rows
from hftrain.corpus.workers import Workers
from hftrain.errors import DataError
from hftrain.runtime import log

QUICK_PASS_BYTES = 150_000_000
"""So much text has its lines counted here, while the workers warm up, sooner than they could begin."""


def prepared(config: CurationSettings, documents: Path | None, workers: Workers, *, folder: Path) -> Plan:
    """Make all that the settings ask for, in ``folder``.

    Args:
        config: What is asked.
        documents: The dataset that will be judged: its lines are counted. None counts none.
        workers: They count them.
        folder: Made; the plan names what lies in it.

    Raises:
        ConfigError: A rule, kind or pipeline is not known.
        DataError: There is nothing in a file that the settings name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    near = config.duplicates.near_jaccard
    plan = Plan(
        rules=config.rules,
        thresholds=config.flat_thresholds(),
        languages=config.languages,
        toxicity=config.toxicity,
        exclude=config.exclude,
        personal_data=personal_data.actions(config.personal_data),
        names_model=config.names_model,
        c4_lines=config.clean.c4_lines,
        near_rows=None if near is None else minhash.rows_of_bands(near),
        boilerplate=None,
        excluded=_index("overlap.excluded", config.overlap.excluded, config.overlap, folder / "excluded"),
        contaminating=_index("overlap.against", config.overlap.against, config.overlap, folder / "contaminating"),
        quality=_quality(config.quality, folder / "quality"),
        minimum_quality=config.quality.minimum_score,
    )
    if documents is None or config.clean.boilerplate_documents is None:
        return plan
    counts = boilerplate.LineCounts(folder / "lines")
    if warming.size_bytes_of(documents) < QUICK_PASS_BYTES:
        workers = Workers(1)  # they are still warming up
    for numbers, sites in passes.edge_lines(each_batch(documents), workers):
        counts.add(numbers, sites)
    counts.boilerplate(config.clean.boilerplate_documents, config.clean.boilerplate_share).save(folder / "boilerplate")
    return dataclasses.replace(plan, boilerplate=folder / "boilerplate")


def references(entries: Sequence[str], *, folder: Path) -> Path | None:
    """Write the documents of other sets, against which duplicates are found; None if there are no such sets.

    Raises:
        DataError: The places hold no text.
    """
    if not entries:
        return None
    gathering = Gathering()
    if not write_rows(folder, gathering.documents(entries), DOCUMENT_FEATURES):
        raise DataError(
            f"curate.duplicates.against: no text in {', '.join(entries)}. At least one document is needed. "
            "Name other files, or leave the key out."
        )
    return folder


def _index(field: str, entries: Sequence[str], settings: OverlapSettings, folder: Path) -> Path | None:
    if not entries:
        return None
    index, built = OverlapIndex.build(
        protected_texts(entries), ngram_words=settings.ngram_words, minimum_words=settings.minimum_words
    )
    if not built.runs:
        raise DataError(
            f"curate.{field}: nothing to compare with in {', '.join(entries)}: {built.items:,} texts, all of "
            f"fewer than {settings.minimum_words} words. Longer texts are needed. Name others, or leave the key out."
        )
    log.info(
        "curate: %s: %s texts, %s runs of words; %s texts are too short to be found",
        field, f"{built.items:,}", f"{built.runs:,}", f"{built.too_short:,}",
    )  # fmt: skip
    index.save(folder)
    return folder


def _quality(settings: QualitySettings, folder: Path) -> Path | None:
    if settings.examples is None:
        return None
    from hftrain.corpus.quality_training import read_examples, train  # brings scipy.stats: a second

    examples = read_examples(
        Path(settings.examples),
        text=settings.text_column,
        label=settings.label_column,
        weight=settings.weight_column,
    )
    model = train(examples)
    held_out = model.report["held_out"]
    log.info(
        "curate: quality model: AUC %s on held-out examples, %s by length alone",
        held_out["auc"]["value"], held_out["auc_of_length_alone"]["value"],
    )  # fmt: skip
    model.save(folder)
    return folder
