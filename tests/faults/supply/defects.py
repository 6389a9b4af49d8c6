"""`python -m tests.faults.supply.defects DEFECT COMMAND ...`: a command with a defect, that must be noticed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from minilocal.cli import main


def loosened() -> None:
    """Whatever is made may be written by everybody."""
    os.umask(0)


def executable() -> None:
    """A file of the run is made executable."""
    Path("new").mkdir()
    Path("new/notes").touch(0o777)


def predictable() -> None:
    """A file of a name that anybody can guess, where anybody can put a link of that name before."""
    Path(tempfile.gettempdir(), "minilocal.log").write_text("epoch 1")


def elsewhere() -> None:
    """A file in the home that belongs to nothing of ours."""
    Path.home().joinpath("notes").write_text("epoch 1")


def connects() -> None:
    """A connection, that nobody asked for."""
    with socket.socket() as one:
        one.settimeout(0.1)
        one.connect_ex(("127.0.0.1", 9))


def resolves() -> None:
    """A name is looked up."""
    socket.getaddrinfo("localhost", 80)


def runs_another() -> None:
    """Another program is run."""
    subprocess.run(["true"])


DEFECTS: dict[str, Callable[[], None]] = {
    d.__name__: d for d in (loosened, executable, predictable, elsewhere, connects, resolves, runs_another)
}

if __name__ == "__main__":
    DEFECTS[sys.argv[1]]()
    sys.argv[1:] = sys.argv[2:]
    sys.exit(main(sys.argv[1:]))
