"""The groups of cases, each a file with `cases()`."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path

from tests.faults.storage.case import Case, Result, attempt
from tests.faults.storage.small import undisturbed

GROUPS = {
    "disk": "disks that are full, read-only, broken or slow",
    "outputs": "every command that writes, and every place where it cannot",
    "writers": "several processes, one folder",
    "vanishing": "locks, folders and claims that go or are taken under a run",
    "stops": "signals at any place of a run",
    "stops_elsewhere": "signals at imports and in other commands; output that is closed or full",
    "downloads": "servers with ill manners",
    "sources": "other sources, downloads that are killed, odd parts",
    "links": "links, pipes, devices and folders in place of a run's files; files that vanish",
    "inputs": "the same in place of inputs and outputs",
    "places": "odd names, odd surroundings",
}


def chosen(name: str, *, short: bool = False, only: str = "") -> list[Case]:
    """The cases of a group; with `short` those of the pytest form, with `only` those whose names have that text."""
    undisturbed()
    cases = import_module(f"tests.faults.storage.{name}").cases()
    return [case for case in cases if (case.short or not short) and only in case.name]


def measure(name: str, *, short: bool = False, only: str = "", tell: bool = False) -> Result:
    """Try the cases of a group; `tell` prints those that do not hold."""
    cases = chosen(name, short=short, only=only)
    with tempfile.TemporaryDirectory(prefix="minilocal-storage-") as top:
        return attempt(cases, Path(top), tell)
