"""What people said of answers, sorted into what can be learned: corrections, thumbs and comparisons.

A row that teaches nothing, or should not, is dropped under one reason; nobody decides alone, however often he votes.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hftrain.alignment.feedback_settings import FeedbackRules
from hftrain.alignment.preferences import PairCounts, pairs_of, prompt_key
from hftrain.alignment.rankings import read_rankings
from hftrain.corpus.personal_data import DEFAULT_KINDS, PLACEHOLDERS
from hftrain.corpus.scrubbing import scrub
from hftrain.tokens.chat import Messages

DAY_SECONDS = 86_400.0
KINDS = ("correction", "thumb", "comparison")
ANYBODY = ""
"""Who said what nobody's name stands at: they count as one person."""

REASONS = {
    "comment_only": "a comment alone",
    "no_conversation": "about a text that was continued, not a conversation",
    "no_text": "no text in the request or in the answer",
    "unfinished": "about an answer that did not end by itself",
    "taken_back": "taken back",
    "replaced": "said anew by the same person",
    "no_preference": "both or neither preferred",
    "same_answers": "the two answers, or answer and correction, are the same",
    "personal_data": "personal data was replaced in it",
    "too_old": "older than max_age_days",
    "other_model": "about an answer of a model that is not among models",
    "over_the_cap": "more than most_per_person from one person",
    "duplicate": "the same was said before of the same answer",
    "contradicting": "as many people said the contrary",
    "outvoted": "more people said the contrary",
}
"""Why a row is dropped, in the order in which it is looked for."""


@dataclass(frozen=True)
class Voice:
    """One thing that one person said of one answer."""

    id: str
    kind: str
    """One of `KINDS`."""
    created: float
    person: str
    place: tuple[str, int]
    """Which answer: the interaction's id, and which of its answers."""
    prompt: Messages
    better: str
    """The correction, the answer that was preferred, or the one that has the thumb."""
    worse: str = ""
    """The answer that was corrected or not preferred."""
    liked: bool = True
    """Of a thumb: up."""
    is_taken_back: bool = False
    """Of a thumb: neither any more."""


@dataclass
class SortedFeedback:
    """What can be learned, in an order that does not depend on when it was said; and what was dropped."""

    corrections: list[Voice] = field(default_factory=list)
    thumbs: list[Voice] = field(default_factory=list)
    comparisons: list[Voice] = field(default_factory=list)
    dropped: list[dict[str, str]] = field(default_factory=list)
    """``id``, ``kind`` and ``reason`` of each."""
    said: int = 0
    """How many things were said: a row may hold a thumb and a correction."""
    people: int = 0
    """How many persons' words are left."""

    def drop(self, name: str, kind: str, reason: str) -> None:
        """Count one that is left out."""
        self.dropped.append({"id": name, "kind": kind, "reason": reason})

    def counts(self) -> dict[str, Any]:
        """What came of it, as plain values."""
        reasons = Counter(each["reason"] for each in self.dropped)
        return {
            "said": self.said,
            "people": self.people,
            "corrections": len(self.corrections),
            "thumbs_up": sum(each.liked for each in self.thumbs),
            "thumbs_down": sum(not each.liked for each in self.thumbs),
            "comparisons": len(self.comparisons),
            "dropped": {reason: reasons[reason] for reason in REASONS if reasons[reason]},
        }


def sort_feedback(rows: Iterable[Mapping[str, Any]], rules: FeedbackRules) -> SortedFeedback:
    """Sort rows of feedback, each beside the answers it is about.

    Args:
        rows: Objects with ``id``, ``created``, ``person``, ``thumb``, ``correction``, ``preferred``, ``answer`` and
            ``other``; the last two with ``id``, ``choice``, ``kind``, ``model``, ``asked``, ``text`` and ``outcome``.
        rules: What counts.
    """
    found = SortedFeedback()
    given = sorted(rows, key=lambda row: (row["created"], row["id"]))
    oldest = None
    if given and rules.max_age_days is not None:
        oldest = given[-1]["created"] - rules.max_age_days * DAY_SECONDS
    said: list[Voice] = []
    for row in given:
        for kind in _kinds_of(row):
            found.said += 1
            voice = _voice(row, kind)
            reason = _wrong(row, kind, voice, rules, oldest)
            if reason:
                found.drop(row["id"], kind, reason)
            else:
                said.append(voice)
    last = _last_words(said, found)
    last = _within_cap(last, rules.most_per_person, found)
    found.people = len({voice.person for voice in last})
    by_kind = {kind: [voice for voice in last if voice.kind == kind] for kind in KINDS}
    found.corrections = _once(by_kind["correction"], found)
    found.thumbs = list(_majorities(by_kind["thumb"], found))
    found.comparisons = list(_majorities(by_kind["comparison"], found))
    return found


def ranked_pairs(path: Path, pairs_per_prompt: int) -> list[dict[str, Any]]:
    """The pairs of a file of rankings, rows of ``preferences``.

    Raises:
        DataError: A row is not of a form that `read_rankings` knows.
    """
    counts = PairCounts()
    made = (pairs_of(each, counts, minimum_margin=0.0, limit=pairs_per_prompt) for each in read_rankings(path))
    return [pair for pairs in made for pair in pairs]


def _kinds_of(row: Mapping[str, Any]) -> list[str]:
    given = {"correction": bool(row["correction"]), "thumb": row["thumb"] is not None, "comparison": row["preferred"]}
    return [kind for kind in KINDS if given[kind]] or ["comment"]


def _voice(row: Mapping[str, Any], kind: str) -> Voice:
    answer, other = row["answer"], row["other"] or {"text": ""}
    prompt = [{"role": each["role"], "content": each["content"]} for each in answer["asked"]]
    better, worse = answer["text"], other["text"]
    if kind == "correction":
        better, worse = row["correction"], answer["text"]
    elif row["preferred"] == "other":
        better, worse = worse, better
    person, place = row["person"] or ANYBODY, (answer["id"], int(answer["choice"]))
    texts = (better, "" if kind == "thumb" else worse)
    thumb = row["thumb"] if kind == "thumb" else None
    is_liked, is_taken_back = thumb != -1, thumb == 0
    return Voice(row["id"], kind, row["created"], person, place, prompt, *texts, is_liked, is_taken_back)


def _wrong(row: Mapping[str, Any], kind: str, voice: Voice, rules: FeedbackRules, oldest: float | None) -> str | None:
    """Why this does not count, whoever else says what."""
    about = [row["answer"], *([row["other"]] if kind == "comparison" else [])]
    texts = [voice.better, *([voice.worse] if kind == "comparison" else [])]
    tests = {
        "comment_only": kind == "comment",
        "no_conversation": any(each["kind"] != "chat" for each in about),
        "no_text": not all(text.strip() for text in texts) or not _asks(voice.prompt),
        "unfinished": kind != "correction" and any(each["outcome"] != "stop" for each in about),
        "no_preference": kind == "comparison" and row["preferred"] not in ("this", "other"),
        "same_answers": kind != "thumb" and voice.better.strip() == voice.worse.strip(),
        "personal_data": rules.personal_data == "drop" and _has_personal_data(voice),
        "too_old": oldest is not None and voice.created < oldest,
        "other_model": kind != "correction"
        and bool(rules.models)
        and any(each["model"] not in rules.models for each in about),
    }
    return next((reason for reason, holds in tests.items() if holds), None)


def _asks(prompt: Messages) -> bool:
    return bool(prompt) and prompt[-1]["role"] == "user" and all(each["content"].strip() for each in prompt)


def _has_personal_data(voice: Voice) -> bool:
    """Whether any was replaced before, or is there still."""
    texts = [voice.better, voice.worse, *(each["content"] for each in voice.prompt)]
    return any(
        any(mark in text for mark in PLACEHOLDERS.values()) or scrub(text, DEFAULT_KINDS)[1].total() for text in texts
    )


def _last_words(said: Sequence[Voice], found: SortedFeedback) -> list[Voice]:
    """Of what one person said of one answer, in each kind, what was said last; nothing where that takes it back."""
    last: dict[tuple[Any, ...], Voice] = {}
    for voice in said:
        key = (voice.person, voice.place, voice.kind)
        if key in last:
            found.drop(last[key].id, voice.kind, "replaced")
        last[key] = voice
    for voice in last.values():
        if voice.is_taken_back:
            found.drop(voice.id, voice.kind, "taken_back")
    return [voice for voice in last.values() if not voice.is_taken_back]


def _within_cap(said: Sequence[Voice], most: int | None, found: SortedFeedback) -> list[Voice]:
    """At most so many of each person; which ones does not depend on when they were said."""
    counts: Counter[str] = Counter()
    kept = []
    for voice in sorted(said, key=lambda each: hashlib.sha256(f"{each.id} {each.kind}".encode()).digest()):
        counts[voice.person] += 1
        if most is not None and counts[voice.person] > most:
            found.drop(voice.id, voice.kind, "over_the_cap")
        else:
            kept.append(voice)
    return sorted(kept, key=lambda voice: (voice.created, voice.id))


def _once(said: Sequence[Voice], found: SortedFeedback) -> list[Voice]:
    """Each correction of a request once, in the order of their digests."""
    kept: dict[str, Voice] = {}
    for voice in said:
        key = _key(voice.prompt, voice.better)
        if key in kept:
            found.drop(voice.id, voice.kind, "duplicate")
        else:
            kept[key] = voice
    return [kept[key] for key in sorted(kept)]


def _majorities(said: Sequence[Voice], found: SortedFeedback) -> Iterator[Voice]:
    """What most people say of an answer, or of two answers to one request; a person counts once."""
    votes: dict[str, list[Voice]] = defaultdict(list)
    for voice in said:
        votes[_key(voice.prompt, *sorted({voice.better, voice.worse}))].append(voice)
    for key in sorted(votes):
        sides: dict[tuple[str, bool], dict[str, Voice]] = defaultdict(dict)
        for voice in votes[key]:
            side = sides[voice.better, voice.liked]
            if voice.person in side:
                found.drop(voice.id, voice.kind, "duplicate")
            else:
                side[voice.person] = voice
        ranked = sorted(sides.values(), key=len, reverse=True)
        if len(ranked) > 1 and len(ranked[0]) == len(ranked[1]):
            for side in ranked:
                _drop_all(side, "contradicting", found)
            continue
        for side in ranked[1:]:
            _drop_all(side, "outvoted", found)
        first, *others = ranked[0].values()
        for voice in others:
            found.drop(voice.id, voice.kind, "duplicate")
        yield replace(first)


def _drop_all(side: Mapping[str, Voice], reason: str, found: SortedFeedback) -> None:
    for voice in side.values():
        found.drop(voice.id, voice.kind, reason)


def _key(prompt: Messages, *texts: str) -> str:
    whole = json.dumps([prompt_key(prompt), *texts], ensure_ascii=False)
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
