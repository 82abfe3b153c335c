"""What can be asked of curation: the nested parts of its section. Imports nothing heavy."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hftrain.corpus.accounts import digest_or_reason
from hftrain.corpus.exclusions import ExclusionSettings
from hftrain.errors import ConfigError
from hftrain.files import digest_folder

__all__ = [
    "CleaningSettings",
    "DuplicateSettings",
    "ExclusionSettings",
    "ExecutorSettings",
    "LanguageSettings",
    "MixtureSettings",
    "OverlapSettings",
    "QualitySettings",
    "ShareSettings",
    "ToxicitySettings",
]


LEAST_JACCARD = 0.3


@dataclass(frozen=True, kw_only=True)
class CleaningSettings:
    """What is cut out of texts that may stay. Broken Unicode is always repaired."""

    boilerplate_documents: int | None = 10
    """Lines with which so many documents of one web site (else source) begin or end, and ``boilerplate_share`` of
    them, are cut there: menus, notices, credits. Not set: none are."""

    boilerplate_share: float = 0.1
    """The share of the documents of the site or source, from 0 to 1."""

    repeated_paragraph_words: int | None = None
    """A paragraph of so many words or more that came before in the corpus is cut from later documents.
    Not set: none is."""

    c4_lines: bool = False
    """Whether lines go that C4 cuts from web pages: those that do not end like a sentence, and those about cookies."""


@dataclass(frozen=True, kw_only=True)
class LanguageSettings:
    """Which languages stay; see ``hftrain.corpus.languages``."""

    keep: tuple[str, ...] = ()
    """ISO codes such as ``en``. None given: all stay, and no language is looked for."""

    minimum_score: float = 0.5
    """How sure the model must be, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class QualitySettings:
    """A classifier that learns from examples what to keep; see ``hftrain.corpus.quality``."""

    examples: str | None = None
    """A .jsonl file (or .gz) of labelled rows, a few hundred at least. Not set: no classifier."""

    text_column: str = "text"
    """The field of a row that holds the text."""

    label_column: str = "label"
    """The field that says whether it should be kept: 1 or true, 0 or false."""

    weight_column: str | None = None
    """The field that says how much a row counts, or whether people agreed on it (true; false counts half)."""

    minimum_score: float = 0.5
    """Documents that are less likely to be kept, from 0 to 1, are dropped as ``low_quality``."""


@dataclass(frozen=True, kw_only=True)
class DuplicateSettings:
    """Which repetitions of whole documents go. Exact ones always do."""

    near_jaccard: float | None = 0.7
    """Of two documents that share so much of their word 5-grams (Jaccard), the better stays. Not set: both stay."""

    against: tuple[str, ...] = ()
    """Files and folders: documents that are equal or near to one of theirs go."""


@dataclass(frozen=True, kw_only=True)
class ToxicitySettings:
    """Toxic and explicit text; see ``hftrain.corpus.toxicity``."""

    maximum_score: float | None = 0.9
    """Windows of fifty words that the model is surer of, from 0 to 1, are toxic. Not set: it is not asked."""

    minimum_share: float = 0.1
    """Documents are dropped as ``toxic`` if so many of their windows are: one quarrel in a novel is no reason."""

    maximum_explicit: float | None = 10.0
    """Documents with more explicit terms among a thousand words are dropped as ``explicit``. Not set: none is."""

    word_lists: tuple[str, ...] = ()
    """Files of terms, one a line, that no document may hold: ``listed_term``."""


@dataclass(frozen=True, kw_only=True)
class OverlapSettings:
    """Texts that must not be in the corpus, found by runs of words that they share with a document."""

    against: tuple[str, ...] = ()
    """Benchmark files: a document that shares words with a row is dropped as ``contaminated``."""

    excluded: tuple[str, ...] = ()
    """Files and folders of texts that must not be in: dropped as ``excluded_text``."""

    ngram_words: int = 13
    """How many words in a row are a match. Source: Brown et al. 2020, arXiv:2005.14165, appendix C."""

    minimum_words: int = 8
    """Shorter rows match as a whole if they have so many words; those with fewer are passed over and counted."""


@dataclass(frozen=True, kw_only=True)
class ShareSettings:
    """The part of one group of sources in a mixture."""

    weight: float = 1.0
    """Its share of the mixture is its weight over the sum of all weights."""

    maximum_tokens: int | None = None
    """No more than so many, whatever its weight."""

    maximum_epochs: float = 1.0
    """How often its documents may be repeated: with 2, each stands in ``train`` twice at most."""


@dataclass(frozen=True, kw_only=True)
class MixtureSettings:
    """How much of each source goes into ``train``; see ``hftrain.corpus.mixtures``."""

    sources: Mapping[str, ShareSettings] = field(default_factory=dict)
    """Pattern of the source's name (``*`` stands for anything) -> its part; the first that fits counts. Sources that
    no pattern fits are dropped as ``not_in_mixture``. None given: all stay as they are."""

    total_tokens: int | None = None
    """Tokens of the mixture. Not set: as many as the weights and epochs allow."""

    bytes_per_token: float = 4.0
    """Tokens are counted as UTF-8 bytes over this number: the tokenizer is trained later, on what stays."""


@dataclass(frozen=True, kw_only=True)
class ExecutorSettings:
    """Where ``curate_on_cluster`` runs; see ``hftrain.corpus.cluster``."""

    kind: Literal["local", "slurm", "ray"] = "local"
    """Which of datatrove's executors."""

    tasks: int = 2
    """Pieces that the documents are dealt to."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """More arguments of that executor, by datatrove's names: ``workers``, ``time``, ``partition`` ..."""


@dataclass(frozen=True, kw_only=True)
class CurationSettings:
    """Which documents stay, and what of them."""

    heldout_share: float = 0.05
    """Share of the documents that is held out, by a digest of each: adding data never moves a document across."""

    conversations_heldout_share: float = 0.15
    """The same for conversations, by their first request, so that no request is on both sides."""

    rules: tuple[str, ...] = ("basic",)
    """Sets of quality rules: any of ``basic`` (for texts from a paragraph on), ``gopher_quality``,
    ``gopher_repetition``, ``c4``, ``fineweb`` (for whole web pages) and ``code``. ``hftrain explain`` shows each."""

    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Departures from the sets' own, as ``gopher_quality: {minimum_words: 30}``. ``hftrain explain`` names them all."""

    clean: CleaningSettings = field(default_factory=CleaningSettings)
    """What is cut out of texts."""

    languages: LanguageSettings = field(default_factory=LanguageSettings)
    """Which languages stay."""

    quality: QualitySettings = field(default_factory=QualitySettings)
    """A classifier that learns from examples what to keep."""

    toxicity: ToxicitySettings = field(default_factory=ToxicitySettings)
    """Toxic and explicit text."""

    personal_data: Mapping[str, str] = field(default_factory=dict)
    """Kind of personal data -> ``replace`` (by a placeholder such as ``<EMAIL>``), ``drop`` (the document) or
    ``leave``. What is not named: ``replace`` for the kinds that patterns and checksums find, ``leave`` for
    ``street_address``, ``person`` and ``address``."""

    names_model: str | None = None
    """The spaCy pipeline that finds ``person`` and ``address``, such as ``en_core_web_sm``; you install it."""

    exclude: ExclusionSettings = field(default_factory=ExclusionSettings)
    """Documents that must not be in, by what they say of themselves: licence, domain, author, title."""

    overlap: OverlapSettings = field(default_factory=OverlapSettings)
    """Documents that must not be in, by words they share: benchmarks and excluded texts."""

    duplicates: DuplicateSettings = field(default_factory=DuplicateSettings)
    """Which repetitions go."""

    mixture: MixtureSettings = field(default_factory=MixtureSettings)
    """How much of each source goes into ``train``."""

    executor: ExecutorSettings = field(default_factory=ExecutorSettings)
    """Where ``curate_on_cluster`` runs; ``curate`` works on this machine."""

    def flat_thresholds(self) -> dict[str, float]:
        """``set.setting`` -> value."""
        return {
            f"{rule_set}.{name}": value
            for rule_set, values in self.thresholds.items()
            for name, value in values.items()
        }


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
    """Digests of the files and folders that the settings name: name, the last two parts of a long one -> digest."""
    found = {}
    for entry in [entry for entries in _named(config).values() for entry in entries]:
        path = Path(entry)
        name = Path(*path.parts[1:][-2:]).as_posix() if path.is_absolute() else path.as_posix()
        found[name] = digest_folder(path) if path.is_dir() else digest_or_reason(path)
    return found


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
