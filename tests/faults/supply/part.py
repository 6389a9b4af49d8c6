"""The part `supply` of `make trust`: what is installed, where commands write, what they run, and whom they call."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

from minilocal.record import commit
from tests.faults.measured import Broken, Figure, Measured
from tests.faults.supply import audit, caches, lock, oldest, packages, repositories, workflows
from tests.faults.supply.checks import faults
from tests.faults.supply.commands import COMMANDS, SLOW, folder, watched
from tests.faults.supply.defects import DEFECTS

TITLE = "Supply chain, files and permissions"
ABOUT = """
Every command that writes, watched by an audit hook in each of its processes. It writes into the folder of its work and
the user's caches, and elsewhere only by `tempfile`. Files are 0666 and folders 0777, but for what the umask takes away;
the folder of compiled code is 0700. No name is looked up, nobody is connected to, and no program is run but git,
MPI's launcher and those that Python and Matplotlib ask about the machine. Compiled code is loaded only from a folder in
which nobody else can write, by the rule of OpenSSH. git, asked for the commit, runs no program that a repository names.
The tests hold with the oldest versions that `pyproject.toml` allows. The lock file of continuous integration satisfies
`pyproject.toml`, the wheel and the source archive have the files that git knows, and two builds are the same bytes.
"""
MINUTES = 7.0
UMASKS = (0o022, 0o077, 0o002)
SOME = ("tests/engine", "tests/record", "tests/config", "tests/data", "tests/test_learner.py", "tests/test_save.py",
        "tests/cli/test_cli.py", "tests/kernels/test_compiled_cache.py")  # fmt: skip


def run(minutes: float) -> Measured:
    """Tries everything, however long it takes; with fewer minutes than MINUTES, one umask, and no oldest versions."""
    whole = minutes >= MINUTES
    figures, failures = [], []
    for figure, wrong in [*commands(UMASKS if whole else UMASKS[:1]), *files(), with_oldest(whole)]:
        figures.append(figure)
        failures += wrong
    about, wrong = audited()
    return Measured(figures, broken(), [*failures, *wrong], about)


Row = tuple[Figure, list[str]]


def row(what: str, tried: int, wrong: list[str], remark: str = "") -> Row:
    """A figure of so many cases, each of which has at most one line in `wrong`, and those lines."""
    return Figure(what, tried, max(0, tried - len(wrong)), remark), wrong


def commands(umasks: tuple[int, ...]) -> Iterator[Row]:
    """Every command with each umask; those of SLOW with the first only."""
    for umask in umasks:
        names = [n for n in COMMANDS if available(n) and (umask == umasks[0] or n not in SLOW)]
        wrong = []
        for name in names:
            with folder() as top:
                if wrongs := faults(watched(top, COMMANDS[name], umask=umask), umask):
                    wrong.append(f"{name}, umask {umask:03o}: {'; '.join(wrongs[:3])}")
        yield row(f"commands with umask {umask:03o}: places, permissions, calls, programs", len(names), wrong)


def available(name: str) -> bool:
    needs = {"train --kernels numba": "numba", "train --processes 2": "mpi4py", "verify": "jax"}
    return name not in needs or find_spec(needs[name]) is not None


def files() -> Iterator[Row]:
    """Folders of compiled code, repositories, the lock file, builds and workflows."""
    tried, wrong = caches.faults()
    yield row(
        "folders of compiled code, trusted or not", tried, wrong, "" if os.geteuid() == 0 else "not as root: fewer"
    )
    yield row("repositories and surroundings that name programs", len(repositories.CASES), repositories.faults())
    yield row("checkouts of another user, and damaged ones", len(repositories.REFUSED), repositories.refused())
    text = lock.FILE.read_text("utf-8")
    wrong = list(lock.faults(text))
    yield row(
        "systems that the lock file is for", len(lock.SYSTEMS), wrong, f"{len(lock.pinned(text))} versions by hash"
    )
    if find_spec("hatchling"):
        yield row("builds: their files, and their bytes twice", *packages.faults())
    else:
        yield row("builds: their files, and their bytes twice", 0, [], "could not be tried: hatchling is not installed")
    yield row("workflows", *workflows.all_faults())


def with_oldest(whole: bool) -> Row:
    """Some of the tests with the oldest versions, in the environment of `make oldest`, where that has been made."""
    what = "tests with the oldest versions allowed"
    if not whole or not (oldest.PLACE / "constraints.txt").exists():
        return row(what, 0, [], "left out" if not whole else "could not be tried: make oldest makes the environment")
    versions = oldest.make(oldest.PLACE)
    ended = oldest.run(oldest.PLACE, SOME, "-n", "0")
    passed, failed = oldest.counted(ended.stdout)
    wrong = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if ended.returncode and not wrong:
        wrong = [f"status {ended.returncode}: {ended.stdout[-200:]}"]
    return row(what, passed + failed, wrong, ", ".join(versions))


def audited() -> tuple[str, list[str]]:
    """What `pip-audit` says, for the page; and the known faults of packages."""
    answer = audit.audited()
    if not answer.asked:
        return f"`pip-audit` of the lock file: could not be asked: {answer.not_asked}.", answer.known_faults
    more = f"; {answer.not_asked}" if answer.not_asked else ""
    return (
        f"`pip-audit` of the lock file: {len(answer.known_faults)} known faults in {answer.asked} packages{more}.",
        answer.known_faults,
    )


def broken() -> list[Broken]:
    """Each check with what it relies on taken out."""
    rows = []
    for name, defect in DEFECTS.items():
        with folder() as top:
            red = faults(watched(top, COMMANDS["export"], defect=name), 0o022)
        rows.append(Broken(f"a sound command: {(defect.__doc__ or '').rstrip('.')}", 1, int(bool(red))))
    _, wrong = caches.faults(lambda place: "")
    rows.append(Broken("a look at who can write in the folder of compiled code", len(caches.BAD), len(wrong)))
    rows.append(Broken("git told to run no programs", len(repositories.CASES), len(without_care())))
    return rows


def without_care() -> list[str]:
    """What `repositories.faults` finds where git is asked as anybody would."""
    before = commit.NO_PROGRAMS, commit._no_filters
    commit.NO_PROGRAMS, commit._no_filters = (), lambda top: []
    try:
        return repositories.faults()
    finally:
        commit.NO_PROGRAMS, commit._no_filters = before
