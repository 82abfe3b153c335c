"""Exact duplicates: texts that differ in letter case and white space at most."""

import hashlib

KEY_BYTES = 16
"""Among 2**32 texts, two different ones share a key of 16 bytes with probability 3e-20."""


def comparison_form(text: str) -> str:
    """The text as far as it matters for comparing: case folded, white space collapsed."""
    return " ".join(text.casefold().split())


class SeenTexts:
    """Remembers texts by a digest of their comparison form: about 100 bytes of memory each."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()

    def saw(self, text: str) -> bool:
        """Whether an equal text was asked about before; remembers this one."""
        form = comparison_form(text).encode("utf-8")
        key = hashlib.blake2b(form, digest_size=KEY_BYTES).digest()
        if key in self._keys:
            return True
        self._keys.add(key)
        return False
