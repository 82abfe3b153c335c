import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hftrain.artifacts import forced, read_finished, read_json, read_manifest, record_measured, stage, write_json
from hftrain.config import StageConfig
from hftrain.errors import ArtifactError, ConfigError

CALLS: list[str] = []


@dataclass(frozen=True, kw_only=True)
class WordConfig(StageConfig):
    """One word."""

    word: str = "cat"
    source: Path | None = None
    fail: bool = False

    def outside(self) -> dict[str, str]:
        """The source's text."""
        return {"source": self.source.read_text()} if self.source else {}

    def problems(self) -> list[str]:
        """No empty word."""
        return [] if self.word else ["words.word: ''. A word is needed. Write one."]


@stage(makes="words")
def make_words(config: WordConfig, *, out: Path) -> None:
    """Write a word."""
    CALLS.append("words")
    (out / "words.txt").write_text(config.word)
    record_measured(out, seconds=len(CALLS))


@stage(makes="letters", reads=("words",))
def make_letters(config: WordConfig, *, words: Path, out: Path) -> None:
    """Write its letters."""
    CALLS.append("letters")
    seen = out / "scratch" / "seen"
    seen.write_text((seen.read_text() if seen.exists() else "") + "x")
    text = (words / "words.txt").read_text()
    write_json(out / "letters.json", sorted(text))
    write_json(out / "summary.json", {"attempts": len(seen.read_text())})
    if config.fail:
        raise RuntimeError("cut")


@stage(makes="pages", reads=("words", "letters"), optional=("letters",))
def make_pages(config: StageConfig, *, words: Path, letters: Path | None, out: Path) -> None:
    """Say what there is."""
    CALLS.append("pages")
    write_json(out / "pages.json", [each.name for each in (words, letters) if each is not None])


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


def both(run: Path, **given: Any) -> Path:
    words = make_words(WordConfig(word=given.pop("word", "cat")), out=run / "words")
    return make_letters(WordConfig(**given), words=words, out=run / "letters")


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    both(tmp_path)
    both(tmp_path)
    assert CALLS == ["words", "letters"]


def test_a_changed_setting_reruns_its_stage_and_what_depends_on_it(tmp_path: Path) -> None:
    both(tmp_path)
    both(tmp_path, source=None, fail=False, seed=5)
    assert CALLS == ["words", "letters", "letters"]
    both(tmp_path, word="dog", seed=5)
    assert CALLS == ["words", "letters", "letters", "words", "letters"]


def test_an_input_made_anew_with_the_same_bytes_reruns_nothing(tmp_path: Path) -> None:
    both(tmp_path)
    token = forced.set(True)
    make_words(WordConfig(), out=tmp_path / "words")
    forced.reset(token)
    both(tmp_path)
    assert CALLS == ["words", "letters", "words"]


def test_a_changed_file_outside_reruns_the_stage(tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    for text in ("one", "one", "two"):
        source.write_text(text)
        make_words(WordConfig(source=source), out=tmp_path / "words")
    assert CALLS == ["words", "words"]


def test_a_cut_run_keeps_its_scratch_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        both(tmp_path, fail=True)
    assert (tmp_path / "letters.partial/letters.json").exists()
    with pytest.raises(RuntimeError):
        both(tmp_path, fail=True)
    assert (tmp_path / "letters.partial/scratch/seen").read_text() == "xx"
    assert not (tmp_path / "letters").exists()


def test_another_request_starts_clean(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        both(tmp_path, fail=True)
    made = both(tmp_path, fail=False)
    assert read_json(made / "summary.json") == {"attempts": 1}
    assert not (made / "scratch").exists()


def test_the_earlier_artifact_stays_whole_until_the_new_one_is_published(tmp_path: Path) -> None:
    both(tmp_path)
    with pytest.raises(RuntimeError):
        both(tmp_path, fail=True)
    assert read_finished(tmp_path / "letters", "letters")["config"]["fail"] is False


def test_a_kill_between_two_renames_is_mended(tmp_path: Path) -> None:
    made = both(tmp_path)
    made.rename(tmp_path / "letters.replaced")
    both(tmp_path)
    assert CALLS == ["words", "letters"]
    assert read_manifest(made)["kind"] == "letters"


def test_a_kill_between_manifest_and_rename_is_finished_without_work(tmp_path: Path) -> None:
    made = both(tmp_path)
    (made / "scratch").mkdir()
    made.rename(tmp_path / "letters.partial")
    both(tmp_path)
    assert CALLS == ["words", "letters"]
    assert not (made / "scratch").exists()


def test_measured_numbers_are_in_the_manifest_and_not_in_the_digest(tmp_path: Path) -> None:
    first = read_manifest(make_words(WordConfig(), out=tmp_path / "a"))
    second = read_manifest(make_words(WordConfig(), out=tmp_path / "b"))
    assert (first["measured"], second["measured"]) == ({"seconds": 1}, {"seconds": 2})
    assert first["digest"] == second["digest"]
    assert list(first["files"]) == ["words.txt"]


def test_the_manifest_names_no_absolute_path(tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("x")
    made = make_words(WordConfig(source=source), out=tmp_path / "words")
    assert str(tmp_path) not in (made / "manifest.json").read_text()
    assert read_manifest(made)["config"]["source"].endswith("/source.txt")


def test_an_altered_input_is_refused_by_file(tmp_path: Path) -> None:
    both(tmp_path)
    (tmp_path / "words/words.txt").write_text("bat")
    with pytest.raises(ArtifactError, match="words.txt changed since it was made"):
        both_letters(tmp_path, seed=9)


def both_letters(run: Path, **given: Any) -> Path:
    return make_letters(WordConfig(**given), words=run / "words", out=run / "letters")


def test_a_missing_input_an_unfinished_one_and_one_of_another_kind_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no finished artifact is here"):
        both_letters(tmp_path)
    (tmp_path / "words.partial").mkdir()
    with pytest.raises(ArtifactError, match="unfinished"):
        both_letters(tmp_path)
    both(tmp_path)
    with pytest.raises(ArtifactError, match="is a letters. make_letters reads a words"):
        make_letters(WordConfig(), words=tmp_path / "letters", out=tmp_path / "more")


def test_problems_are_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="A word is needed"):
        make_words(WordConfig(word=""), out=tmp_path / "words")
    assert not (tmp_path / "words.partial").exists()


def test_two_processes_never_make_the_same_artifact(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from hftrain.artifacts import stage
        from hftrain.config import StageConfig
        @stage(makes="slow")
        def slow(config, *, out):
            print("holding", flush=True)
            time.sleep(60)
        slow(StageConfig(), out=Path({str(tmp_path / "slow")!r}))
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "holding\n"

        @stage(makes="slow")
        def slow(config: StageConfig, *, out: Path) -> None:
            """Never runs here."""

        with pytest.raises(ArtifactError, match=f"process {holder.pid} is making it now"):
            slow(StageConfig(), out=tmp_path / "slow")
        holder.kill()
    slow(StageConfig(), out=tmp_path / "slow")
    assert sorted(os.listdir(tmp_path)) == ["slow"]


def test_an_optional_input_may_be_missing_and_counts_once_it_is_there(tmp_path: Path) -> None:
    words, letters, pages = make_words(WordConfig(), out=tmp_path / "words"), tmp_path / "letters", tmp_path / "pages"
    make_pages(StageConfig(), words=words, letters=letters, out=pages)
    assert read_json(pages / "pages.json") == ["words"]
    assert list(read_manifest(pages)["inputs"]) == ["words"]
    make_letters(WordConfig(), words=words, out=letters)
    make_pages(StageConfig(), words=words, letters=letters, out=pages)
    make_pages(StageConfig(), words=words, letters=letters, out=pages)
    assert read_json(pages / "pages.json") == ["words", "letters"]
    assert CALLS == ["words", "pages", "letters", "pages"]
