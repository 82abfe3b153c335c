"""What went in, what was kept, and what was dropped by which rule, with examples to read.

Bytes are UTF-8 bytes of the text as it was collected, so that they add up for each source and rule as documents do:
in = kept + dropped. What a kept text lost or gained by repair, cut lines and placeholders is told apart.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from hftrain.corpus.personal_data import DEFAULT_KINDS
from hftrain.corpus.scrubbing import scrub

EXAMPLES_PER_RULE = 5
EXAMPLE_CHARS = 300
LISTED_SOURCES = 50
COUNTED_SOURCES = 5000
"""Sources met after so many others are counted together: some sets name one a row."""
OTHER_SOURCES = "(other sources)"


@dataclass
class Tally:
    """Documents and their bytes."""

    documents: int = 0
    bytes: int = 0

    def add(self, documents: int, size_bytes: int) -> None:
        """Count so many more."""
        self.documents += documents
        self.bytes += size_bytes

    def as_json(self) -> dict[str, int]:
        """Both numbers."""
        return {"documents": self.documents, "bytes": self.bytes}


@dataclass
class Examples:
    """The rows with the smallest ids: a uniform sample that does not depend on the order."""

    rows: list[dict[str, str]] = field(default_factory=list)

    def add(self, example: dict[str, str]) -> None:
        """Remember this one, if its id is among the smallest."""
        if len(self.rows) == EXAMPLES_PER_RULE and example["id"] >= self.rows[-1]["id"]:
            return
        if any(each["id"] == example["id"] for each in self.rows):
            return
        self.rows.append(example)
        self.rows.sort(key=lambda each: each["id"])
        del self.rows[EXAMPLES_PER_RULE:]

    def wants(self, identity: str) -> bool:
        """Whether a row of this id would be remembered."""
        return len(self.rows) < EXAMPLES_PER_RULE or identity < self.rows[-1]["id"]


class Funnel:
    """Counts one stream of documents or conversations; every row is seen, then kept or dropped."""

    def __init__(self) -> None:
        self.kept_as_bytes = 0
        """Bytes of the kept texts as they are now."""
        self.scrubbed: Counter[str] = Counter()
        """Personal data replaced, by kind, in the texts that passed every rule; duplicates are among them."""
        self.cut: dict[str, Counter[str]] = {}
        """Pieces cut out of texts that went on: name -> documents, pieces, bytes."""
        self._cut_said: dict[str, list[str]] = {}
        self.drops: list[dict[str, str]] = []
        """Every drop since they were last taken from here: id, source, rule, detail."""
        self._seen: dict[str, Tally] = {}
        self._dropped: dict[tuple[str, str], Tally] = {}
        self._kept: dict[str, Tally] = {}
        self._examples: dict[str, Examples] = {}

    @property
    def seen(self) -> int:
        """Rows that went in."""
        return sum(tally.documents for tally in self._seen.values())

    @property
    def seen_bytes(self) -> int:
        """Their bytes."""
        return sum(tally.bytes for tally in self._seen.values())

    @property
    def kept(self) -> int:
        """Rows that stay."""
        return sum(tally.documents for tally in self._kept.values())

    def see(self, source: str, size_bytes: int) -> None:
        """Count a row that goes in, before anything is done to it."""
        self._seen.setdefault(self._known(source, new=True), Tally()).add(1, size_bytes)

    def keep(self, source: str, size_bytes: int, *, as_bytes: int) -> None:
        """Count a row that stays, by the bytes it had and those it has now."""
        self._kept.setdefault(self._known(source), Tally()).add(1, size_bytes)
        self.kept_as_bytes += as_bytes

    def drop(
        self, rule: str, row: Mapping[str, Any], size_bytes: int, text: str, detail: str, *, start: int = 0
    ) -> None:
        """Count a row that a rule takes out, and remember it if it is one of the examples.

        Args:
            rule: The name to count it by.
            row: Its ``id`` and ``source`` are read.
            size_bytes: What ``see`` was told of it.
            text: What the rule saw.
            detail: What is wrong, with the value.
            start: Where in the text; an example shows the text around it, personal data replaced.
        """
        self._dropped.setdefault((rule, self._known(row["source"])), Tally()).add(1, size_bytes)
        if "'" in detail or '"' in detail:  # it says something of the text
            detail, _ = scrub(detail, DEFAULT_KINDS)
        self.drops.append({"id": row["id"], "source": row["source"], "rule": rule, "detail": detail})
        examples = self._examples.setdefault(rule, Examples())
        if examples.wants(row["id"]):
            begin = max(0, start - EXAMPLE_CHARS // 3) if start > EXAMPLE_CHARS // 2 else 0
            shown, _ = scrub(text[begin : begin + EXAMPLE_CHARS], DEFAULT_KINDS)
            examples.add(
                {
                    "id": row["id"],
                    "source": row["source"],
                    "text": ("…" if begin else "") + shown,
                    "detail": detail,
                }
            )

    def cut_out(self, name: str, pieces: int, size_bytes: int, said: str) -> None:
        """Count what was cut out of a text that went on; ``said`` is the first piece."""
        self.cut.setdefault(name, Counter()).update({"documents": 1, "pieces": pieces, "bytes": size_bytes})
        self._remember_cut(name, [scrub(said, DEFAULT_KINDS)[0]])

    def _remember_cut(self, name: str, said: list[str]) -> None:
        self._cut_said[name] = sorted({*self._cut_said.get(name, []), *said})[:EXAMPLES_PER_RULE]

    def add(self, other: Self) -> None:
        """Add another account, of other rows."""
        self.drops += other.drops
        self.kept_as_bytes += other.kept_as_bytes
        self.scrubbed += other.scrubbed
        for name, counts in other.cut.items():
            self.cut.setdefault(name, Counter()).update(counts)
            self._remember_cut(name, other._cut_said[name])
        for source, tally in other._seen.items():
            self._seen.setdefault(self._known(source, new=True), Tally()).add(tally.documents, tally.bytes)
        for source, tally in other._kept.items():
            self._kept.setdefault(self._known(source), Tally()).add(tally.documents, tally.bytes)
        for (rule, source), tally in other._dropped.items():
            self._dropped.setdefault((rule, self._known(source)), Tally()).add(tally.documents, tally.bytes)
        for rule, examples in other._examples.items():
            for example in examples.rows:
                self._examples.setdefault(rule, Examples()).add(example)

    def take_drops(self) -> list[dict[str, str]]:
        """The drops that were not taken yet; memory need not hold them."""
        taken, self.drops = self.drops, []
        return taken

    def top_reasons(self, count: int = 3) -> str:
        """The rules that dropped most, for a message."""
        totals: Counter[str] = Counter()
        for (rule, _), tally in self._dropped.items():
            totals[rule] += tally.documents
        most = sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:count]
        return ", ".join(f"{rule} {dropped:,}" for rule, dropped in most) or "nothing"

    def as_json(self) -> dict[str, Any]:
        """The whole account.

        Raises:
            AssertionError: A row was seen but neither kept nor dropped, or both: our own bug.
        """
        self._check_sums()
        dropped: dict[str, Tally] = {}
        for (rule, _), tally in self._dropped.items():
            dropped.setdefault(rule, Tally()).add(tally.documents, tally.bytes)
        return {
            "in": self.seen,
            "in_bytes": self.seen_bytes,
            "kept": self.kept,
            "kept_bytes": sum(tally.bytes for tally in self._kept.values()),
            "kept_as_bytes": self.kept_as_bytes,
            "dropped": {
                rule: {**tally.as_json(), "examples": self._examples[rule].rows} for rule, tally in dropped.items()
            },
            "by_source": self._by_source(),
            "scrubbed": dict(self.scrubbed),
            "cut": {name: {**counts, "examples": self._cut_said[name]} for name, counts in self.cut.items()},
        }

    def parts(self) -> dict[str, Any]:
        """All that is known, as JSON; rows may still be neither kept nor dropped. ``from_parts`` reads it."""
        return {
            "kept_as_bytes": self.kept_as_bytes,
            "scrubbed": dict(self.scrubbed),
            "cut": {name: dict(counts) for name, counts in self.cut.items()},
            "cut_said": self._cut_said,
            "seen": {source: tally.as_json() for source, tally in self._seen.items()},
            "kept": {source: tally.as_json() for source, tally in self._kept.items()},
            "dropped": [[*key, tally.as_json()] for key, tally in self._dropped.items()],
            "examples": {rule: examples.rows for rule, examples in self._examples.items()},
            "drops": self.drops,
        }

    @classmethod
    def from_parts(cls, parts: Mapping[str, Any]) -> Self:
        """The account that ``parts`` told."""
        funnel = cls()
        funnel.kept_as_bytes = parts["kept_as_bytes"]
        funnel.scrubbed = Counter(parts["scrubbed"])
        funnel.cut = {name: Counter(counts) for name, counts in parts["cut"].items()}
        funnel.drops = list(parts["drops"])
        funnel._cut_said = dict(parts["cut_said"])
        funnel._seen = {source: Tally(**tally) for source, tally in parts["seen"].items()}
        funnel._kept = {source: Tally(**tally) for source, tally in parts["kept"].items()}
        funnel._dropped = {(rule, source): Tally(**tally) for rule, source, tally in parts["dropped"]}
        funnel._examples = {rule: Examples(list(rows)) for rule, rows in parts["examples"].items()}
        return funnel

    def _known(self, source: str, *, new: bool = False) -> str:
        """The name that a source is counted by."""
        is_counted = source in self._seen or (new and len(self._seen) < COUNTED_SOURCES)
        return source if is_counted else OTHER_SOURCES

    def _check_sums(self) -> None:
        came_out: dict[str, Tally] = {}
        for source, tally in [
            *self._kept.items(),
            *((source, tally) for (_, source), tally in self._dropped.items()),
        ]:
            came_out.setdefault(source, Tally()).add(tally.documents, tally.bytes)
        for source in {**self._seen, **came_out}:
            seen, out = self._seen.get(source, Tally()), came_out.get(source, Tally())
            if seen != out:
                raise AssertionError(f"{source}: {seen} went in, {out} came out")

    def _by_source(self) -> dict[str, dict[str, Any]]:
        """The largest sources by name, the others together: some sets name one source a row."""
        ordered = sorted(self._seen, key=lambda source: (-self._seen[source].documents, source))
        names = {source: source if place < LISTED_SOURCES else OTHER_SOURCES for place, source in enumerate(ordered)}
        listed: dict[str, dict[str, Any]] = {}
        for source in ordered:
            account = listed.setdefault(names[source], {"in": Tally(), "kept": Tally(), "dropped": {}})
            account["in"].add(self._seen[source].documents, self._seen[source].bytes)
            kept = self._kept.get(source, Tally())
            account["kept"].add(kept.documents, kept.bytes)
        for (rule, source), tally in sorted(self._dropped.items()):
            listed[names[source]]["dropped"].setdefault(rule, Tally()).add(tally.documents, tally.bytes)
        return {
            name: {
                "in": account["in"].as_json(),
                "kept": account["kept"].as_json(),
                "dropped": {rule: tally.as_json() for rule, tally in account["dropped"].items()},
            }
            for name, account in listed.items()
        }
