"""A copy of the repository in a temporary folder: mutants are written there, never into the working tree."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.mutants.table import ROOT

LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "build", "dist", "data", "runs", "*.egg-info", "*.ipynb", "weights"
)


def copy_of_the_repository() -> Path:
    """A new folder with what tests read of the repository; who calls removes it."""
    folder = Path(tempfile.mkdtemp(prefix="minilocal-mutants-"))
    for entry in ROOT.iterdir():
        if entry.name in LEFT_OUT(str(ROOT), [entry.name]):
            continue
        if entry.is_dir():
            # `minilocal/data` is code: at the top alone such names are left out
            shutil.copytree(entry, folder / entry.name, ignore=shutil.ignore_patterns("__pycache__", "*.ipynb"))
        else:
            shutil.copy2(entry, folder)
    return folder


@contextmanager
def written(folder: Path, module: str, text: str) -> Iterator[None]:
    """`module` has this text in the copy for a while.

    Compiled code is removed before and after: Python knows it by the time in seconds and the size of its source, which
    two mutants can share.
    """
    file = folder / module
    before = file.read_bytes()
    try:
        file.write_text(text)
        _forget_compiled(file)
        yield
    finally:
        file.write_bytes(before)
        _forget_compiled(file)


def _forget_compiled(file: Path) -> None:
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()
