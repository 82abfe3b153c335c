"""What went in, what was kept, and what was dropped by which rule, with examples to read."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

EXAMPLES_PER_RULE = 5
EXAMPLE_CHARS = 300
LISTED_SOURCES = 50
OTHER_SOURCES = "(other sources)"


class Funnel:
    """Counts one stream of documents or conversations; every row is seen, then kept or dropped.

    The examples of a rule are its rows with the smallest ids: a uniform sample that does not
    depend on the order.
    """

    def __init__(self) -> None:
        self.kept = 0
        self.kept_bytes = 0
        self.seen_bytes = 0
        self.scrubbed: Counter[str] = Counter()
        self._seen_by_source: Counter[str] = Counter()
        self._kept_by_source: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._dropped_bytes: Counter[str] = Counter()
        self._examples: dict[str, list[dict[str, str]]] = {}

    @property
    def seen(self) -> int:
        """Rows that went in."""
        return self._seen_by_source.total()

    def see(self, source: str, text: str) -> None:
        """Count a row that goes in, before anything is done to it."""
        self._seen_by_source[source] += 1
        self.seen_bytes += len(text.encode("utf-8"))

    def keep(self, source: str, text: str) -> None:
        """Count a row that stays, as it is now."""
        self.kept += 1
        self.kept_bytes += len(text.encode("utf-8"))
        self._kept_by_source[source] += 1

    def drop(self, rule: str, row: Mapping[str, Any], text: str, detail: str) -> None:
        """Count a row that a rule takes out, and remember it if it is one of the examples."""
        self._dropped[rule] += 1
        self._dropped_bytes[rule] += len(text.encode("utf-8"))
        example = {
            "id": row["id"],
            "source": row["source"],
            "text": text[:EXAMPLE_CHARS],
            "detail": detail,
        }
        kept = self._examples.setdefault(rule, [])
        if any(each["id"] == example["id"] for each in kept):
            return
        kept.append(example)
        kept.sort(key=lambda each: each["id"])
        del kept[EXAMPLES_PER_RULE:]

    def top_reasons(self, count: int = 3) -> str:
        """The rules that dropped most, for a message."""
        most = self._dropped.most_common(count)
        return ", ".join(f"{rule} {dropped:,}" for rule, dropped in most) or "nothing"

    def as_json(self) -> dict[str, Any]:
        """The whole account.

        Raises:
            AssertionError: A row was seen but neither kept nor dropped, or both: our own bug.
        """
        if self.seen != self.kept + self._dropped.total():
            raise AssertionError(f"{self.seen} seen, {self.kept} kept, dropped {self._dropped}")
        return {
            "in": self.seen,
            "in_bytes": self.seen_bytes,
            "kept": self.kept,
            "kept_bytes": self.kept_bytes,
            "dropped": {
                rule: {
                    "documents": count,
                    "bytes": self._dropped_bytes[rule],
                    "examples": self._examples[rule],
                }
                for rule, count in self._dropped.items()
            },
            "by_source": self._by_source(),
            "scrubbed": dict(self.scrubbed),
        }

    def _by_source(self) -> dict[str, dict[str, int]]:
        """The largest sources by name, the others together: some sets name one source a row."""
        listed: dict[str, dict[str, int]] = {}
        ordered = sorted(self._seen_by_source.items(), key=lambda item: (-item[1], item[0]))
        for place, (source, seen) in enumerate(ordered):
            name = source if place < LISTED_SOURCES else OTHER_SOURCES
            account = listed.setdefault(name, {"in": 0, "kept": 0})
            account["in"] += seen
            account["kept"] += self._kept_by_source[source]
        return listed
