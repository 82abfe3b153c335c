"""The wheel holds hftrain alone, with the recipes as data, and its recipes can be laid from it."""

import subprocess
import sys
import zipfile
from pathlib import Path


def test_the_wheel_holds_hftrain_only_and_carries_the_recipes(root: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--disable-pip-version-check", "--wheel-dir", str(tmp_path), str(root)],
        check=True, capture_output=True,
    )  # fmt: skip
    wheel = next(tmp_path.glob("hftrain-*.whl"))
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        packed.extractall(tmp_path / "installed")
    tops = {name.split("/")[0] for name in names}
    assert tops == {"hftrain", next(top for top in tops if top.endswith(".dist-info"))}
    assert {"hftrain/py.typed", "hftrain/report/style.css", "hftrain/laid/recipes/full_flow.py"} <= set(names)

    done = subprocess.run(
        [sys.executable, "-c", "from hftrain.cli import console; console()", "init", str(tmp_path / "mine")],
        cwd=tmp_path / "installed", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine" / "recipes" / "configs" / "tiny.yaml").exists()
