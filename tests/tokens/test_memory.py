import ctypes
import gc
import sys
from pathlib import Path

import pytest

from hftrain.tokens.chat import encode_text, open_tokenizer
from hftrain.tokens.encoding import encode_documents
from hftrain.tokens.vocabulary import check_saved

TIMES = 20
FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class MallInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc's mallinfo(3)."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in FIELDS)


def bytes_in_use():
    """What this process holds of the C heap."""
    gc.collect()
    asked = ctypes.CDLL(None).mallinfo2
    asked.restype = MallInfo
    found = asked()
    return found.uordblks + found.hblkhd


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="asks glibc")
def test_a_tokenizer_that_is_gone_leaves_no_words_in_memory(tokenizer_dir: Path) -> None:
    text = " ".join(f"word{number:x}" for number in range(2000))  # 100 kB, were they remembered

    def opened_and_used():
        opened = open_tokenizer(tokenizer_dir)
        encode_text(opened, text)
        list(encode_documents(opened, [text]))
        check_saved(opened, tokenizer_dir, [text])

    for _ in range(3):
        opened_and_used()
    before = bytes_in_use()
    for _ in range(TIMES):
        opened_and_used()

    assert (bytes_in_use() - before) / TIMES < 10_000
