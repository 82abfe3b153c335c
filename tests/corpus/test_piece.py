from pathlib import Path

from hftrain.corpus.piece import write_piece
from hftrain.corpus.storage import read_rows


def texts(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.txt").write_text(f"Text number {number:03d}.")
    return folder


def test_with_time_enough_the_piece_is_the_whole(tmp_path: Path) -> None:
    place = texts(tmp_path / "texts", 5)
    piece = write_piece(tmp_path / "out", [str(place)], text_column="text", license=None, seconds=60)
    assert (piece.share, piece.documents, piece.text_bytes, piece.processes) == (1.0, 5, 5 * 16, 1)
    assert len(read_rows(tmp_path / "out")) == 5


def test_when_the_time_is_up_the_share_counts_the_files_that_were_read(tmp_path: Path) -> None:
    place = texts(tmp_path / "texts", 50)
    piece = write_piece(tmp_path / "out", [str(place)], text_column="text", license=None, seconds=0)
    assert (piece.share, piece.documents) == (0.02, 1)


def test_a_part_of_a_file_counts_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "ten bytes."}\n' * 100)
    piece = write_piece(tmp_path / "out", [str(tmp_path / "rows.jsonl")], text_column="text", license=None, seconds=0)
    assert piece.documents == 1
    assert piece.share == 10 / (tmp_path / "rows.jsonl").stat().st_size
