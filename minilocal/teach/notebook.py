"""The notebook of a py:percent text, without outputs: the same text gives the same bytes."""

from __future__ import annotations

import json
from typing import Any

from minilocal.errors import UserError

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
EMPTY_LINES = "lines_to_"  # jupytext's metadata of how many stand between two cells of the .py


def notebook(text: str, *, paired: bool = True) -> str:
    """The .ipynb of a py:percent text. A cell's id is its place; of the header, the kernel stays.

    Args:
        text: the py:percent text.
        paired: keep the header's `formats` as well, by which jupytext saves both files.

    Raises: UserError where jupytext is not installed.
    """
    try:
        import jupytext
    except ImportError:
        raise UserError("making a notebook needs jupytext: in the clone, pip install -e '.[notebooks]'.") from None
    read = jupytext.reads(text, "py:percent")
    metadata: dict[str, Any] = {"kernelspec": read.metadata.get("kernelspec", KERNEL)}
    if paired and (formats := read.metadata.get("jupytext", {}).get("formats")):
        metadata["jupytext"] = {"formats": formats}
    cells = [_cell(number, cell) for number, cell in enumerate(read.cells)]
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _cell(number: int, cell: Any) -> dict[str, Any]:
    written = {
        "cell_type": cell.cell_type,
        "id": f"cell-{number:02}",
        "metadata": {name: value for name, value in cell.metadata.items() if not name.startswith(EMPTY_LINES)},
        "source": cell.source.splitlines(keepends=True),
    }
    return written | ({"execution_count": None, "outputs": []} if cell.cell_type == "code" else {})
