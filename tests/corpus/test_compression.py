import gzip
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from hftrain.corpus import compression

PARTS = [b"Once upon a time.\n" * 1000, b"The end.\n"]


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_several_members_are_one_stream(tmp_path: Path, suffix: str, compress: object) -> None:
    path = tmp_path / f"text.txt{suffix}"
    path.write_bytes(b"".join(compress(part) for part in PARTS))  # type: ignore[operator]
    with compression.opened(path) as file:
        assert file.read() == b"".join(PARTS)


def test_a_stream_of_zstandard_ends_where_its_last_frame_ends(tmp_path: Path) -> None:
    path = tmp_path / "text.txt.zst"
    path.write_bytes(zstandard.ZstdCompressor(write_content_size=False).compress(PARTS[0]))
    with compression.opened(path) as file:
        assert (file.read(), file.read()) == (PARTS[0], b"")


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_a_bomb_is_held_in_small_pieces(tmp_path: Path, suffix: str, compress: object) -> None:
    path = tmp_path / f"text.txt{suffix}"
    path.write_bytes(compress(bytes(200_000_000)))  # type: ignore[operator]
    tracemalloc.start()
    with compression.opened(path) as file:
        size_bytes = sum(len(piece) for piece in iter(lambda: file.read(1 << 20), b""))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size_bytes == 200_000_000 and peak_bytes < 100_000_000


def test_names_lose_the_suffix_of_the_compression_alone() -> None:
    names = ["A.TXT", "a.txt.gz", "a.jsonl.ZST", "gz.txt"]
    assert [compression.uncompressed_name(Path(name)) for name in names] == ["a.txt", "a.txt", "a.jsonl", "gz.txt"]
