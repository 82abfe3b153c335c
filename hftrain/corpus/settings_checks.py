"""What can be seen to be wrong with the settings of curation, and which files they name. Imports nothing heavy."""

from collections.abc import Iterable
from pathlib import Path

from hftrain.corpus import places
from hftrain.corpus.settings import LEAST_JACCARD, CurationSettings
from hftrain.errors import ConfigError


def problems_of(config: CurationSettings) -> list[str]:
    """What can be seen to be wrong without work, each as full sentences."""
    from hftrain.corpus import personal_data

    problems = _share_problems(config)
    if config.rules != CurationSettings.rules or config.thresholds:
        from hftrain.corpus import rules  # brings numpy

        try:
            rules.build(config.rules, config.flat_thresholds())
        except ConfigError as error:
            problems.append(f"curate.{error}")
    problems += config.exclude.problems("curate.exclude")
    problems += _unknown("curate.personal_data", config.personal_data, personal_data.KINDS)
    problems += [
        f"curate.personal_data.{kind}: {action!r}. Needed: {', '.join(personal_data.ACTIONS)}. Mend the word."
        for kind, action in config.personal_data.items()
        if action not in personal_data.ACTIONS
    ]
    asked = [kind for kind in personal_data.ENTITY_PLACEHOLDERS if config.personal_data.get(kind, "leave") != "leave"]
    if asked and not config.names_model:
        problems.append(
            f"curate.personal_data: {' and '.join(asked)} need a model of names. Set curate.names_model to a spaCy "
            "pipeline that you have installed, such as en_core_web_sm."
        )
    for field_name, entries in _named(config).items():
        problems += _missing(f"curate.{field_name}", entries)
    return problems


def outside_of(config: CurationSettings) -> dict[str, str]:
    """Digests of the files and folders that the settings name, each under a name of its own."""
    return places.outside_of([entry for entries in _named(config).values() for entry in entries])


def _named(config: CurationSettings) -> dict[str, tuple[str, ...]]:
    """The files and folders that the settings name, by setting."""
    return {
        "overlap.against": config.overlap.against,
        "overlap.excluded": config.overlap.excluded,
        "duplicates.against": config.duplicates.against,
        "toxicity.word_lists": config.toxicity.word_lists,
        "quality.examples": (config.quality.examples,) if config.quality.examples else (),
    }


def _share_problems(config: CurationSettings) -> list[str]:
    problems = [
        f"curate.{name}: {getattr(config, name)}. A share above 0 and below 1 is "
        "needed: both splits are used. Set it to 0.05 or so."
        for name in ("heldout_share", "conversations_heldout_share")
        if not 0 < getattr(config, name) < 1
    ]
    shares = {
        "clean.boilerplate_share": config.clean.boilerplate_share,
        "languages.minimum_score": config.languages.minimum_score,
        "quality.minimum_score": config.quality.minimum_score,
        "toxicity.maximum_score": config.toxicity.maximum_score,
        "toxicity.minimum_share": config.toxicity.minimum_share,
        "duplicates.near_jaccard": config.duplicates.near_jaccard,
    }
    problems += [
        f"curate.{name}: {value}. A share from 0 to 1 is needed. Mend the number."
        for name, value in shares.items()
        if value is not None and not 0 <= value <= 1
    ]
    near = config.duplicates.near_jaccard
    if near is not None and 0 <= near < LEAST_JACCARD:
        problems.append(
            f"curate.duplicates.near_jaccard: {near}. At least {LEAST_JACCARD} is needed: signatures find no others. "
            "Set it to 0.7 or so, or to null."
        )
    return problems


def _unknown(section: str, names: Iterable[str], known: Iterable[str]) -> list[str]:
    listed = ", ".join(known)
    return [
        f"{section}: {name!r} is not known. Needed: any of {listed}. Mend the name, or leave it out."
        for name in names
        if name not in listed.split(", ")
    ]


def _missing(section: str, entries: Iterable[str]) -> list[str]:
    return [
        f"{section}: {entry} does not exist (looked in {Path.cwd()}). A file or folder is needed. Mend the path."
        for entry in entries
        if not Path(entry).exists()
    ]
