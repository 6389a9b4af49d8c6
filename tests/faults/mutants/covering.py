"""Which tests run a line, and how long each takes: every file of tests, once, unmutated, under coverage.py."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.mutants.chosen import run_recorded
from tests.faults.mutants.table import OWN, ROOT, part_of
from tests.faults.mutants.warm import in_a_fork

BUILD = ROOT / "build/mutants"
MEASURED = BUILD / "measured"
LONGEST = 600.0
"""Seconds of CPU time for a file of tests."""


def _below(file: str, place: str) -> bool:
    return file == place or file.startswith(f"{place}/")


Lines = dict[str, dict[int, list[str]]]
NO_TEST = {"", "collected", "between"}


def text_of(*places: str) -> str:
    """A digest of the text of all Python files at these places."""
    digest = hashlib.sha256()
    for place in places:
        for file in sorted((ROOT / place).rglob("*.py")) if (ROOT / place).is_dir() else [ROOT / place]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def place_of(file: str, ending: str) -> Path:
    """Where what was measured of a file of tests lies."""
    return MEASURED / (file.removesuffix(".py").replace("/", ".") + ending)


def measure(folder: Path, file: str) -> bool:
    """Runs a file of tests in the copy `folder`, unless it was with the same code; False where it did not end."""
    out, key = place_of(file, ".json"), text_of("minilocal", file)
    if out.exists() and json.loads(out.read_text()).get("key") == key:
        return True
    MEASURED.mkdir(parents=True, exist_ok=True)
    data, fresh = place_of(file, ".coverage"), place_of(file, ".new")
    data.unlink(missing_ok=True)
    ended = in_a_fork(folder, lambda: run_recorded(file, data, fresh), LONGEST, place_of(file, ".log"))
    measured = json.loads(fresh.read_text()) if fresh.exists() else {"seconds": {}, "failed": [file]}
    fresh.unlink(missing_ok=True)
    out.write_text(json.dumps({**measured, "key": key, "ended": ended.status}))
    return ended.status == 0


@dataclass
class Covering:
    """The tests that run each line."""

    seconds: dict[str, float] = field(default_factory=dict)
    by_line: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    at_import: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, measured: dict[str, Any], lines: Lines) -> None:
        """What was measured of one file of tests; tests that fail unmutated can kill nothing."""
        held = measured["seconds"].keys() - set(measured["failed"])
        self.seconds |= {name: measured["seconds"][name] for name in held}
        for module, contexts in lines.items():
            names = {name for names in contexts.values() for name in names} & held
            own = held if any(_below(measured["file"], place) for place in OWN[part_of(module)]) else names
            self.at_import[module] |= own
            for line, its in contexts.items():
                # what runs at an import or between tests may show in any test of the module's part, or of the module
                self.by_line[module, line] |= own if NO_TEST & set(its) else held & set(its)

    def of(self, module: str, line: int) -> list[str]:
        """The tests that run a line, the quickest first; all that may, where it is not counted, as in a signature."""
        names = self.by_line.get((module, line)) or self.at_import.get(module, set())
        return sorted(names, key=lambda name: (self.seconds[name], name))


def lines_of(data: Path) -> Lines:
    """{module: {line: the tests that ran it}} of the parts' modules, from coverage.py's file."""
    from coverage import CoverageData

    kept = CoverageData(str(data))
    kept.read()
    modules = [module for module in kept.measured_files() if part_of(module) in OWN]
    return {module: kept.contexts_by_lineno(module) for module in modules}


def covering(files: list[str]) -> Covering:
    """What `measure` wrote of these files."""
    of_all = Covering()
    for file in files:
        measured = {"file": file, **json.loads(place_of(file, ".json").read_text())}
        data = place_of(file, ".coverage")
        of_all.add(measured, lines_of(data) if data.exists() else {})  # a file that did not end has none
    return of_all
