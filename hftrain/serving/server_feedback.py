"""Feedback as the page and other clients send it, read and checked."""

import re
import time
import uuid
from typing import Any

from hftrain.serving.api import MOST_CHOICES, read_object
from hftrain.serving.engine import Refused
from hftrain.serving.interactions import Feedback

LONGEST_COMMENT_CHARS, LONGEST_CORRECTION_CHARS = 4_000, 100_000
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
PREFERENCES = ("this", "other", "both", "neither")
KNOWN = frozenset({"id", "interaction", "choice", "thumb", "comment", "correction", "other", "preferred"})


def read_feedback(body: bytes, person: str | None) -> Feedback:
    """Read a request of ``/v1/feedback``.

    Args:
        body: JSON: ``interaction`` (the id of an answer), and at least one of ``thumb`` (1, -1; 0 takes it back),
            ``comment``, ``correction``, ``preferred`` (with ``other``: the id of the answer it was compared with).
        person: Who says it.

    Raises:
        Refused: It is not in order.
    """
    given = read_object(body)
    unknown = sorted(set(given) - KNOWN)
    if unknown:
        raise _wrong(unknown[0], f"no such field; known are {', '.join(sorted(KNOWN))}")
    thumb, choice, preferred = given.get("thumb"), given.get("choice", 0), given.get("preferred")
    if thumb is not None and (type(thumb) is not int or thumb not in (-1, 0, 1)):
        raise _wrong("thumb", "1, -1 or 0 is needed")
    if type(choice) is not int or not 0 <= choice < MOST_CHOICES:
        raise _wrong("choice", "the place of an answer is needed")
    if preferred is not None and preferred not in PREFERENCES:
        raise _wrong("preferred", f"one of {', '.join(PREFERENCES)} is needed")
    other = _name(given, "other")
    if (preferred is None) != (other is None):
        raise _wrong("other", "it goes with preferred, and preferred with it")
    feedback = Feedback(
        id=_name(given, "id") or uuid.uuid4().hex,
        created=time.time(),
        interaction=_name(given, "interaction") or "",
        person=person,
        choice=choice,
        thumb=thumb,
        comment=_text(given, "comment", LONGEST_COMMENT_CHARS),
        correction=_text(given, "correction", LONGEST_CORRECTION_CHARS),
        other=other,
        preferred=preferred,
    )
    if not feedback.interaction:
        raise _wrong("interaction", "the id of an answer is needed")
    if thumb is None and preferred is None and not feedback.comment and not feedback.correction:
        raise _wrong("thumb", "it, a comment, a correction or a preference is needed")
    return feedback


def _name(given: dict[str, Any], field: str) -> str | None:
    value = given.get(field)
    if value is not None and not (isinstance(value, str) and NAME.fullmatch(value)):
        raise _wrong(field, "1 to 64 letters, digits, - and _ are needed")
    return value


def _text(given: dict[str, Any], field: str, longest_chars: int) -> str:
    value = given.get(field, "")
    if not isinstance(value, str) or len(value) > longest_chars:
        raise _wrong(field, f"a text of at most {longest_chars} characters is needed")
    return value.strip()


def _wrong(field: str, what: str) -> Refused:
    return Refused(f"'{field}': {what}.", parameter=field)
