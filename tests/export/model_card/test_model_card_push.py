import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import HfHubHTTPError

from hftrain.errors import ArtifactError, ConfigError
from hftrain.export import model_card_push
from hftrain.export.model_card_push import push, upload_of

MakeRun = Callable[..., Path]
TOKEN = "hf_" + "Ab1" * 11


class Hub:
    """Stands for HfApi: keeps what it was asked to send."""

    sent: list[Any] = []

    def create_repo(self, *given: Any, **named: Any) -> None:
        self.sent.append(("repo", given, named))

    def create_commit(self, repo: str, operations: Any, **named: Any) -> Any:
        self.sent.append(("commit", repo, operations, named))
        return type("Done", (), {"commit_url": f"https://huggingface.co/{repo}/commit/1"})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    Hub.sent = []
    monkeypatch.setattr(model_card_push, "HfApi", Hub)
    return Hub.sent


def test_what_would_be_sent_is_what_upload_folder_would_send_and_the_card(make_run: MakeRun, tmp_path: Path) -> None:
    base = make_run(tmp_path / "tiny") / "base"
    (base / ".git").mkdir()
    (base / ".git" / "HEAD").write_text("x")
    (base / ".cache" / "huggingface").mkdir(parents=True)
    (base / ".cache" / "huggingface" / "x").write_text("x")
    ignored = model_card_push.DEFAULT_IGNORE_PATTERNS

    with pytest.raises(ArtifactError, match="added"):
        upload_of(base, "me/tiny")
    for path in (base / ".git" / "HEAD", base / ".cache" / "huggingface" / "x"):
        path.unlink()
    upload = upload_of(base, "me/tiny")

    theirs = HfApi()._prepare_upload_folder_additions(base, "", ignore_patterns=ignored)
    assert set(upload.files) == {each.path_in_repo for each in theirs} | {"README.md"}
    assert {each.path_in_repo for each in upload.operations()} == set(upload.files)


def test_nothing_is_sent_unless_it_is_meant(make_run: MakeRun, tmp_path: Path, hub: list[Any]) -> None:
    out, base = io.StringIO(), make_run(tmp_path / "tiny") / "base"

    push(base, "me/tiny", out)

    assert hub == []
    assert "model me/tiny: 4 files" in out.getvalue() and "Nothing was sent" in out.getvalue()


def test_what_is_meant_is_sent_in_one_commit_with_its_card(make_run: MakeRun, tmp_path: Path, hub: list[Any]) -> None:
    out, base = io.StringIO(), make_run(tmp_path / "tiny") / "base"

    push(base, "me/tiny", out, private=True, is_meant=True)

    (_, _, made), (_, repo, operations, _) = hub
    assert made["private"] is True and repo == "me/tiny"
    card = next(each for each in operations if each.path_in_repo == "README.md").path_or_fileobj.decode()
    assert ModelCard(card).data.model_name == "tiny" and 'model="me/tiny"' in card
    assert "Sent: https://huggingface.co/me/tiny/commit/1" in out.getvalue()


def test_the_token_is_never_shown(
    make_run: MakeRun, tmp_path: Path, hub: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    out, base = io.StringIO(), make_run(tmp_path / "tiny") / "base"

    def refused(*given: Any, **named: Any) -> None:
        raise HfHubHTTPError(f"401 for Bearer {TOKEN}", response=type("R", (), {"headers": {}, "request": None})())

    monkeypatch.setattr(Hub, "create_repo", refused)
    with pytest.raises(ArtifactError, match="did not take it") as problem:
        push(base, "me/tiny", out, is_meant=True)
    assert TOKEN not in str(problem.value) and TOKEN not in out.getvalue()


@pytest.mark.parametrize("repo", ["tiny", "a/b/c", "me/ti ny", "me/--x", "../x"])
def test_a_name_that_is_no_repository_is_refused(make_run: MakeRun, tmp_path: Path, repo: str) -> None:
    with pytest.raises(ConfigError, match="owner"):
        upload_of(make_run(tmp_path / "tiny") / "base", repo)


def test_a_changed_artifact_is_not_sent(make_run: MakeRun, tmp_path: Path) -> None:
    base = make_run(tmp_path / "tiny") / "base"
    (base / "config.json").write_text("{}")

    with pytest.raises(ArtifactError, match="config.json changed"):
        upload_of(base, "me/tiny")


def test_as_json_it_is_one_object(make_run: MakeRun, tmp_path: Path) -> None:
    out = io.StringIO()

    push(make_run(tmp_path / "tiny") / "raw", "me/rows", out, as_json=True)

    told = json.loads(out.getvalue())
    assert (told["type"], told["sent"]) == ("dataset", None)
    assert set(told["files"]) == {"README.md", "manifest.json", "sources.jsonl"}


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        (".env", True), ("sub/key.pem", True), ("id_rsa", True), ("hub_token", True), ("credentials.json", True),
        ("tokenizer.json", False), ("added_tokens.json", False), ("id_map.json", False), ("model.safetensors", False),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_known_by_its_name(name: str, is_secret: bool) -> None:
    assert bool(model_card_push.SECRET.search(name)) == is_secret
