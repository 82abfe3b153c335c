"""Run the notebooks in order and keep what they print and draw: ``python notebooks/run.py [03 ...]``.

All share one run folder, so that a stage is made once. Each keeps the digest of its code cells (and of settings.txt),
by which a test tells that the kept outputs are of the present code. What differs from run to run (times) is left out, a
widget becomes a line of text, and a notebook that fails or writes warnings is not kept.
"""

import argparse
import hashlib
import os
import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
SETTINGS = HERE / "settings.txt"
WIDGET = "application/vnd.jupyter.widget-view+json"
RUN_VARIABLE = "HFTRAIN_NOTEBOOK_RUN"
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def digest_of(notebook: nbformat.NotebookNode) -> str:
    """The digest of what decides the outputs: the code cells, and the settings that all notebooks share."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join([*code, SETTINGS.read_text(encoding="utf-8")]).encode()).hexdigest()


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with its new outputs.

    Raises:
        ValueError: A cell wrote to stderr.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(HERE)}}).execute()
    for cell in notebook.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            quiet = [output for output in cell.outputs if not is_of_a_stage(output) and not is_bar(output)]
            cell.outputs = joined(quiet)
            for output in cell.outputs:
                clean(output, path.name)
    notebook.metadata = nbformat.from_dict({**KERNEL, "hftrain": {"code": digest_of(notebook)}})
    return notebook


def joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Pieces of one printed text as one: where a kernel cuts it depends on the clock."""
    whole: list[nbformat.NotebookNode] = []
    for output in outputs:
        if whole and output.output_type == "stream" and whole[-1].get("name") == output.name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def is_of_a_stage(output: nbformat.NotebookNode) -> bool:
    """Whether it is what a stage reports while it works: one that is skipped reports nothing."""
    stages = tuple(f"{recipe.stem}: " for recipe in (HERE.parent / "recipes").glob("*.py"))
    return output.get("name") == "stderr" and all(line.startswith(stages) for line in output["text"].splitlines())


def is_bar(output: nbformat.NotebookNode) -> bool:
    """Whether it is a progress bar of upstream's: its words are those of tqdm."""
    data = output.get("data", {})
    return WIDGET in data and re.search(r"\d+%\||it/s", data.get("text/plain", "")) is not None


def clean(output: nbformat.NotebookNode, where: str) -> None:
    """Leave out what a reader of the file cannot use; refuse warnings."""
    if output.get("name") == "stderr":
        raise ValueError(f"{where}: a cell wrote to stderr. Kept outputs hold none. It wrote:\n{output['text']}")
    data = output.get("data", {})
    if data.pop(WIDGET, None) is not None:
        data["text/plain"] = "(a widget: it stands here when you run this cell yourself)"
    if "image/png" in data:
        data["text/plain"] = re.sub(r"<Figure size \d+x\d+ with", "<Figure with", data["text/plain"])


def main() -> None:
    """Run those that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="how their names begin, such as 03 (default: all)")
    parser.add_argument("--run-dir", type=Path, default=HERE.parent / "runs" / "notebooks", help="where artifacts go")
    parser.add_argument("--into", type=Path, default=HERE, help="where the notebooks go (default: in place)")
    options = parser.parse_args()
    os.environ[RUN_VARIABLE] = os.path.relpath(options.run_dir, HERE.parent)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # another number adds up in another order, and changes last digits
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # transformers, too: a bar would be kept as a widget
    for path in sorted(HERE.glob("*.ipynb")):
        if not options.names or path.name.startswith(tuple(options.names)):
            notebook = executed(path)
            options.into.mkdir(parents=True, exist_ok=True)
            (options.into / path.name).write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
            print(f"{path.name}: {(options.into / path.name).stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
