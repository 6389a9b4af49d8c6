"""Two mutants at a time, their verdicts in a file that grows: what is in it is not tried again."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from math import inf
from pathlib import Path
from typing import Any

from tests.faults import measured
from tests.faults.mutants import covering as tests_of
from tests.faults.mutants import trial
from tests.faults.mutants.checkout import copy_of_the_repository
from tests.faults.mutants.equivalent import change, equivalent
from tests.faults.mutants.places import Mutant
from tests.faults.mutants.table import OWN, ROOT, WIDER, part_of, test_files
from tests.faults.mutants.warm import warm

VERDICTS = ROOT / "docs/results/trust/mutants.jsonl"
WORKERS = 2

_folder: Path
_scratch: Path
_covering: tests_of.Covering
_end: float


def key(mutant: Mutant) -> str:
    """What a verdict holds for: the mutant and the text of its file."""
    return f"{mutant.name}#{mutant.occurrence} {tests_of.text_of(mutant.module)}"


def first_and_last() -> tuple[dict[str, Any], dict[str, Any]]:
    """({key: first verdict}, {key: last verdict}); a line that was cut short by a kill is left out."""
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}
    for verdict in measured.rows(VERDICTS):
        first.setdefault(verdict["key"], verdict)
        last[verdict["key"]] = verdict
    return first, last


def _in_a_copy(parent: Path) -> None:
    """A worker's copy of the repository; `parent` is removed at the end by the process that made it."""
    global _folder, _scratch
    tempfile.tempdir = str(parent)
    _folder, _scratch = copy_of_the_repository(), Path(tempfile.mkdtemp())


def _measure(file: str) -> bool:
    return tests_of.measure(_folder, file)


def _try(mutant: Mutant) -> trial.Verdict | None:
    return None if time.monotonic() > _end else trial.run(mutant, _covering, _folder, _scratch)


def side_by_side(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
    """(item, result) as they come, from workers that are forks of this warmed process."""
    parent = Path(tempfile.mkdtemp(prefix="minilocal-mutants-"))
    context = multiprocessing.get_context("fork")
    try:
        with ProcessPoolExecutor(WORKERS, context, _in_a_copy, (parent,)) as pool:
            waiting = {pool.submit(work, item): item for item in items}
            for done in as_completed(waiting):
                yield waiting[done], done.result()
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def measure_tests(files: list[str]) -> None:
    """Coverage and times of these files of tests, where they are not known."""
    warm()
    for file, ended in side_by_side(_measure, files):
        if not ended:
            print(f"{file}: did not end", flush=True)


def all_files() -> list[str]:
    """The files of all tests that a mutant can meet, those of its own part first."""
    return list(dict.fromkeys(file for places in (*OWN.values(), WIDER) for file in test_files(places)))


def try_mutants(sample: list[Mutant], again: bool = False, minutes: float = inf) -> None:
    """Tries the mutants that have no verdict yet, and with `again` those that survived and are not listed as the same.

    Begins none after `minutes`.
    """
    global _covering, _end
    files = all_files()
    measure_tests(files)
    _covering = tests_of.covering(files)
    (_, last), same = first_and_last(), equivalent()
    once_more = {k for k, v in last.items() if v["end"] == "survived" and change(v) not in same} if again else set()
    left = [m for m in sample if key(m) not in last or key(m) in once_more]
    _end = time.monotonic() + 60 * minutes
    print(f"{len(sample)} mutants, {len(left)} to try", flush=True)
    with VERDICTS.open("a") as file:
        for mutant, verdict in side_by_side(_try, left):
            if verdict is None:
                continue
            line = {"key": key(mutant), "part": part_of(mutant.module), **trial.line_of(mutant, verdict)}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            print(f"{verdict.end:9} {verdict.seconds:6.1f} s  {mutant.name}  {verdict.by}", flush=True)
