"""One mutant against the tests that run its line: those of its own part first, then those of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.faults.mutants.checkout import written
from tests.faults.mutants.chosen import run_chosen
from tests.faults.mutants.covering import Covering
from tests.faults.mutants.places import Mutant, mutated
from tests.faults.mutants.table import OWN, ROOT, part_of, test_files
from tests.faults.mutants.warm import in_a_fork

SPARE = 20.0
"""Seconds that a test may take besides three times what it takes unmutated, under coverage.py."""
QUICK = 2.0
"""Seconds of the first group of tests: most mutants end there."""
FILES = 3
"""Files of tests in the first group: each that is collected takes time too."""
AT_MOST = 60.0
"""Seconds of tests of its own part, and of others, that a mutant meets at most: the quickest ones."""


@dataclass(frozen=True)
class Verdict:
    """`end` is killed, timed out, or survived; `by` the test that killed it, `where` own or wider."""

    end: str
    by: str
    where: str
    tests: int
    seconds: float


def groups(mutant: Mutant, covering: Covering) -> Iterator[tuple[str, list[str]]]:
    """("own" or "wider", tests) in the order in which they are tried."""
    names = covering.of(mutant.module, mutant.line)
    files = set(test_files(OWN[part_of(mutant.module)]))
    own = [name for name in names if name.partition("::")[0] in files]
    wider = [name for name in names if name.partition("::")[0] not in files]
    first_files = list(dict.fromkeys(name.partition("::")[0] for name in own))[:FILES]
    quick = [name for name in own if name.partition("::")[0] in first_files]
    quick = quick[: _within(quick, covering, QUICK)]
    others = [name for name in own if name not in set(quick)]
    yield "own", quick
    yield "own", others[: _within(others, covering, AT_MOST)]
    yield "wider", wider[: _within(wider, covering, AT_MOST)]


def _within(names: list[str], covering: Covering, seconds: float) -> int:
    """How many of the first tests take no longer than this together."""
    total = 0.0
    for count, name in enumerate(names):
        total += covering.seconds[name]
        if total > seconds:
            return count
    return len(names)


def run(mutant: Mutant, covering: Covering, folder: Path, scratch: Path) -> Verdict:
    """Tries the mutant in the copy `folder`."""
    text = mutated((ROOT / mutant.module).read_text(), mutant)
    tried, seconds = 0, 0.0
    with written(folder, mutant.module, text):
        for where, names in groups(mutant, covering):
            if not names:
                continue
            failed = scratch / "failed"
            failed.unlink(missing_ok=True)
            limits = {name: 3 * covering.seconds[name] + SPARE for name in names}
            whole = sum(limits.values()) - SPARE * (len(names) - 2)
            ended = in_a_fork(folder, lambda: run_chosen(limits, failed), whole, scratch / "log")  # noqa: B023
            tried, seconds = tried + len(names), seconds + ended.seconds
            if ended.status is None:
                return Verdict("timed out", "", where, tried, round(seconds, 1))
            if ended.status not in (0, 5):  # 5: the mutant left none of these tests
                by = failed.read_text() if failed.exists() else f"status {ended.status}"
                return Verdict("killed", by, where, tried, round(seconds, 1))
    return Verdict("survived", "", "", tried, round(seconds, 1))


def line_of(mutant: Mutant, verdict: Verdict) -> dict[str, Any]:
    """What is written of a mutant."""
    source = (ROOT / mutant.module).read_text()
    after = mutated(source, mutant).splitlines()
    changed = [(a.strip(), b.strip()) for a, b in zip(source.splitlines(), after, strict=False) if a != b]
    before, now = changed[0] if changed else ("", "")
    return {"mutant": asdict(mutant), "before": before, "after": now, **asdict(verdict)}
