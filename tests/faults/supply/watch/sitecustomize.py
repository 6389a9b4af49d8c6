"""Imported by each Python at its start: what it does to files, to the network and by programs, a line of JSON each.

Lines go into the file that SUPPLY_SEEN names. Children of a watched process have the same variables, and are watched.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
NAMELESS = getattr(os, "O_TMPFILE", 0)  # a file without a name, in the folder that is given
NAMED = {  # event of `sys.addaudithook`: how many of its arguments are told
    "os.mkdir": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2, "tempfile.mkstemp": 1, "tempfile.mkdtemp": 1,
    "socket.connect": 2, "socket.bind": 2, "socket.sendto": 2, "socket.getaddrinfo": 2, "socket.gethostbyname": 1,
    "subprocess.Popen": 1, "os.exec": 1, "os.posix_spawn": 1, "os.system": 1,
}  # fmt: skip


def watch(seen: int) -> None:
    """Tell of every event from now on into the descriptor `seen`."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int) or not (flags & WRITES or set(mode or "") & set("wax+")):
                return
            nameless = NAMELESS and flags & NAMELESS == NAMELESS
            tell("nameless" if nameless else "exclusive" if flags & os.O_EXCL else event, [path])
        elif event in NAMED:
            tell(event, arguments[: NAMED[event]])

    def tell(event: str, arguments: Any) -> None:
        texts = []
        for argument in arguments:
            path = os.fsdecode(argument) if isinstance(argument, (bytes, os.PathLike)) else argument
            texts.append(path if isinstance(path, str) else repr(path))
        if not event.startswith(("socket", "subprocess", "os.exec", "os.posix", "os.sys")):
            texts = [os.path.join(os.getcwd(), path) for path in texts]
        os.write(seen, (json.dumps([event, *texts]) + "\n").encode())

    sys.addaudithook(hook)


if name := os.environ.get("SUPPLY_SEEN"):
    watch(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
