"""A finished model, whatever it is called, as the start of something new: policy/ -> base/ or chat/."""

from collections.abc import Callable
from pathlib import Path

from hftrain.artifacts import read_manifest, stage, write_json
from hftrain.config import StageConfig


def taken_as(kind: str) -> Callable[..., Path]:
    """A stage ``(config, model=FOLDER, out=FOLDER)`` that makes an artifact of this kind of any model's artifact.

    Its weights are the same file on disk where the file system can do that; ``taken.json`` says what it was.
    """

    def take_model(config: StageConfig, *, out: Path, **model: Path) -> None:
        from hftrain.models.taking import take_files

        [(found, folder)] = model.items()
        take_files(folder, out)
        write_json(out / "taken.json", {"as": kind, "kind": found, "digest": read_manifest(folder)["digest"]})

    def run(config: StageConfig, *, model: Path, out: Path) -> Path:
        found = read_manifest(model)["kind"]
        return stage(makes=kind, reads=(found,))(take_model)(config, out=out, **{found: model})

    return run
