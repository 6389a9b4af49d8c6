"""The named points of a run: before and after each call that changes its folder, each step and each evaluation.

    fsync checkpoint.npz.partial #3        replace metrics.jsonl #2        fsync folder #4        mkdir folder #1
    step #5                                evaluation #2                   open lock #1

The numbers count the calls of one name in one process. A temporary file is named without its process, and `replace` and
`link` by the file that they make.
"""

from __future__ import annotations

import builtins
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from minilocal.learner import Learner
from minilocal.train.trainer import Trainer

PARTIAL = re.compile(r"\.\d+\.partial$")
CALLS = {"replace": 1, "rename": 1, "link": 1, "unlink": 0, "remove": 0, "mkdir": 0, "rmdir": 0}  # and which argument


@dataclass(frozen=True)
class Point:
    """A place in a run: before the call of this name, or after it."""

    name: str
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.name}"

    @property
    def call(self) -> str:
        """`fsync`, `replace`, ..., `step`, `evaluation`."""
        return self.name.split()[0]


class Listener(Protocol):
    """What is told of every point, of what is now on the disk, and of what is now in place."""

    def reached(self, point: Point) -> None: ...
    def synced(self, path: Path) -> None: ...
    def created(self, path: Path) -> None: ...
    def replaced(self, path: Path) -> None: ...


class Watched:
    """The calls of this process, each reported to the listeners; there is no way back, so a process of its own.

    folder   the run's; calls elsewhere are none of its points, but for the folders above it that are made
    """

    def __init__(self, folder: Path, *listeners: Listener) -> None:
        self.folder, self.listeners = folder, listeners
        self.counts: Counter[str] = Counter()
        self.is_opening = False  # an `open` whose opener is `os.open` is one call
        for name, argument in CALLS.items():
            setattr(os, name, self._call_on_a_path(name, getattr(os, name), argument))
        os.fsync = self._fsync
        os.open = self._opening(os.open, lambda flags: bool(flags & os.O_CREAT))
        builtins.open = self._opening(builtins.open, lambda mode: "r" not in mode)
        self._method(Learner, "step", "step")
        self._method(Trainer, "row", "evaluation")

    def name_of(self, path: Any) -> str | None:
        """`folder`, `its parent`, a file's name in it, or None for what is not the run's."""
        if not isinstance(path, (str, os.PathLike)):
            return None
        relative = os.path.relpath(os.path.abspath(path), self.folder)
        if set(relative.split(os.sep)) <= {"..", "."}:
            return {".": "folder", "..": "its parent"}.get(relative, relative)
        return None if relative.startswith("..") else PARTIAL.sub(".partial", relative)

    def between(self, name: str, work: Callable[[], Any]) -> Any:
        """`work()`, as the next call of this name."""
        self.counts[name] += 1
        name = f"{name} #{self.counts[name]}"
        self._tell(Point(name, False))
        result = work()
        self._tell(Point(name, True))
        return result

    def _tell(self, point: Point) -> None:
        for listener in self.listeners:
            listener.reached(point)

    def _call_on_a_path(self, call: str, real: Callable[..., Any], argument: int) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            path = arguments[argument]
            if (name := self.name_of(path)) is None:
                return real(*arguments, **options)

            def work() -> Any:
                result = real(*arguments, **options)
                for listener in self.listeners:
                    if call == "mkdir":
                        listener.created(Path(path))
                    elif call in ("replace", "rename"):
                        listener.replaced(Path(path))
                return result

            return self.between(f"{call} {name}", work)

        return wrapped

    def _fsync(self, fd: Any) -> None:
        """The bytes are on the disk for the listeners. The real call is left out: a kill of a process loses nothing."""
        path = self._path_of(fd)
        if path is None:
            return

        def work() -> None:
            for listener in self.listeners:
                listener.synced(path)

        self.between(f"fsync {self.name_of(path)}", work)

    def _path_of(self, descriptor: int) -> Path | None:
        """The file or folder of a descriptor, where it is the run's."""
        status = os.fstat(descriptor)
        above = [self.folder, *self.folder.parents]
        files = [Path(entry) for entry in os.scandir(self.folder)] if self.folder.exists() else []
        return next((p for p in [*files, *above] if p.exists() and os.path.samestat(p.stat(), status)), None)

    def _opening(self, real: Callable[..., Any], creates: Callable[[Any], bool]) -> Callable[..., Any]:
        def wrapped(path: Any, mode: Any = "r", *arguments: Any, **options: Any) -> Any:
            mode = options.pop("mode", mode)
            name = self.name_of(path) if creates(mode) else None
            if name is None or self.is_opening:
                return real(path, mode, *arguments, **options)

            def work() -> Any:
                self.is_opening = True
                try:
                    return real(path, mode, *arguments, **options)
                finally:
                    self.is_opening = False

            return self.between(f"open {name}", work)

        return wrapped

    def _method(self, kind: type, method: str, name: str) -> None:
        real = getattr(kind, method)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            return self.between(name, lambda: real(*arguments, **options))

        setattr(kind, method, wrapped)
