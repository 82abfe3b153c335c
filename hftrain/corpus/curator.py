"""What each step of curation thinks of a batch of documents: cut, repaired, judged, scrubbed, signed.

A ``Curator`` looks at one batch alone, so that any number of processes, here or on a cluster, come to the same
decisions. What can only be known of all documents together (duplicates, mixtures) is ``hftrain.corpus.curation``'s.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hftrain.corpus import duplicates, languages, minhash, rules, toxicity, word_lists
from hftrain.corpus.batches import Batch
from hftrain.corpus.boilerplate import Boilerplate, site_of
from hftrain.corpus.exclusions import ExclusionSettings, exclusion
from hftrain.corpus.funnel import Funnel
from hftrain.corpus.numbers_in_text import number_places
from hftrain.corpus.overlap import OverlapIndex
from hftrain.corpus.personal_data import Found
from hftrain.corpus.quality import QualityModel
from hftrain.corpus.repair import repair, repair_all
from hftrain.corpus.scrubbing import clean
from hftrain.corpus.settings import LanguageSettings, ToxicitySettings
from hftrain.corpus.sieve import Broken, Row, Sieve
from hftrain.corpus.web_lines import c4_lines

EMPTY = "empty"
EXCLUDED_TEXT = "excluded_text"
CONTAMINATED = "contaminated"

LARGEST_CHARS = 16_000_000
"""Five Bibles. Judging takes some 45 bytes of memory a character."""

SURVIVOR_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "text", "source", "license", "meta")] + [("collected_bytes", pa.int64())]
)
"""A document and how many bytes it had before anything was done to it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that judging asks for; small enough to be sent to other processes. What is large lies in folders."""

    rules: tuple[str, ...] = ("basic",)
    thresholds: Mapping[str, float]
    languages: LanguageSettings
    toxicity: ToxicitySettings
    exclude: ExclusionSettings
    personal_data: Mapping[str, str]
    names_model: str | None
    c4_lines: bool
    near_rows: int | None
    """Rows of a band of the signatures; None: no signatures are made."""
    boilerplate: Path | None
    excluded: Path | None
    contaminating: Path | None
    quality: Path | None
    minimum_quality: float

    def for_references(self) -> "Plan":
        """The plan for documents of other sets, which are only compared: all of them stay."""
        return dataclasses.replace(
            self,
            rules=(),
            thresholds={},
            languages=LanguageSettings(),
            toxicity=ToxicitySettings(maximum_score=None, maximum_explicit=None),
            exclude=ExclusionSettings(),
            personal_data={},
            c4_lines=False,
            boilerplate=None,
            excluded=None,
            contaminating=None,
            quality=None,
        )


@dataclass(frozen=True)
class Judged:
    """What a batch gives: the documents that are still in, and numbers to tell duplicates by.

    Shape legend: D documents that are still in, B bands.
    """

    documents: pa.RecordBatch
    """Of SURVIVOR_SCHEMA."""
    funnel: Funnel
    """All rows seen, those dropped so far; the documents above are neither kept nor dropped yet."""
    keys_D2: NDArray[numpy.uint64]
    """Equal where two texts are, case and white space not minded."""
    bands_DB: NDArray[numpy.uint64] | None
    preference_D: NDArray[numpy.float64]
    """Of two duplicates the one with the higher number stays."""


@dataclass(frozen=True)
class JudgedConversations:
    """What a group of conversations gives."""

    rows: list[Row]
    """Those that are still in."""
    sizes_bytes: list[int]
    """How many bytes each had before anything was done to it."""
    funnel: Funnel


class Curator:
    """Judges batches by a plan."""

    def __init__(self, plan: Plan) -> None:
        """Load what the plan names.

        Raises:
            ConfigError: The plan names a rule, a kind or a model that there is not.
        """
        self._plan = plan
        self.rules = rules.build(plan.rules, plan.thresholds)
        self.protected = [
            (OverlapIndex.load(folder), reason)
            for folder, reason in ((plan.excluded, EXCLUDED_TEXT), (plan.contaminating, CONTAMINATED))
            if folder is not None
        ]
        """What must not be in, and the name that a drop is counted by."""
        self.languages = frozenset(map(languages.language_code, plan.languages.keep))
        """Codes of those that may stay; none: all may."""
        self.quality = QualityModel.load(plan.quality) if plan.quality else None
        lists = [Path(entry) for entry in plan.toxicity.word_lists]
        self._listed = word_lists.listed_terms(word_lists.read_terms(lists)) if lists else None
        self._boilerplate = Boilerplate.load(plan.boilerplate) if plan.boilerplate else None

    def judge(self, documents: pa.RecordBatch) -> Judged:
        """Take a batch of documents (DOCUMENT_FEATURES) through all steps."""
        rows = documents.to_pylist()
        sieve = Sieve(rows, [row["text"] for row in rows], pc.binary_length(documents["text"]).to_pylist())
        sieve.drop([exclusion(rows[place], self._plan.exclude) for place in sieve.left])
        sieve.drop([_too_large(text) for text in sieve.texts_left()])
        if self._boilerplate:
            self._cut_boilerplate(sieve, self._boilerplate)
        repaired = sieve.of_unchanged(repair_all)
        sieve.change(lambda place, text: repaired[place] if place in repaired else repair(text))
        if self._plan.c4_lines:
            sieve.change(lambda _, text: c4_lines(text))
        self._drop_empty(sieve)
        sieve.judge(lambda batch: rules.judge(batch, self.rules))
        self._drop_languages(sieve)
        self._drop_toxic(sieve)
        self._drop_low_quality(sieve)
        self._drop_overlapping(sieve)  # before scrubbing: a placeholder would hide the words around it
        self._scrub(sieve)
        return self._judged(sieve)

    def judge_conversations(self, conversations: Sequence[Row]) -> JudgedConversations:
        """The same for conversations, turn by turn; the rules of prose do not apply: a good answer may be a word."""
        rows = [{**row, "messages": [dict(turn) for turn in row["messages"]]} for row in conversations]
        sizes_bytes = [len(as_text(row["messages"]).encode()) for row in rows]
        sieve = Sieve(rows, [as_text(row["messages"]) for row in rows], sizes_bytes)
        sieve.drop([exclusion(rows[place], self._plan.exclude) for place in sieve.left])
        for row in rows:
            for turn in row["messages"]:
                turn["content"] = repair(turn["content"])
        has_empty = [not all(turn["content"] for turn in rows[place]["messages"]) for place in sieve.left]
        sieve.drop([(EMPTY, "a message without a visible character") if empty else None for empty in has_empty])
        self._follow(sieve)
        self._drop_toxic(sieve)
        self._drop_overlapping(sieve)
        self._scrub_turns(sieve)
        self._follow(sieve)
        return JudgedConversations(
            [rows[place] for place in sieve.left], [sizes_bytes[place] for place in sieve.left], sieve.funnel
        )

    def _follow(self, sieve: Sieve) -> None:
        sieve.change(lambda place, _: as_text(sieve.rows[place]["messages"]))

    def _cut_boilerplate(self, sieve: Sieve, known: Boilerplate) -> None:
        batch, places = sieve.batch()
        sites = dict(zip(places, [site_of(sieve.rows[place]) for place in sieve.left], strict=True))
        cuts = known.cut(batch, [sites.get(number) for number in range(len(batch))])
        of_place = {place: cuts[number] for place, number in zip(sieve.left, places, strict=True)}
        for cut in of_place.values():
            if cut.pieces:
                sieve.funnel.cut_out("boilerplate_lines", cut.pieces, cut.bytes, cut.said)
        sieve.change(lambda place, _: of_place[place].text)

    def _drop_empty(self, sieve: Sieve) -> None:
        sieve.drop([None if text else (EMPTY, "no visible character") for text in sieve.texts_left()])

    def _drop_languages(self, sieve: Sieve) -> None:
        if not self.languages:
            return
        found = languages.identify(sieve.texts_left())
        least = self._plan.languages.minimum_score
        wrong = [languages.wrong_language(code, score, self.languages, least) for code, score in found]
        sieve.drop([("wrong_language", detail) if detail else None for detail in wrong])

    def _drop_toxic(self, sieve: Sieve) -> None:
        wanted = self._plan.toxicity
        sieve.judge(
            lambda batch: toxicity.judge(
                batch,
                maximum_score=wanted.maximum_score,
                minimum_share=wanted.minimum_share,
                maximum_explicit=wanted.maximum_explicit,
                listed=self._listed,
            )
        )

    def _drop_low_quality(self, sieve: Sieve) -> None:
        model, least = self.quality, self._plan.minimum_quality
        if model is None:
            return

        def low(score: float) -> Broken:
            return ("low_quality", f"score {score:.2f}; {least:g} is needed") if score < least else None

        sieve.judge(lambda batch: [low(score) for score in model.score(batch).tolist()])

    def _scrub(self, sieve: Sieve) -> None:
        dropped: dict[int, Found] = {}
        places_of = sieve.of_unchanged(number_places)

        def scrubbed(place: int, text: str) -> str:
            after, counts, found = clean(text, self._plan.personal_data, self._plan.names_model, places_of.get(place))
            if found:
                dropped[place] = found
                return text
            sieve.funnel.scrubbed.update(counts)
            return after

        sieve.change(scrubbed)
        sieve.drop([_personal(dropped.get(place)) for place in sieve.left])

    def _scrub_turns(self, sieve: Sieve) -> None:
        broken = []
        for place in sieve.left:
            first: Found | None = None
            for turn in sieve.rows[place]["messages"]:
                turn["content"], counts, found = clean(
                    turn["content"], self._plan.personal_data, self._plan.names_model
                )
                first = first or found
                sieve.funnel.scrubbed.update(counts)
            broken.append(_personal(first))
        sieve.drop(broken)

    def _drop_overlapping(self, sieve: Sieve) -> None:
        for index, reason in self.protected:
            sieve.judge(partial(_overlapping, index, reason))

    def _judged(self, sieve: Sieve) -> Judged:
        rows = [
            {**sieve.rows[place], "text": sieve.texts[place], "collected_bytes": sieve.sizes_bytes[place]}
            for place in sieve.left
        ]
        bands = 0 if self._plan.near_rows is None else minhash.BANDS
        numbers_DN = numpy.zeros((len(rows), 3 + bands), numpy.uint64)  # key, key, words, bands
        batch, pairs = sieve.unchanged()
        here, there = ([pair[side] for pair in pairs] for side in (0, 1))
        numbers_DN[here] = self._numbers(batch)[there]
        changed = sorted(set(range(len(rows))) - set(here))
        numbers_DN[changed] = self._numbers(Batch([rows[number]["text"] for number in changed]))
        return Judged(
            documents=pa.RecordBatch.from_pylist(rows, schema=SURVIVOR_SCHEMA),
            funnel=sieve.funnel,
            keys_D2=numbers_DN[:, :2],
            bands_DB=numbers_DN[:, 3:] if bands else None,
            preference_D=numbers_DN[:, 2].astype(float),
        )

    def _numbers(self, batch: Batch) -> NDArray[numpy.uint64]:
        """Key, count of words, and bands of each document. Shape (D, 3 + B)."""
        columns = [duplicates.exact_keys(batch), batch.words.counts_D.astype(numpy.uint64)[:, None]]
        if self._plan.near_rows is not None:
            columns.append(minhash.signatures(batch, self._plan.near_rows))
        return numpy.concatenate(columns, axis=1)


def _overlapping(index: OverlapIndex, reason: str, batch: Batch) -> list[Broken]:
    broken: list[Broken] = [None] * len(batch)
    for match in index.matches(batch):
        broken[match.document] = (reason, match.detail(), match.start)
    return broken


def as_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """A conversation as one text, for comparing, judging and counting its bytes."""
    return "\n".join(f"{turn['role']}: {turn['content']}" for turn in messages)


def _too_large(text: str) -> Broken:
    if len(text) <= LARGEST_CHARS:
        return None
    return "too_large", f"{len(text):,} characters in one document, at most {LARGEST_CHARS:,}; cut it into several"


def _personal(found: Found | None) -> Broken:
    return ("personal_data", f"{found.kind} {found.masked}", found.start) if found else None
