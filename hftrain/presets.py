"""The recipes and presets that travel with the package, and how they become a user's own."""

import shutil
from pathlib import Path

from hftrain.errors import ConfigError
from hftrain.files import files_below

PACKAGE = Path(__file__).parent


def recipes_folder() -> Path:
    """Where the recipes lie: inside an installed package, or beside it in a checkout.

    Raises:
        ConfigError: This installation carries none.
    """
    for folder in (PACKAGE / "laid" / "recipes", PACKAGE.parent / "recipes"):
        if (folder / "full_flow.py").is_file():
            return folder
    raise ConfigError("hftrain: this installation carries no recipes. Install it from its wheel or its repository.")


def folder_for_recipes(folder: Path) -> Path:
    """Where recipes would be laid.

    Raises:
        ConfigError: Something is there already: nothing is overwritten.
    """
    target = folder / "recipes"
    if target.exists():
        raise ConfigError(f"{target}: is there already, and may hold changes of yours. Name another folder.")
    return target


def lay_recipes(folder: Path) -> list[Path]:
    """Copy the recipes and presets to ``folder/recipes``, where they are the user's to read and change.

    Raises:
        ConfigError: Something is there already: nothing is overwritten.
    """
    target, source = folder_for_recipes(folder), recipes_folder()
    laid = []
    for path in files_below(source):
        if "__pycache__" not in path.parts:
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
            laid.append(place)
    return laid
