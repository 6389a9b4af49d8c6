"""How a command may end that could not do its work: one line, its status, and nothing else changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tests.faults.storage.child import KILLED, Ended


def one_line(ended: Ended, status: int = 2, word: str = "", within: float | None = None) -> None:
    """Check that it ended with this status and one line on stderr, after any warnings, which has `word`."""
    assert ended.status != KILLED, f"hangs: {ended}"
    assert "Traceback" not in ended.err, f"traceback: {ended}"
    assert ended.status == status, f"status {status} was due: {ended}"
    lines = ended.err.splitlines()
    errors = [line for line in lines if not line.startswith("minilocal: warning: ")]
    assert len(errors) == 1 and errors[0].startswith("minilocal: "), f"{len(errors)} lines: {ended.err[-300:]!r}"
    assert errors[0].isprintable(), repr(errors[0])
    assert word in errors[0], f"{word!r} is not in {errors[0]!r}"
    assert within is None or ended.seconds < within, f"took {ended.seconds:.1f} s"


def well(ended: Ended) -> None:
    """Check that it ended with status 0 and without a traceback."""
    assert ended.status == 0 and "Traceback" not in ended.err, str(ended)


def no_traceback(ended: Ended, *statuses: int) -> None:
    """Check that it ended with one of these statuses, and not in a traceback."""
    assert "Traceback" not in ended.err, f"traceback: {ended}"
    assert ended.status in statuses, f"one of {statuses} was due: {ended}"


def content(folder: Path) -> dict[str, str]:
    """{path below `folder`: its content's sum, a link's target, or its kind}."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            text = f"-> {os.readlink(path)}"
        elif path.is_file():
            text = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            text = "folder" if path.is_dir() else "special"
        hashes[str(path.relative_to(folder))] = text
    return hashes
