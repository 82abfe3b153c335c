"""Which models of a run a server offers, by which name, and what runs each."""

import os
from collections.abc import Sequence
from pathlib import Path

from hftrain.errors import ArtifactError, ConfigError
from hftrain.export.gguf_model import FILE
from hftrain.files import read_json
from hftrain.manifests import read_manifest
from hftrain.serving.engine import Engine
from hftrain.serving.server_answers import Places, Served

SPEAKING = ("policy", "student", "chat")
"""The models of a run that can hold a conversation, the one to offer first."""

GGUF_FORMATS = ("gguf-q8_0", "gguf-f16", "gguf-q4_0")
"""The exports that llama.cpp runs, the one to offer first: the fastest of those that lose nothing to speak of."""

UPSTREAM_KEY_VARIABLE = "HFTRAIN_UPSTREAM_KEY"


def offered(
    run: Path, names: Sequence[str], upstreams: Sequence[str], upstream_model: str | None, queue: int
) -> list[Served]:
    """Load what a server offers, what answers where no model is named first.

    Args:
        run: A run's folder, or a model's.
        names: Models by their place in the run, such as ``policy`` or ``export/gguf-q8_0``; none for the fastest
            export and the models that it can be compared with.
        upstreams: Addresses of other servers, up to ``/v1``.
        upstream_model: The one model to offer of each of them; None for all that they list.
        queue: Requests that may wait for each model.

    Raises:
        ArtifactError: There is no such model, or nothing here can run it.
        ConfigError: Another server does not list its models, or two have one name.
    """
    served = [_upstream(url, name, queue) for url in upstreams for name in _upstream_names(url, upstream_model)]
    for name in names or ([] if upstreams else usual_names(run)):
        folder = model_folder(run, name)
        engine = _engine(run, folder)
        served.append(Served(_shown_name(run, name), engine, Places(engine.at_once, queue), f"{name} of {run.name}"))
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
    return [*exported, *speaking]


def model_folder(run: Path, name: str) -> Path:
    """The folder of a model of a run.

    Raises:
        ArtifactError: It holds none, or the name leads out of the run.
    """
    folder = run / name
    inside = folder.resolve().is_relative_to(run.resolve())
    if not inside or not ((folder / "config.json").is_file() or (folder / FILE).is_file()):
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


def _shown_name(run: Path, name: str) -> str:
    return run.resolve().name if name == "." else name.removeprefix("export/")


def _upstream_names(url: str, model: str | None) -> list[str]:
    from hftrain.serving.engine_upstream import models_of

    return [model] if model else models_of(url, os.environ.get(UPSTREAM_KEY_VARIABLE))


def _upstream(url: str, name: str, queue: int) -> Served:
    from hftrain.serving.engine_upstream import UpstreamEngine

    engine = UpstreamEngine(url, name, os.environ.get(UPSTREAM_KEY_VARIABLE))
    return Served(name, engine, Places(engine.at_once, queue), url)
