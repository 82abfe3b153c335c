"""Which feedback counts, as the configuration says it; light to import."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class FeedbackRules:
    """Which of what people said counts."""

    personal_data: Literal["drop", "keep"] = "drop"
    """What happens to rows in which personal data was replaced: a model that learns them writes placeholders."""

    models: tuple[str, ...] = ()
    """Thumbs and comparisons count if they are about answers of these models, by the names they were served under.
    None given: of any. Corrections always count: their text is a person's."""

    max_age_days: float | None = 90.0
    """What was said so long before the newest row counts no more. Not set: age does not matter."""

    most_per_person: int | None = 50
    """At most so many rows of one person, chosen by a digest. Who gives no name counts as one person together. Not
    set: any number, for a run that one person alone talks to."""
