from pathlib import Path

import pytest

from hftrain import sources


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in hftrain's place: a stage that imports a room, and a room nobody imports."""
    for name, text in {
        "stages/teach.py": "def teach():\n    from hftrain.room import learn\n    return learn()\n",
        "room.py": "from hftrain.errors import E\n\ndef learn():\n    return 1\n",
        "other.py": "x = 1\n",
        "errors.py": "E = 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sources, "PACKAGE", tmp_path)
    return tmp_path


def digest() -> str:
    sources.code_digest.cache_clear()
    return sources.code_digest("hftrain.stages.teach")


@pytest.mark.parametrize(
    ("name", "text", "matters"),
    [
        ("room.py", "def learn():\n    return 2\n", True),
        ("room.py", '"""New words."""\nfrom hftrain.errors import E\n\ndef learn():  # why\n    return 1\n', False),
        ("other.py", "x = 2\n", False),
        ("errors.py", "E = 2\n", False),
    ],
)
def test_only_code_that_the_stage_uses_matters_and_words_never(
    package: Path, name: str, text: str, matters: bool
) -> None:
    before = digest()
    (package / name).write_text(text)
    assert (digest() != before) is matters
