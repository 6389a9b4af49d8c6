"""The same cases with what they rely on taken out: each check must then find at least one that does not hold."""

from __future__ import annotations

import fcntl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minilocal.cli
from minilocal import errors, signals
from minilocal.data import container, download
from minilocal.record import files, output
from tests.faults.measured import Broken
from tests.faults.storage import downloads, links
from tests.faults.storage.case import attempt
from tests.faults.storage.groups import chosen
from tests.faults.storage.small import undisturbed


@dataclass(frozen=True)
class Mechanism:
    """Something that cases rely on: how it is taken out, and the cases, by group and name."""

    without: str
    taken_out: Callable[[], Any]
    group: str
    names: tuple[str, ...]


@contextmanager
def replaced(owner: Any, **values: Any) -> Iterator[None]:
    """These attributes of `owner`, with other values."""
    missing = object()
    before = {name: vars(owner).get(name, missing) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is missing:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


@contextmanager
def everywhere(function: Any, by: Any) -> Iterator[None]:
    """`by` in place of a function, in every module of the package that has it."""
    modules = [module for key, module in list(sys.modules.items()) if key.partition(".")[0] == "minilocal"]
    with ExitStack() as stack:
        for module in modules:
            if vars(module).get(name := function.__name__) is function:
                stack.enter_context(replaced(module, **{name: by}))
        yield


@contextmanager
def explained_errors() -> Iterator[None]:
    """`os_errors_explained` lets errors pass, and so does the command line."""
    with everywhere(files.os_errors_explained, nullcontext), replaced(minilocal.cli, OSError=ZeroDivisionError):
        yield


@contextmanager
def removal() -> Iterator[None]:
    real = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.suffix != ".partial":
            real(self, missing_ok)

    with replaced(Path, unlink=unlink):
        yield


@contextmanager
def deadlines() -> Iterator[None]:
    for_ever = dict.fromkeys(downloads.LIMITS, 3600.0)
    with replaced(downloads, LIMITS=for_ever, SECONDS=4.0), replaced(download, **for_ever):
        yield


@contextmanager
def checks_of_files() -> Iterator[None]:
    with everywhere(errors.check_file, lambda path: None), replaced(links, LIMIT=4.0):
        yield


def unchecked_outputs() -> Any:
    return everywhere(output.check_output, lambda *_, **__: None)


@contextmanager
def handlers() -> Iterator[None]:
    with replaced(signals, STOPS=()):
        yield


MECHANISMS = (
    Mechanism("the lock of a folder", lambda: replaced(fcntl, flock=lambda *_: None), "writers",
              ("resume of a run that goes on", "a resume of a run that is suspended")),
    Mechanism("operating system's errors in one line", explained_errors, "disk",
              ("disk full at call 9,", "EIO at every fsync")),
    Mechanism("the removal of temporary files", removal, "disk", ("EIO at every fsync", "EIO at every replace")),
    Mechanism("a look at the place of results before the work",
              unchecked_outputs, "outputs",
              ("memory --out: in a file", "memory --out: a pipe")),
    Mechanism("the handlers of signals", handlers, "stops", ("SIGTERM in a step", "SIGHUP in an evaluation")),
    Mechanism("the refusal of pipes and devices, of a run", checks_of_files, "links",
              ("checkpoint.npz is a pipe: resume",)),
    Mechanism("the refusal of pipes and devices, as input", checks_of_files, "inputs",
              ("train --config: a pipe", "train --config: a link to /dev/zero")),
    Mechanism("a download's deadlines", deadlines, "downloads", ("a byte a second: one line",)),
    Mechanism("a download's checksum", lambda: everywhere(container.has_sum, lambda *_: True), "downloads",
              ("another file: one line",)),
)  # fmt: skip


def measure() -> list[Broken]:
    """A row for each mechanism."""
    undisturbed()
    rows = []
    for each in MECHANISMS:
        cases = [case for case in chosen(each.group) if case.name.startswith(each.names)]
        assert len(cases) >= len(each.names), (each.names, [case.name for case in cases])
        with tempfile.TemporaryDirectory(prefix="minilocal-storage-") as top, each.taken_out():
            result = attempt(cases, Path(top))
        rows.append(Broken(each.without, result.tried, len(result.failures)))
    return rows
