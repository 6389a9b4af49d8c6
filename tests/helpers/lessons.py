"""The lessons of notebooks/: their cells, what their stored outputs say, and a run at short scale.

A cell with `short="..."` in its metadata is replaced by that text at short scale.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

jupytext = pytest.importorskip("jupytext")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
STUDENT = FOLDER / "student"
LESSONS = sorted(path.stem for path in FOLDER.glob("*.py"))
COURSE = [
    "01_backpropagation", "02_convolution", "03_local_losses", "04_backlink", "05_memory", "06_parallel",
    "07_descent", "08_objectives", "09_late_errors", "10_cifar10", "11_own_rule",
]  # fmt: skip

lessons = pytest.mark.parametrize("name", LESSONS)


def cells(name: str, suffix: str, folder: Path = FOLDER) -> list[Any]:
    """All cells of a lesson, from its "py" or its "ipynb"."""
    return list(jupytext.read(folder / f"{name}.{suffix}").cells)


def code(name: str) -> list[Any]:
    """The cells of code, with their stored outputs."""
    return [cell for cell in cells(name, "ipynb") if cell.cell_type == "code"]


def prose(name: str, folder: Path = FOLDER) -> str:
    """All text cells of a notebook."""
    return "\n".join(cell.source for cell in cells(name, "ipynb", folder) if cell.cell_type == "markdown")


def printed(name: str) -> str:
    """Everything that the stored outputs say in words."""
    return "\n".join(map(words_of, code(name)))


def words_of(cell: Any) -> str:
    """What one cell's outputs say in words."""
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", [])
    )


def row(text: str, name: str) -> list[float]:
    """The numbers behind `name` in a stored output."""
    line = re.findall(rf"^{re.escape(name)}(?=\s\s|:)(.*)$", text, re.M)[0]
    return [float(n) for n in line.split() if n[-1].isdigit()]


def is_solution(cell: Any) -> bool:
    return "solution" in cell.metadata.get("tags", [])


def at_short_scale(cell: Any) -> str:
    """The source of a cell at short scale."""
    return str(cell.metadata.get("short", cell.source))


def run(sources: Sequence[str]) -> list[Any]:
    """Cells of code with these sources, executed in a fresh kernel of this interpreter, in the folder of the lessons.

    The test fails at the first cell that raises, with the cell and its traceback.
    """
    nbclient, manager = pytest.importorskip("nbclient"), pytest.importorskip("jupyter_client")
    v4 = pytest.importorskip("nbformat.v4")
    this = manager.kernelspec.KernelSpecManager(kernel_dirs=[])  # without a folder, "python3" is this interpreter
    book = v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])
    settings = {
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "TQDM_DISABLE": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    with TemporaryDirectory() as sockets:  # files, since kernels that start side by side could choose the same port
        kernel = manager.AsyncKernelManager(
            kernel_name="python3", kernel_spec_manager=this, transport="ipc", ip=f"{sockets}/kernel"
        )
        client = nbclient.NotebookClient(  # a busy machine is no error: the times are long
            book, km=kernel, timeout=900, startup_timeout=300, resources={"metadata": {"path": str(FOLDER)}}
        )
        try:
            client.execute(env=os.environ | settings, cleanup_kc=True)  # the kernel ends with the lesson
        except nbclient.exceptions.CellExecutionError as error:
            pytest.fail(re.sub(r"\x1b\[[\d;]*m", "", str(error)), pytrace=False)
    return list(book.cells)
