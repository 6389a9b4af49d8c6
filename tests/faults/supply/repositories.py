"""The commit in a run's record: git is asked, and runs nothing that a repository or a variable would have it run."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minilocal.record import commit

Case = Callable[[Path, str], dict[str, str]]  # of the checkout and a program that leaves a mark; variables that are set
ANOTHER = 54321


def git(top: Path, *words: str) -> str:
    """git in a checkout, with none of the user's settings. Raises: subprocess.CalledProcessError."""
    env = {"PATH": os.environ["PATH"], "HOME": str(top), "GIT_CONFIG_NOSYSTEM": "1"}
    names = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(["git", *names, *words], cwd=top, env=env, check=True, capture_output=True, text=True).stdout


def checkout(top: Path) -> str:
    """A repository with one commit, and the place of the package in it; the commit."""
    (top / "minilocal/record").mkdir(parents=True)
    (top / "minilocal/record/commit.py").write_text("")
    (top / "a.txt").write_text("a")
    git(top, "init", "--quiet")
    git(top, "add", ".")
    git(top, "commit", "--quiet", "-m", "first")
    return git(top, "rev-parse", "HEAD").strip()


def plain(top: Path, program: str) -> dict[str, str]:
    return {}


def a_monitor_of_files(top: Path, program: str) -> dict[str, str]:
    git(top, "config", "core.fsmonitor", program)
    return {}


def a_filter(top: Path, program: str, way: str = "clean") -> dict[str, str]:
    git(top, "config", f"filter.x.{way}", program)
    (top / ".git/info/attributes").write_text("*.txt filter=x\n")
    os.utime(top / "a.txt", (1, 1))  # so git looks at its content again
    return {}


def a_filter_that_stays(top: Path, program: str) -> dict[str, str]:
    return a_filter(top, program, "process")


def hooks(top: Path, program: str) -> dict[str, str]:
    (top / "hooks").mkdir()
    for name in ("post-index-change", "reference-transaction", "fsmonitor-watchman"):
        (top / "hooks" / name).symlink_to(program)
    git(top, "config", "core.hooksPath", str(top / "hooks"))
    os.utime(top / "a.txt", (1, 1))
    return {}


def a_pager(top: Path, program: str) -> dict[str, str]:
    for name in ("core.pager", "pager.status", "core.editor", "core.sshCommand", "diff.external"):
        git(top, "config", name, program)
    return {"GIT_PAGER": program, "GIT_EDITOR": program, "GIT_EXTERNAL_DIFF": program}


def settings_by_variables(top: Path, program: str) -> dict[str, str]:
    return {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": program}


def within_a_hook_of_another(top: Path, program: str) -> dict[str, str]:
    """As `git commit` in another repository sets them for its hooks."""
    other = top / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    git(other, "commit", "--quiet", "--allow-empty", "-m", "other")
    return {"GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other), "GIT_INDEX_FILE": str(other / "index")}


def odd_variables(top: Path, program: str) -> dict[str, str]:
    return {
        "GIT_DIR": "/dev/null",
        "GIT_OBJECT_DIRECTORY": "",
        "GIT_CEILING_DIRECTORIES": "/",
        "GIT_TRACE": f"{top}/trace",
    }


CASES: tuple[Case, ...] = (
    plain, a_monitor_of_files, a_filter, a_filter_that_stays, hooks, a_pager, settings_by_variables,
    within_a_hook_of_another, odd_variables,
)  # fmt: skip


def faults(cases: tuple[Case, ...] = CASES) -> list[str]:
    """A line for each case in which a program ran, or the commit is another one."""
    wrong = []
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="supply-") as name:
            top = Path(name) / "checkout"
            top.mkdir()
            right, program, mark = checkout(top), Path(name) / "program", Path(name) / "ran"
            program.write_text(f"#!/bin/sh\necho $0 $* >> {mark}\ncat\n")
            program.chmod(0o755)
            answer = asked(top, case(top, str(program)))
            if mark.exists():
                wrong.append(f"git with {case.__name__.replace('_', ' ')}: a program was run")
            if not answer or answer["commit"] != right or (top / "trace").exists():
                wrong.append(f"git with {case.__name__.replace('_', ' ')}: {answer}, not {right}")
    return wrong


def refused() -> list[str]:
    """A line for each checkout of which nothing may be told, and something is."""
    wrong = []
    for what, spoil in REFUSED.items():
        with tempfile.TemporaryDirectory(prefix="supply-") as name:
            top = Path(name)
            checkout(top)
            spoil(top)
            if answer := asked(top, {}):
                wrong.append(f"git in a checkout {what}: {answer}")
    return wrong


def of_another(top: Path) -> None:
    for path in (top, top / ".git"):
        os.chown(path, ANOTHER, -1)


REFUSED: dict[str, Callable[[Path], Any]] = {
    "without HEAD": lambda top: (top / ".git/HEAD").unlink(),
    "with a HEAD of noise": lambda top: (top / ".git/HEAD").write_bytes(b"\xff\xfe\0"),
    "whose commit is not there": lambda top: (top / ".git/HEAD").write_text("f" * 40),
    "whose settings are damaged": lambda top: (top / ".git/config").write_text("[core"),
}
if os.geteuid() == 0:
    REFUSED["of another user"] = of_another


def asked(top: Path, variables: dict[str, str]) -> dict[str, Any] | None:
    """What `git_commit` says of the package in this checkout."""
    with set_for_now(top, variables):
        return commit.git_commit()


@contextmanager
def set_for_now(top: Path, variables: dict[str, str]) -> Iterator[None]:
    before, file = dict(os.environ), commit.__file__
    commit.__file__ = str(top / "minilocal/record/commit.py")
    os.environ.update({"HOME": str(top), "GIT_CONFIG_NOSYSTEM": "1", **variables})
    os.environ.pop("GIT_CONFIG_GLOBAL", None)
    try:
        yield
    finally:
        commit.__file__ = file
        os.environ.clear()
        os.environ.update(before)
