"""What can be asked of curation: the nested parts of its section. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hftrain.corpus.exclusions import ExclusionSettings

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
