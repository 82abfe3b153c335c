import re
import time
from pathlib import Path

import pytest

from hftrain.report.reading import read_run
from hftrain.report.sections_serving import served, serving_key
from hftrain.serving.interactions import Feedback, Interaction, InteractionStore
from hftrain.serving.kept import DATABASE, FOLDER

SECRET = "a-very-rare-word"


@pytest.fixture
def store(tmp_path: Path) -> InteractionStore:
    (tmp_path / FOLDER).mkdir()
    opened = InteractionStore(f"sqlite:///{tmp_path / FOLDER / DATABASE}")
    for number in range(4):
        opened.keep(
            Interaction(
                id=f"c{number}", created=time.time() - 86_400 * number, person=f"p{number}", model="<b>policy</b>",
                runtime="torch", kind="chat", asked=[{"role": "user", "content": SECRET}],
                answers=[SECRET if number else "I'm sorry, but I can't help with that."], settings={}, outcome="stop",
                prompt_tokens=10, answer_tokens=20, first_token_seconds=0.25, seconds=2.0,
            )
        )  # fmt: skip
    opened.add(Feedback(id="f", created=time.time(), interaction="c1", thumb=-1, comment=SECRET)).result()
    return opened


def test_the_section_counts_and_shows_no_text_of_anybody(tmp_path: Path, store: InteractionStore) -> None:
    store.close()
    page = served(read_run(tmp_path))
    assert page is not None
    for said in (
        "by 4 people",
        "25.0 %",
        "1 of 4 (4.6 % to 69.9 %)",
        "thumb down",
        "0.25",
        "10.0",
        "Traffic",
        "stop 4",
    ):
        assert said in re.sub(r"\s", " ", page), said
    assert SECRET not in page
    assert "<b>policy" not in page


def test_what_is_deleted_is_counted_no_longer_and_the_page_is_written_anew(
    tmp_path: Path, store: InteractionStore
) -> None:
    before = serving_key(read_run(tmp_path))
    assert serving_key(read_run(tmp_path)) == before
    store.forget("p1").result()
    assert serving_key(read_run(tmp_path)) != before
    page = served(read_run(tmp_path))
    assert page is not None
    assert "by 3 people" in page
    assert "thumb down" not in page
    for number in (0, 2, 3):
        store.forget(f"p{number}").result()
    store.close()
    assert served(read_run(tmp_path)) is None


def test_a_run_that_was_not_served_has_no_section_and_gets_no_files(tmp_path: Path) -> None:
    assert served(read_run(tmp_path)) is None
    serving_key(read_run(tmp_path))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / DATABASE).write_bytes(b"no database" * 1000)
    assert served(read_run(tmp_path)) is None
