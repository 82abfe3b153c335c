import io

import pypdf
import pytest

from hftrain.corpus.accounts import UnreadableError
from hftrain.corpus.portable_documents import joined_pages, pdf_record, without_hyphenation


def pdf(*pages: list[str], title: str | None = "The Fox") -> io.BytesIO:
    """A PDF file of so many pages, each with its lines."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for lines in pages:
        shown = " T* ".join(f"({line}) Tj" for line in lines)
        drawn = f"BT /F1 12 Tf 14 TL 72 720 Td {shown} ET" if lines else ""
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
        fonts = "/Resources << /Font << /F1 3 0 R >> >>"
        box = "/MediaBox [0 0 612 792]"
        objects.append(f"<< /Type /Page /Parent 2 0 R {box} {fonts} /Contents {len(objects)} 0 R >>")
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    objects.append(f"<< /Title ({title}) /Author (Ann Lee) >>" if title else "<< >>")
    data, offsets = b"%PDF-1.4\n", []
    for number, written in enumerate(objects, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{written}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = (
        f"trailer << /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{len(data)}\n%%EOF"
    )
    return io.BytesIO(data + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode())


def test_a_file_is_its_pages_with_title_and_author() -> None:
    file = pdf(["A hungry fox saw some exam-", "ples of grapes and", "jumped", "up."], ["It was in vain."])
    assert pdf_record(file, text_column="text") == {
        "text": "A hungry fox saw some examples\nof grapes and\njumped\nup.\n\nIt was in vain.",
        "title": "The Fox",
        "author": "Ann Lee",
        "pages": 2,
    }


def test_pages_of_pictures_alone_say_that_they_need_reading() -> None:
    with pytest.raises(UnreadableError, match="no text on its 2 pages: it may be scanned"):
        pdf_record(pdf([], []), text_column="text")


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_an_encrypted_file_says_so(algorithm: str) -> None:
    if algorithm == "AES-256":
        pytest.importorskip("cryptography", reason="pypdf writes AES with the package cryptography only")
    writer = pypdf.PdfWriter(clone_from=pdf(["Once."]))
    writer.encrypt("secret", algorithm=algorithm)
    file = io.BytesIO()
    writer.write(file)
    with pytest.raises(UnreadableError, match="encrypted"):
        pdf_record(file, text_column="text")


@pytest.mark.parametrize("kept", [0, 20, 300, 500])
def test_a_broken_file_says_so(kept: int) -> None:
    with pytest.raises(UnreadableError, match="not PDF|no text on"):
        pdf_record(io.BytesIO(pdf(["Once."]).getvalue()[:kept]), text_column="text")


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("an exam-\nple of it", "an example\nof it"),
        ("an exam-\nple, and", "an example,\nand"),
        ("the well-\nknown, not unlike well-known ones", "the well-known,\nnot unlike well-known ones"),
        ("Anglo-\nSaxon words", "Anglo-Saxon\nwords"),
        ("state-of-the-\nart things", "state-of-the-art\nthings"),
        ("10-\n12 and a - \nb", "10-\n12 and a - \nb"),
    ],
)
def test_words_broken_at_line_ends_are_made_whole(text: str, whole: str) -> None:
    assert without_hyphenation(text) == whole


def test_a_sentence_goes_on_over_the_page() -> None:
    assert joined_pages(["One ﬁne day\n", "the fox came.", "", "The end"]) == "One fine day\nthe fox came.\n\nThe end"
