"""What a watched command may do: where it writes, with which permissions, and that it calls nobody."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.faults.supply.commands import Seen

PLACES = ("work", "home/.cache/minilocal", "home/.cache/matplotlib", "home/.config/matplotlib", "home/.matplotlib")
PRIVATE = ("home/.cache",)  # made for the user alone, as compiled code lies there
PROGRAMS = {
    "git",
    "mpiexec",
    "mpichversion",
    "sysctl",
    "nvidia-smi",
    "uname",
    "fc-list",
}  # uname by platform, fc-list by matplotlib
CALLS = ("socket.",)
WRITES = ("open", "exclusive", "os.mkdir", "os.rename", "os.link", "os.symlink")
RANDOM = re.compile(r"[a-z0-9_]{8}")  # the name of the file by which `tempfile` tries a folder
STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system")
BY_TEMPFILE = ("tempfile.mkstemp", "tempfile.mkdtemp")


def faults(seen: Seen, umask: int) -> list[str]:
    """All that a command did and should not have, a line each; its status too, where it is not 0."""
    failed = [f"status {seen.status}: {' '.join(seen.output.split())[-200:]}"] if seen.status else []
    return [*failed, *permissions(seen.top, umask), *places(seen), *calls(seen), *programs(seen)]


def permissions(top: Path, umask: int) -> Iterator[str]:
    """Files are 0666 and folders 0777, but for what the umask takes away; in the user's cache they may be stricter."""
    for path in sorted(p for part in ("work", "home") for p in (top / part).rglob("*") if not p.is_symlink()):
        name = str(path.relative_to(top))
        if any(part in name for part in ("matplotlib", ".nbi", ".nbc")):
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        right = (0o777 if path.is_dir() else 0o666) & ~umask
        if mode != right and not (name.startswith(PRIVATE) and mode & ~right == 0):
            yield f"{name} is {mode:04o}, not {right:04o}"


def places(seen: Seen) -> Iterator[str]:
    """It writes in the folder of the work and in the caches; elsewhere only by `tempfile`, under a random name."""
    inside = [str(seen.top / place) for place in PLACES]
    temporary = [os.path.realpath(event[1]) for event in seen.events if event[0] in BY_TEMPFILE]
    for event, *paths in seen.events:
        if event not in WRITES:
            continue
        for path in map(os.path.normpath, paths):
            within = any(path == top or path.startswith(top + os.sep) for top in [*inside, *temporary])
            above = any(top.startswith(path + os.sep) for top in inside)  # of a folder that is made on the way
            trial = event == "exclusive" and RANDOM.fullmatch(os.path.basename(path))
            if not (within or trial or path.startswith("/dev/") or (event == "os.mkdir" and above)):
                yield f"{event} of {path}"


def calls(seen: Seen) -> Iterator[str]:
    """No name is looked up, and nobody is connected to, but by a path of this machine."""
    for event, *arguments in seen.events:
        if event.startswith(CALLS) and not arguments[-1].startswith(("'/", "b'", "'\\x00")):
            yield f"{event} {' '.join(arguments)}"


def programs(seen: Seen) -> Iterator[str]:
    """No program is run but Python itself and those of PROGRAMS."""
    for event, *arguments in seen.events:
        name = os.path.basename(arguments[0])
        if event in STARTS and name not in PROGRAMS and name != os.path.basename(sys.executable):
            yield f"{event} {arguments[0]}"
