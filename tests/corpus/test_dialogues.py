from pathlib import Path

import pytest
import yaml

from hftrain.corpus.dialogues import dialogue_records, english_files

TALKS = """\
categories: [test]
conversations:
- - Are you there?
  - yes
- - Hi
  - Hello
  - How old are you?
  - 42
  - And this has no answer
- - Nobody answers
- - Empty answer
  - ''
- A list with one dash short
  - '22'
"""


def test_lines_alternate_between_user_and_assistant(tmp_path: Path) -> None:
    path = tmp_path / "small.yml"
    path.write_text(TALKS)

    found = [record for _, record in dialogue_records(path)]

    said = [[(turn["role"], turn["content"]) for turn in record["messages"]] for record in found]  # type: ignore[attr-defined]
    assert said[0] == [("user", "Are you there?"), ("assistant", "yes")]
    assert said[1] == [("user", "Hi"), ("assistant", "Hello"), ("user", "How old are you?"), ("assistant", "42")]
    assert said[2] == said[3] == []
    assert said[4] == [("user", "A list with one dash short"), ("assistant", "22")]
    assert found[0]["category"] == "small"


@pytest.mark.parametrize("text", ["categories: [a]\n", "- a\n", "{"])
def test_a_file_without_conversations_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yml"
    path.write_text(text)
    with pytest.raises(yaml.YAMLError):
        list(dialogue_records(path))


def test_the_installed_package_has_its_conversations() -> None:
    found = [record for path in english_files() for _, record in dialogue_records(path) if record["messages"]]
    assert len(found) > 1500
