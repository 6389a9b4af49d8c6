"""The table of wrong command lines, each in a forked child, in a folder that must stay as it is."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.doors import check, desk, forked
from tests.faults.doors.tables import Row

WARNING = "minilocal: warning: "


@contextmanager
def laid_out() -> Iterator[Path]:
    """A folder with everything that the rows name."""
    with tempfile.TemporaryDirectory(prefix="minilocal-doors-") as top:
        forked.warm()
        desk.make(Path(top))
        yield Path(top)


def wrong(ended: forked.Ended, remedy: str) -> list[str]:
    """What is wrong with the end of a command line that had to be refused."""
    if ended.status != 2:
        return [f"status {ended.status}: {(ended.err or ended.out)[-200:]!r}"]
    lines = [line for line in ended.err.splitlines() if not line.startswith(WARNING)]
    return check.message("\n".join(lines), remedy) + check.soon(ended.seconds)


def failures(rows: Iterable[Row], folder: Path) -> list[str]:
    """A line for each row that does not hold."""
    refused, before = [], {"the folder": desk.content(folder)}
    for row in rows:
        ended = forked.command(shlex.split(row.what), folder)
        after = {"the folder": desk.content(folder)}
        if problems := wrong(ended, row.remedy) + check.unchanged(before, after):
            refused.append(f"minilocal {row.what}: {'; '.join(problems)}")
        before = after
    return refused
