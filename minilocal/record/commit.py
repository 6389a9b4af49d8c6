"""The commit that the package runs from, as git says it; no program that a repository names is run for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

SECONDS = 10  # that git has
KEPT = (
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
)  # the user's own settings, safe.directory among them
NO_PROGRAMS: tuple[str, ...] = ("-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never")


def git_commit() -> dict[str, Any] | None:
    """The commit of the checkout that this package runs from, and whether tracked files differ from it.

    None where it is no checkout, where there is no git, and where git refuses: in a folder of another user
    (`safe.directory`), or a damaged one.
    """
    top = Path(__file__).resolve().parents[2]
    if not (top / ".git").exists():  # an installed package may lie in another project's checkout
        return None
    commit = _git(top, "rev-parse", "--verify", "HEAD^{commit}")
    if not commit:
        return None
    status = _git(top, *_no_filters(top), "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
    return {"commit": commit, "modified": None if status is None else bool(status)}


def _no_filters(top: Path) -> list[str]:
    """Options that take away the filters of contents that are set: `git status` would run them."""
    names = _git(top, "config", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process|required)$") or ""
    return [word for name in names.splitlines() for word in ("-c", f"{name}=")]


def _git(top: Path, *arguments: str) -> str | None:
    """What git prints, without the spaces around it, or None where it fails.

    Of the variables that name another repository, as git sets them for its hooks, it sees none.
    """
    env = {name: text for name, text in os.environ.items() if not name.startswith("GIT_") or name in KEPT}
    command = ["git", "--no-optional-locks", "--no-pager", *NO_PROGRAMS, "-C", str(top), *arguments]
    try:
        process = subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() if process.returncode == 0 else None
