"""PDF files as text: the pages one after the other, words broken at line ends made whole.

Source: https://pypdf.readthedocs.io/en/stable/user/extract-text.html
"""

import functools
import logging
import re
from typing import Any, BinaryIO

from hftrain.corpus.accounts import LARGEST_TEXT_BYTES, UnreadableError

DAMAGED = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, AssertionError,
    NotImplementedError, EOFError, OSError,
)  # fmt: skip
"""What pypdf raises on damaged files beside its own errors ("broken PDF files might cause other Exceptions")."""

HYPHENATED = re.compile(r"([^\W\d_]+(?:-[^\W\d_]+)*)[-\u00ad\u2010]\n[ \t]*([^\W\d_]+)(\S*)[ \t]*\n?")
WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
LIGATURES = str.maketrans({"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl"})
SENTENCE_ENDS = (".", "!", "?", ":", '"', "\u201d", "\u2019", ")")


def pdf_record(file: BinaryIO, *, text_column: str) -> dict[str, object]:
    """The text of a PDF file, with its title, author and number of pages.

    Raises:
        UnreadableError: It is encrypted or broken, or has pages but no text, as scans have.
    """
    pypdf = _pypdf()
    try:
        reader = pypdf.PdfReader(file, strict=False)
        pages = _pages_of(reader)
        about = reader.metadata or {}
        title, author = _told(about.get("/Title")), _told(about.get("/Author"))
    except (pypdf.errors.FileNotDecryptedError, pypdf.errors.DependencyError) as error:
        raise UnreadableError(f"encrypted: {error}") from error
    except (pypdf.errors.PyPdfError, *DAMAGED) as error:
        raise UnreadableError(f"not PDF: {error or type(error).__name__}") from error
    if not any(page.strip() for page in pages):
        raise UnreadableError(f"no text on its {len(pages)} pages: it may be scanned, and needs OCR first")
    return {text_column: joined_pages(pages), "title": title, "author": author, "pages": len(pages)}


def joined_pages(pages: list[str]) -> str:
    """Pages as one text: a blank line between them, but not within a sentence; hyphenated words made whole."""
    text = ""
    for page in filter(None, (page.replace("\r", "").strip() for page in pages)):
        goes_on = text and not text.endswith(SENTENCE_ENDS) and page[0].islower()
        text += ("\n" if goes_on else "\n\n") + page if text else page
    return without_hyphenation(text.translate(LIGATURES))


def without_hyphenation(text: str) -> str:
    """The same text, with words that a line end breaks in two as one, at the end of the first line.

    A hyphen stays if the text has the word so elsewhere ("well-known"), or if the word has another one or goes on
    with a capital.
    """
    if not HYPHENATED.search(text):
        return text
    known = frozenset(word.lower() for word in WORD.findall(text))

    def whole(found: re.Match[str]) -> str:
        first, second, rest = found.groups()
        word = first + second
        hyphenated = f"{first}-{second}"
        is_compound = hyphenated.lower() in known and word.lower() not in known
        keeps = "-" in first or second[0].isupper() or is_compound
        return f"{hyphenated if keeps else word}{rest}\n"

    return HYPHENATED.sub(whole, text)


def _pages_of(reader: Any) -> list[str]:
    pages = []
    size_chars = 0
    for page in reader.pages:
        text = page.extract_text()
        size_chars += len(text)
        if size_chars > LARGEST_TEXT_BYTES:
            raise UnreadableError(f"more than {LARGEST_TEXT_BYTES:,} bytes of text as one document")
        pages.append(text)
    return pages


def _told(value: object) -> str | None:
    return (" ".join(value.split()) or None) if isinstance(value, str) else None


@functools.cache
def _pypdf() -> Any:
    import pypdf
    import pypdf.errors

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what cannot be read is said in the source's account
    return pypdf
