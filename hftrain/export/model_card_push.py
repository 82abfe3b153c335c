"""Artifacts to the Hub, with their card. Nothing is sent before what would be sent was said, and meant."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError
from huggingface_hub.utils._paths import DEFAULT_IGNORE_PATTERNS, filter_repo_objects
from huggingface_hub.utils._validators import validate_repo_id

from hftrain.errors import ArtifactError, ConfigError
from hftrain.export.model_card import CARD, card
from hftrain.export.model_card_facts import Facts
from hftrain.files import describe_files, files_below
from hftrain.manifests import NOT_CONTENT, differences

SECRET = re.compile(r"(?i)(^|/)(\.env|.*\.pem|.*\.key|id_(rsa|dsa|ecdsa|ed25519)|.*token|.*credentials?)(\.[a-z]+)?$")
"""Files that no artifact of ours holds; where one lies in its folder, nothing is sent."""


@dataclass(frozen=True)
class Upload:
    """What goes to a repository."""

    repo: str
    repo_type: str
    folder: Path
    files: dict[str, int]
    """Path in the repository and size in bytes; the card is among them."""
    card: str

    def operations(self) -> list[CommitOperationAdd]:
        """The same as huggingface_hub takes it: one commit."""
        files = [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=self.folder / name)
            for name in self.files
            if name != CARD
        ]
        return [*files, CommitOperationAdd(path_in_repo=CARD, path_or_fileobj=self.card.encode("utf-8"))]

    def said(self) -> list[str]:
        """A line for each file."""
        lines = [f"{size:>14,}  {name}" for name, size in self.files.items()]
        total = sum(self.files.values())
        return [f"{self.repo_type} {self.repo}: {len(self.files)} files, {total:,} bytes", *lines]


def upload_of(artifact: Path, repo: str, *, license_id: str | None = None) -> Upload:
    """What would be sent: the artifact's files as they are, with its manifest, and the card that is written now.

    Raises:
        ArtifactError: No finished artifact is there, it was changed since it was made, or it holds a secret.
        ConfigError: The repository's name is none, or the Hub does not know the licence.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError as problem:
        raise ConfigError(f"{repo!r}: is no repository of the Hub ({problem}). Needed: owner/name.") from None
    if repo.count("/") != 1:
        raise ConfigError(f"{repo!r}: names no owner. Needed: owner/name, where owner is you or a group of yours.")
    facts = Facts.read(artifact)
    _check_unchanged(facts)
    text = card(facts, license_id=license_id, title=repo.rpartition("/")[2]).replace('"OWNER/NAME"', f'"{repo}"')
    found = {path.relative_to(facts.folder).as_posix(): path.stat().st_size for path in files_below(facts.folder)}
    kept = set(filter_repo_objects(found, ignore_patterns=DEFAULT_IGNORE_PATTERNS))
    files = {name: size for name, size in found.items() if name in kept}
    secrets = [name for name in files if SECRET.search(name)]
    if secrets:
        raise ArtifactError(f"{facts.folder}: holds {secrets[0]}, which may be a secret. Nothing is sent. Remove it.")
    return Upload(
        repo=repo,
        repo_type="model" if facts.is_model else "dataset",
        folder=facts.folder,
        files=dict(sorted({**files, CARD: len(text.encode("utf-8"))}.items())),
        card=text,
    )


def push(
    artifact: Path,
    repo: str,
    out: TextIO,
    *,
    license_id: str | None = None,
    private: bool = False,
    revision: str | None = None,
    as_json: bool = False,
    is_meant: bool = False,
) -> None:
    """Say what would be sent, and send it where that is meant.

    The token is the one that huggingface_hub finds (``hf auth login``, or HF_TOKEN); it is never shown.

    Raises:
        ArtifactError: As `upload_of`; or the Hub refused.
    """
    upload = upload_of(artifact, repo, license_id=license_id)
    url = _send(upload, private=private, revision=revision) if is_meant else None
    if as_json:
        told = {"repo": repo, "type": upload.repo_type, "files": upload.files, "sent": url, "card": upload.card}
        out.write(json.dumps(told, ensure_ascii=False) + "\n")
        return
    last = f"Sent: {url}" if url else "Nothing was sent. --yes sends it; hftrain card shows the card."
    out.write("\n".join([*upload.said(), last]) + "\n")


def _send(upload: Upload, *, private: bool, revision: str | None) -> str:
    api = HfApi()
    try:
        api.create_repo(upload.repo, repo_type=upload.repo_type, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(upload.repo, repo_type=upload.repo_type, branch=revision, exist_ok=True)
        done = api.create_commit(
            upload.repo,
            upload.operations(),
            commit_message=f"{upload.folder.name}, by hftrain",
            repo_type=upload.repo_type,
            revision=revision,
        )
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError, ValueError) as problem:
        raise ArtifactError(
            f"{upload.repo}: the Hub did not take it: {_without_token(problem)}. A connection and a token that may "
            "write there are needed. Run `hf auth login`, or set HF_TOKEN."
        ) from None
    return str(done.commit_url)


def _without_token(problem: Exception) -> str:
    return re.sub(r"hf_[A-Za-z0-9]{8,}", "hf_…", " ".join(str(problem).split())).rstrip(".")


def _check_unchanged(facts: Facts) -> None:
    """Refuse files that are not as the manifest has them: the card would tell of others."""
    changed: Sequence[str] = differences(
        facts.own.manifest["files"], describe_files(facts.own.folder, leave_out=NOT_CONTENT)
    )
    if changed:
        raise ArtifactError(
            f"{facts.own.folder}: {changed[0]} since it was made ({len(changed)} in all). Its card would tell of "
            "another one. Put the file back, or run the stage again."
        )
