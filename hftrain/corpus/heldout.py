"""Train and held-out: decided for each document by itself, so that no other can move it."""

import hashlib


def is_held_out(key: str, share: float) -> bool:
    """Whether what has this ``key`` is held out: sha256("heldout:" + key) / 2**256 < share.

    The prefix makes this choice independent of any other that is made by the same key, such as
    the sample with the smallest ids.
    """
    digest = hashlib.sha256(f"heldout:{key}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
