"""What a card is made of: an artifact's chain of manifests, its sources, and what was measured of it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from hftrain.errors import ArtifactError
from hftrain.files import read_json, read_jsonl
from hftrain.manifests import MANIFEST, read_manifest

EXPORT, EVALUATION, RAW, CORPUS = "export", "evaluation", "raw", "corpus"
HUB = "hub:"
MODEL_KINDS = frozenset({"base", "chat", "reward", "policy", "student", EXPORT})
NO_LICENSE_STAGES = frozenset({"collect", "export", "evaluate_model", "curate", "train_tokenizer"})
"""Of what these read from outside, the sources state the licence, or nothing of it gets into a model."""
LANGUAGE_DOCUMENTS = 200
LANGUAGE_SHARE = 0.05
"""A language of fewer documents is not named: so many are guessed wrong."""


@dataclass(frozen=True)
class Link:
    """One artifact of the chain."""

    name: str
    folder: Path
    manifest: Mapping[str, Any]

    @property
    def summary(self) -> Mapping[str, Any]:
        """Its headline numbers."""
        return _mapping(self.folder / "summary.json")


@dataclass(frozen=True)
class Facts:
    """An artifact, or one format of an export."""

    folder: Path
    format: str | None
    """Of an export, which format."""
    chain: tuple[Link, ...]
    """From the first one made to the artifact itself."""

    @classmethod
    def read(cls, artifact: Path) -> "Facts":
        """Follow the manifests down.

        Raises:
            ArtifactError: The folder is no finished artifact, or one that it was made from is gone or was made anew.
        """
        folder = Path(artifact).resolve()
        is_format = not (folder / MANIFEST).is_file() and (folder.parent / MANIFEST).is_file()
        root = folder.parent if is_format else folder
        found: dict[str, Link] = {}
        _follow(root, None, found)
        if is_format and found[root.name].manifest["kind"] != EXPORT:
            raise ArtifactError(f"{artifact}: no finished artifact is here. Name one, such as runs/tiny/policy.")
        return cls(folder, folder.name if is_format else None, tuple(found.values()))

    @property
    def own(self) -> Link:
        """The artifact itself."""
        return self.chain[-1]

    @property
    def kind(self) -> str:
        """What it is."""
        return str(self.own.manifest["kind"])

    @property
    def is_model(self) -> bool:
        """Whether it goes to the Hub as a model; rows go as a data set."""
        return self.kind in MODEL_KINDS or self.kind == "tokenizer" or (self.folder / "config.json").is_file()

    @property
    def run_name(self) -> str:
        """What its run is called."""
        return self.own.folder.parent.name

    def of(self, kind: str) -> Link | None:
        """The artifact of this kind in the chain."""
        return next((link for link in self.chain if link.manifest["kind"] == kind), None)

    @cached_property
    def sources(self) -> list[Mapping[str, Any]]:
        """Where the text came from: name, version or digest, licence, documents, bytes."""
        raw = self.of(RAW)
        path = raw.folder / "sources.jsonl" if raw else None
        return read_jsonl(path) if path and path.is_file() else []

    def outside(self) -> Iterator[tuple[str, str, str]]:
        """What a stage after collecting read from outside: stage, name, version or digest."""
        for link in self.chain:
            stage = str(link.manifest["stage"])
            if stage not in NO_LICENSE_STAGES:
                yield from ((stage, name, version) for name, version in sorted(link.manifest["outside"].items()))

    def hub_names(self, stages: frozenset[str]) -> list[str]:
        """The Hub's names of what these stages read."""
        named = [
            name.removeprefix(HUB).partition("@")[0]
            for link in self.chain
            if link.manifest["stage"] in stages
            for name in link.manifest["outside"]
            if name.startswith(HUB)
        ]
        return list(dict.fromkeys(named))

    @cached_property
    def languages(self) -> list[str]:
        """What curation kept, or else what most of some documents are in, the commonest first."""
        corpus = self.of(CORPUS)
        if corpus is None:
            return []
        kept = corpus.manifest["config"].get("languages", {}).get("keep", [])
        return list(kept) or _languages(corpus.folder)

    @cached_property
    def account(self) -> Mapping[str, Any]:
        """The scores of an evaluation that asked this very artifact; nothing where none did."""
        folder = self.own.folder.parent / EVALUATION
        if not (folder / MANIFEST).is_file():
            return {}
        asked = read_manifest(folder)["inputs"].get(self.own.name, {}).get("digest")
        return _mapping(folder / "scores.json") if asked == self.own.manifest["digest"] else {}

    @cached_property
    def evaluation_config(self) -> Mapping[str, Any]:
        """What the evaluation was asked to ask."""
        folder = self.own.folder.parent / EVALUATION
        config: Mapping[str, Any] = read_manifest(folder)["config"] if self.account else {}
        return config

    @property
    def asked_as(self) -> str:
        """What it is called in the evaluation; full precision of an export is the policy itself."""
        if self.format is None:
            return self.own.name
        return "policy" if self.format == "safetensors" else f"export {self.format}"

    @cached_property
    def scores(self) -> list[Mapping[str, Any]]:
        """Its rows of the evaluation."""
        return [row for row in self.account.get("scores", []) if row["model"] == self.asked_as]

    @cached_property
    def gates(self) -> list[Mapping[str, Any]]:
        """The gates that it was held against."""
        folder = self.own.folder.parent / EVALUATION
        judged = _mapping(folder / "gates.json").get("gates", []) if self.account else []
        return [gate for gate in judged if gate["model"] == self.asked_as]


def _follow(folder: Path, expected: str | None, found: dict[str, Link]) -> None:
    manifest = read_manifest(folder)
    if expected not in (None, manifest["digest"]):
        raise ArtifactError(
            f"{folder}: was made anew after it was read. A card would tell of another one. Run the flow again: it "
            "remakes what depends on it."
        )
    for name, source in manifest["inputs"].items():
        below = (folder / source["path"]).resolve()
        if not (below / MANIFEST).is_file():
            raise ArtifactError(f"{below}: the {name} that {folder} was made from is gone. Keep it beside.")
        if below.name not in found:
            _follow(below, source["digest"], found)
    found[folder.name] = Link(folder.name, folder, manifest)


def _mapping(path: Path) -> Mapping[str, Any]:
    found = read_json(path) if path.is_file() else {}
    return found if isinstance(found, Mapping) else {}


def _languages(corpus: Path) -> list[str]:
    from hftrain.corpus.languages import UNKNOWN, identify
    from hftrain.corpus.splits import texts_of

    chosen = list(islice(texts_of(corpus, "train", shuffled_by=0), LANGUAGE_DOCUMENTS))
    codes = [code for code, _ in identify(chosen) if code != UNKNOWN]
    counts = Counter(codes)
    return [
        code
        for code, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        if count >= LANGUAGE_SHARE * len(codes)
    ]
