"""Which models of a run a server offers, by which name, and what runs each."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hftrain.errors import ArtifactError, ConfigError
from hftrain.export.gguf_model import FILE
from hftrain.files import read_json
from hftrain.manifests import MANIFEST, read_manifest
from hftrain.runtime import log
from hftrain.serving.engine import Engine
from hftrain.serving.promotion import FILE as PROMOTION_FILE
from hftrain.serving.promotion import PROMOTED, SPEAKING, promoted
from hftrain.serving.server_answers import Places, Served

ADAPTERS = "adapters"
"""The folder of a run that holds an adapter for each person or domain."""

ADAPTER_FILE = "adapter_config.json"

GGUF_FORMATS = ("gguf-q8_0", "gguf-f16", "gguf-q4_0")
"""The exports that llama.cpp runs, the one to offer first: the fastest of those that lose nothing to speak of."""

UPSTREAM_KEY_VARIABLE = "HFTRAIN_UPSTREAM_KEY"


def offered(
    run: Path, names: Sequence[str], upstreams: Sequence[str], upstream_model: str | None, queue: int
) -> list[Served]:
    """Load what a server offers, what answers where no model is named first.

    Args:
        run: A run's folder, or a model's.
        names: Models by their place in the run, such as ``policy`` or ``export/gguf-q8_0``, adapters by their names,
            and ``promoted``; none for that one if there is one, the fastest export, and what it is compared with.
        upstreams: Addresses of other servers, up to ``/v1``.
        upstream_model: The one model to offer of each of them; None for all that they list.
        queue: Requests that may wait for each model.

    Raises:
        ArtifactError: There is no such model, or nothing here can run it.
        ConfigError: Another server does not list its models, or two have one name.
    """
    served = [_upstream(url, name, queue) for url in upstreams for name in _upstream_names(url, upstream_model)]
    for name in names or ([] if upstreams else usual_names(run)):
        where = promoted(run).model if name == PROMOTED else name
        where = f"{ADAPTERS}/{name}" if name in adapter_names(run) else where
        model_folder(run, where)
        shown = PROMOTED if name == PROMOTED else shown_name(run, where)
        served.append(served_model(run, shown, where, queue, served))
    found = [each.name for each in served]
    repeated = sorted({name for name in found if found.count(name) > 1})
    if repeated:
        raise ConfigError(f"--model: {repeated[0]} stands there twice. Each model needs one name. Remove one.")
    return served


def usual_names(run: Path) -> list[str]:
    """What a run offers where nobody says: its fastest good export if there is one, and each model that can talk.

    Raises:
        ArtifactError: It has none.
    """
    if (run / "config.json").is_file():
        return ["."]
    exported = [f"export/{name}" for name in GGUF_FORMATS if (run / "export" / name / FILE).is_file()][:1]
    speaking = [name for name in SPEAKING if (run / name / "config.json").is_file()]
    if not exported and not speaking:
        raise ArtifactError(
            f"{run}: holds no model that can talk ({', '.join(SPEAKING)} or an exported GGUF file). The folder of a "
            "run or of a model is needed. Name it, or another server by --upstream."
        )
    first = [PROMOTED] if (run / PROMOTION_FILE).is_file() else []
    return [*first, *exported, *speaking, *(f"{ADAPTERS}/{name}" for name in adapter_names(run))]


def adapter_names(run: Path) -> list[str]:
    """The adapters that a run has, by name."""
    found = (run / ADAPTERS).glob(f"*/{MANIFEST}")
    return sorted(path.parent.name for path in found if "." not in path.parent.name)


def served_model(run: Path, name: str, where: str, queue: int, beside: Sequence[Served]) -> Served:
    """Load one model as it is served; an engine that runs the same model already is taken.

    Args:
        run: The run's folder, or a model's.
        name: By which it is asked for.
        where: Its folder below the run's.
        queue: Requests that may wait for it.
        beside: What is served already.

    Raises:
        ArtifactError: Nothing here can run it.
    """
    folder, version = run / where, _version(run / where)
    same = next((each for each in beside if version and each.version == version), None)
    if same is not None:
        return Served(name, same.engine, same.places, f"{where} of {run.name}", version)
    engine = _adapted(run, folder, beside) if (folder / ADAPTER_FILE).is_file() else _engine(run, folder)
    return Served(name, engine, Places(engine.at_once, queue), f"{where} of {run.name}", version)


def model_folder(run: Path, name: str) -> Path:
    """The folder of a model of a run.

    Raises:
        ArtifactError: It holds none, or the name leads out of the run.
    """
    folder = run / name
    inside = folder.resolve().is_relative_to(run.resolve())
    holds = any((folder / file).is_file() for file in ("config.json", FILE, ADAPTER_FILE))
    if not inside or not holds:
        raise ArtifactError(
            f"--model {name}: {folder} holds no model. Name a model of the run, such as "
            f"{', '.join(usual_names(run)) or 'policy'}."
        )
    artifact = folder if (folder / "manifest.json").is_file() else folder.parent
    if (artifact / "manifest.json").is_file():
        read_manifest(artifact)
    return folder


def _engine(run: Path, folder: Path) -> Engine:
    if (folder / FILE).is_file():
        from hftrain.serving.engine_llama import LlamaEngine
        from hftrain.tokens.chat import load_tokenizer

        model = _source_of(run, folder)
        config = read_json(model / "config.json")
        context = config.get("max_position_embeddings") or config.get("n_positions")
        return LlamaEngine(folder / FILE, load_tokenizer(model), int(context))
    from hftrain.serving.engine_torch import TorchEngine

    return TorchEngine(folder)


def _adapted(run: Path, folder: Path, beside: Sequence[Served]) -> Engine:
    """An engine for an adapter; it shares in memory what it leaves as it is, where its base is served beside it.

    Raises:
        ArtifactError: The model that it was trained on is gone, or was made anew since.
    """
    from hftrain.models.adapted import load_adapted
    from hftrain.serving.engine_torch import TorchEngine

    [source] = [each for name, each in read_manifest(folder)["inputs"].items() if name != "corpus"]
    base = (folder / source["path"]).resolve()
    if read_manifest(base)["digest"] != source["digest"]:
        raise ArtifactError(
            f"{folder}: {base.name} was made anew since the adapter was trained on it. The same weights are needed. "
            "Train the adapter again, or put the model back."
        )
    known: Any = next((each.engine for each in beside if each.version == source["digest"]), None)
    model, own_bytes = load_adapted(base, folder, getattr(known, "model", None))
    log.info("serve: %s takes %.1f MB of its own in memory", folder.name, own_bytes / 1e6)
    return TorchEngine(base, model)


def _version(folder: Path) -> str:
    """The digest of an artifact; empty for a folder that is none, or a part of one."""
    return str(read_manifest(folder)["digest"]) if (folder / MANIFEST).is_file() else ""


def _source_of(run: Path, exported: Path) -> Path:
    """A folder with the tokenizer and the configuration of the model that was exported.

    Raises:
        ArtifactError: None is there.
    """
    beside = [exported, exported.parent / "safetensors", *(run / name for name in SPEAKING)]
    found = next((folder for folder in beside if (folder / "tokenizer.json").is_file()), None)
    if found is None:
        raise ArtifactError(
            f"{exported}: the tokenizer of its model is neither beside it nor in {run}. It is needed to encode prompts "
            "as in training. Export safetensors too, or name the run's folder."
        )
    return found


def shown_name(run: Path, name: str) -> str:
    """By which name a place in a run is asked for."""
    return run.resolve().name if name == "." else name.removeprefix("export/").removeprefix(f"{ADAPTERS}/")


def _upstream_names(url: str, model: str | None) -> list[str]:
    address = urlsplit(url)
    if address.username or address.password:
        raise ConfigError(
            f"--upstream: an address on {address.hostname} that holds a user or password, which would be logged. The "
            "key alone is needed. Put it into HFTRAIN_UPSTREAM_KEY, and leave it out of the address."
        )
    from hftrain.serving.engine_upstream import models_of

    return [model] if model else models_of(url, os.environ.get(UPSTREAM_KEY_VARIABLE))


def _upstream(url: str, name: str, queue: int) -> Served:
    from hftrain.serving.engine_upstream import UpstreamEngine

    engine = UpstreamEngine(url, name, os.environ.get(UPSTREAM_KEY_VARIABLE))
    return Served(name, engine, Places(engine.at_once, queue), url)
