"""An audit hook: what a reader does beyond reading. It cannot be taken out again: it is set in child processes only."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

RUNS = {
    "exec", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile",
    "subprocess.Popen", "pickle.find_class", "import", "ctypes.dlopen", "code.__new__", "function.__new__",
    "pty.spawn", "webbrowser.open",
}  # fmt: skip
CALLS = ("socket.", "urllib.", "http.", "ftplib.", "smtplib.")
CHANGES = {
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
    "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile", "os.setxattr", "os.putenv", "os.kill",
}  # fmt: skip
KNOWN = {*sys.stdlib_module_names, "minilocal", "numpy", "scipy", "PIL", "msgspec", "tqdm"} - {"antigravity", "this"}
PLACES = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[3] / "minilocal"))
LIBRARY = os.path.dirname(os.__file__)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """What was done since `begin`, a line each; paths below the folder may be written."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._folder: str | None = None

    def begin(self, folder: str) -> None:
        self.seen, self._folder = [], folder

    def end(self) -> list[str]:
        self._folder = None
        return self.seen

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self._folder is None:
            return
        if event == "open":
            path, _, flags = args
            if (isinstance(flags, int) and flags & WRITES) and not isinstance(path, int):
                self._outside(event, path)
        elif event in CHANGES:
            for path in args[:2]:
                self._outside(event, path)
        elif (event in RUNS or event.startswith(CALLS)) and not self._is_of_a_library(event, args):
            self.seen.append(f"{event} {ascii(args)[:80]}")

    def _is_of_a_library(self, event: str, args: tuple[Any, ...]) -> bool:
        """Whether a library, or this package, imports something on its first use."""
        if event == "import":
            return str(args[0]).partition(".")[0] in KNOWN
        if event not in ("exec", "ctypes.dlopen"):
            return False
        name = getattr(args[0], "co_filename", args[0])
        if isinstance(name, str) and name.startswith(PLACES):
            return True
        caller = sys._getframe(2).f_code.co_filename
        return name == "<string>" and caller.startswith(LIBRARY)  # a named tuple, or an annotation: of a module

    def _outside(self, event: str, path: Any) -> None:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(path, (str, os.PathLike)):
            whole = os.path.abspath(path)
            if whole not in (os.devnull, self._folder) and not whole.startswith(f"{self._folder}{os.sep}"):
                self.seen.append(f"{event} {ascii(whole)[:80]}")


def watched() -> Watch:
    """A watch on this process, from now on."""
    watch = Watch()
    sys.addaudithook(watch)
    return watch
