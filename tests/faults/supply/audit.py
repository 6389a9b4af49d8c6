"""`pip-audit` of the lock file: known faults of the packages that are installed, where a service can be asked."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from tests.faults.supply.lock import FILE

LIMIT = 120.0  # seconds


@dataclass(frozen=True)
class Answer:
    """How many packages the service knew, what it found, and why the others could not be asked about."""

    asked: int
    known_faults: list[str]
    not_asked: str = ""


def audited() -> Answer:
    """The answer for every package of the lock file that this Python would install."""
    if not find_spec("pip_audit"):
        return Answer(0, [], "pip-audit is not installed")
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(FILE), "--require-hashes", "--disable-pip",
               "--progress-spinner", "off", "--format", "json"]  # fmt: skip
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return Answer(0, [], f"no answer in {LIMIT:.0f} s")
    try:
        packages = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (ended.stderr.strip().splitlines() or ["nothing"])[-1]
        return Answer(0, [], f"status {ended.returncode}: {last[:120]}")
    return answer(packages)


def answer(packages: list[dict[str, Any]]) -> Answer:
    """Of pip-audit's list. What it skipped was not asked about, and its status is 0 all the same."""
    known = [p for p in packages if "skip_reason" not in p]
    known_faults = [f"{p['name']} {p['version']}: {v['id']}" for p in known for v in p["vulns"]]
    skipped = len(packages) - len(known)
    return Answer(
        len(known),
        known_faults,
        f"the service knew nothing of {skipped} of {len(packages)} packages" if skipped else "",
    )
