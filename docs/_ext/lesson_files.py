"""Behind the head of each lesson: its files, and how it runs elsewhere.

With `repository = "OWNER/NAME"` in conf.py there are links to Colab and Binder too.
"""

from __future__ import annotations

import json
from pathlib import Path

from sphinx.application import Sphinx

LESSON = "{{download}}`this lesson <{0}.ipynb>`"
STUDENT = "{{download}}`the student's copy <student/{0}.ipynb>`, without solutions"
ELSEWHERE = "[on Colab and Binder](../docs/course.md#colab-and-binder)"
COLAB = "[Colab](https://colab.research.google.com/github/{1}/blob/main/notebooks/{0}.ipynb)"
BINDER = "[Binder](https://mybinder.org/v2/gh/{1}/main?labpath=notebooks%2F{0}.ipynb)"


def files(name: str, repository: str, student: bool) -> str:
    """The line of links of one lesson."""
    parts = [LESSON, *([STUDENT] if student else []), ELSEWHERE, *([COLAB, BINDER] if repository else [])]
    return " · ".join(parts).format(name, repository)


def add_files(app: Sphinx, page: str, source: list[str]) -> None:
    """Put a cell with the files behind a lesson's first cell."""
    folder, _, name = page.rpartition("/")
    if folder == "notebooks":
        notebook = json.loads(source[0])
        student = Path(app.srcdir, folder, "student", f"{name}.ipynb").exists()
        text = files(name, app.config.repository, student)
        notebook["cells"].insert(1, {"cell_type": "markdown", "id": "files", "metadata": {}, "source": text})
        source[0] = json.dumps(notebook)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("repository", "", "env", str)
    app.connect("source-read", add_files)
    return {"parallel_read_safe": True}
