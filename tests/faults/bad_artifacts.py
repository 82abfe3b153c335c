# ruff: noqa: E501  (one case a line)
"""Artifacts that were altered, cut, swapped or edited: refused by name before anything is made of them."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness import Case

Damage = Callable[[Path], object]
"""What is done to a run's folder of ``corpus``, ``tokenizer`` and ``base``."""

MATERIAL: dict[str, Path] = {}
"""``run``: a whole run's folder, to copy; laid once by whoever runs the table."""

CHANGED = ("since it was made", "Put the file back")
EDITED = ("manifest.json", "It was changed")


def _manifest(name: str, change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(run: Path) -> None:
        path = run / name / "manifest.json"
        manifest = json.loads(path.read_text())
        changed = change(manifest)
        path.write_text(json.dumps(manifest if changed is None or isinstance(changed, str | list) else changed))

    return damage


def _set(**values: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update(values)


def _without(key: str) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        del manifest[key]

    return change


def _written(name: str, text: str | bytes) -> Damage:
    return lambda run: (run / name).write_bytes(text.encode() if isinstance(text, str) else text)


def _flipped(name: str, at: float = 0.5) -> Damage:
    """One bit of one byte."""

    def damage(run: Path) -> None:
        path = run / name
        data = bytearray(path.read_bytes())
        data[int(len(data) * at)] ^= 1
        path.write_bytes(bytes(data))

    return damage


def _cut(name: str, keep: float) -> Damage:
    def damage(run: Path) -> None:
        path = run / name
        os.truncate(path, int(path.stat().st_size * keep))

    return damage


def _swapped(one: str, other: str) -> Damage:
    def damage(run: Path) -> None:
        (run / one).rename(run / "aside")
        (run / other).rename(run / one)
        (run / "aside").rename(run / other)

    return damage


def _gone(name: str) -> Damage:
    return lambda run: shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()


def _linked(name: str, target: str) -> Damage:
    def damage(run: Path) -> None:
        _gone(name)(run)
        (run / name).symlink_to(target)

    return damage


def _link_to_same(run: Path) -> None:
    (run / "tokenizer/tokenizer.json").rename(run / "elsewhere.json")
    (run / "tokenizer/tokenizer.json").symlink_to(run / "elsewhere.json")


def refused(name: str, damage: Damage, *says: str, recipe: str = "sft") -> Case:
    """A run that is damaged, and a stage that reads it."""

    def arrange(folder: Path) -> Sequence[str]:
        run = folder / "run"
        shutil.copytree(MATERIAL["run"], run)
        damage(run)
        return ["--run-dir", str(run)]

    return Case(name, arrange, says, recipe)


WEIGHTS, ROWS = "base/model.safetensors", "corpus/train/data-00000-of-00001.arrow"
CASES = [
    refused("weights with a bit flipped", _flipped(WEIGHTS), "base", "model.safetensors changed", *CHANGED),
    refused("weights with the first bit flipped", _flipped(WEIGHTS, 0.0), "model.safetensors changed", *CHANGED),
    refused("weights with the last bit flipped", _flipped(WEIGHTS, 0.9999), "model.safetensors changed", *CHANGED),
    refused("weights cut to a half", _cut(WEIGHTS, 0.5), "model.safetensors changed", *CHANGED),
    refused("weights cut to nothing", _cut(WEIGHTS, 0), "model.safetensors changed", *CHANGED),
    refused("weights that are gone", _gone(WEIGHTS), "model.safetensors is gone", *CHANGED),
    refused("weights that are a link to nothing", _linked(WEIGHTS, "nowhere"), "model.safetensors is gone", *CHANGED),
    refused("weights that are a folder", lambda run: (_gone(WEIGHTS)(run), (run / WEIGHTS).mkdir()), "is gone"),
    refused("a configuration with a bit flipped", _flipped("base/config.json"), "config.json changed", *CHANGED),
    refused("a configuration cut", _cut("base/config.json", 0.5), "config.json changed", *CHANGED),
    refused("a configuration of nothing", _written("base/config.json", ""), "config.json changed", *CHANGED),
    refused("a tokenizer with a bit flipped", _flipped("base/tokenizer.json"), "tokenizer.json changed", *CHANGED),
    refused("a tokenizer that is a link to the same", _link_to_same, "tokenizer.json is gone", recipe="pretrain"),
    refused("an extra file", _written("base/extra.txt", "x"), "extra.txt was added", *CHANGED),
    refused("an extra pickle", _written("base/pytorch_model.bin", b"\x80\x04."), "pytorch_model.bin was added", *CHANGED),
    refused("extra code", _written("base/modeling_llama.py", "print(1)"), "modeling_llama.py was added", *CHANGED),
    refused("an extra folder", lambda run: ((run / "base/x").mkdir(), (run / "base/x/y").write_text("")), "x/y was added"),
    refused("rows with a bit flipped", _flipped(ROWS), "corpus", "arrow changed", *CHANGED),
    refused("rows cut", _cut(ROWS, 0.7), "arrow changed", *CHANGED),
    refused("rows that are gone", _gone("corpus/train"), "is gone", *CHANGED),
    refused("conversations that are gone", _gone("corpus/conversations"), "is gone", *CHANGED),
    refused("held-out rows in the place of others", _swapped("corpus/train", "corpus/conversations/train"), "changed"),
    # whole folders
    refused("no corpus", _gone("corpus"), "corpus", "no finished artifact is here"),
    refused("no base", _gone("base"), "base", "no finished artifact is here"),
    refused("no tokenizer", _gone("tokenizer"), "tokenizer", "no finished artifact", recipe="pretrain"),
    refused("a corpus that is unfinished", lambda run: (run / "corpus").rename(run / "corpus.partial"), "corpus", "is unfinished"),
    refused("a corpus that is a file", lambda run: (_gone("corpus")(run), (run / "corpus").write_text("")), "corpus", "no finished"),
    refused("a corpus that is a link to nothing", _linked("corpus", "nowhere"), "corpus", "no finished artifact"),
    refused("a corpus that is a link to itself", _linked("corpus", "corpus"), "corpus"),
    refused("base and corpus in each other's place", _swapped("base", "corpus"), "is a corpus", "reads a base"),
    refused("tokenizer and base in each other's place", _swapped("base", "tokenizer"), "is a tokenizer", "reads a base"),
    # manifests
    refused("no manifest", _gone("base/manifest.json"), "base", "no finished artifact is here"),
    refused("an empty manifest", _written("base/manifest.json", ""), "manifest.json", "is not JSON"),
    refused("a manifest cut", _cut("base/manifest.json", 0.5), "manifest.json", "is not JSON"),
    refused("a manifest in UTF-16", _written("base/manifest.json", "{}".encode("utf-16")), "manifest.json", "is not JSON"),
    refused("a manifest nested a hundred thousand deep", _written("base/manifest.json", "[" * 100_000), "manifest.json", "is not JSON"),
    refused("a manifest that is a list", _written("base/manifest.json", "[]"), *EDITED),
    refused("a manifest that is null", _written("base/manifest.json", "null"), *EDITED),
    refused("a manifest that is a text", _written("base/manifest.json", '"base"'), *EDITED),
    refused("a manifest of nothing", _written("base/manifest.json", "{}"), "manifest.json", "format None"),
    refused("a manifest of an older format", _manifest("base", _set(format=0)), "format 0", "this version reads 1"),
    refused("a manifest of a newer format", _manifest("base", _set(format=2)), "format 2", "this version reads 1"),
    refused("a manifest of another kind", _manifest("base", _set(kind="chat")), "is a chat", "reads a base"),
    refused("a manifest without a kind", _manifest("base", _without("kind")), *EDITED),
    refused("a manifest without its files", _manifest("base", _without("files")), *EDITED),
    refused("a manifest without its digest", _manifest("base", _without("digest")), *EDITED),
    refused("a manifest without its inputs", _manifest("base", _without("inputs")), *EDITED),
    refused("a manifest whose files are a list", _manifest("base", _set(files=[])), *EDITED),
    refused("a manifest whose files are texts", _manifest("base", lambda m: m["files"].update(x="y")), *EDITED),
    refused("a manifest whose files are none", _manifest("base", _set(files={})), *EDITED),
    refused("a manifest with another digest", _manifest("base", _set(digest="sha256:" + "0" * 64)), *EDITED),
    refused("a manifest with the digest of a file edited",
            _manifest("base", lambda m: m["files"]["config.json"].update(sha256="0" * 64)), *EDITED),
    refused("a manifest that forgets a file", _manifest("base", lambda m: m["files"].pop("config.json") and None), *EDITED),
    refused("a manifest that names one more", _manifest("base", lambda m: m["files"].update(x={"sha256": "0", "bytes": 1})), *EDITED),
    refused("a manifest that names a file above", _manifest("base", lambda m: m["files"].update({"../x": {"sha256": "0", "bytes": 1}})), *EDITED),
    refused("a manifest that is a folder", lambda run: (_gone("base/manifest.json")(run), (run / "base/manifest.json").mkdir()),
            "no finished artifact"),
    # what a stage finds of its own
    refused("a request of an unfinished stage that is no JSON",
            lambda run: ((run / "chat.partial").mkdir(), (run / "chat.partial/request.json").write_text("{")), "request.json", "is not JSON"),
    refused("a manifest of an unfinished stage that is no JSON",
            lambda run: ((run / "chat.partial").mkdir(), (run / "chat.partial/manifest.json").write_text("{")), "manifest.json", "is not JSON"),
    refused("a lock that is a folder", lambda run: (run / "chat.lock").mkdir(), "chat.lock"),
]  # fmt: skip
