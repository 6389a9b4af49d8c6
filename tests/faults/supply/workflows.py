"""The workflows of continuous integration: nothing of a stranger's gets into a shell, and nothing may be written."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[3] / ".github/workflows"
USES = re.compile(r"uses: *(\S+)(.*)")
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40}")
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
OWN = re.compile(r" *(github\.(workflow|ref)|matrix\.\w+) *")  # no text that a stranger can choose, outside of a shell


def faults(text: str) -> list[str]:
    """What is wrong with a workflow, a line each."""
    wrong = [f"{what} is not pinned to a commit" for what, _ in USES.findall(text) if not PINNED.fullmatch(what)]
    wrong += [f"{what} does not say its version" for what, more in USES.findall(text) if not re.match(r" *# v\d", more)]
    wrong += [f"{e.strip()} is not one of ours" for e in EXPRESSION.findall(text) if not OWN.fullmatch(e)]
    wrong += [f"an expression in a shell: {line.strip()}" for line in shell(text) if "${{" in line]
    if not re.search(r"^permissions:\n  contents: read\n(?! )", text, re.MULTILINE):
        wrong.append("permissions are not `contents: read` alone")
    wrong += [
        f"{word} is used"
        for word in ("pull_request_target", "workflow_run", "secrets.", "write-all", ": write")
        if word in text
    ]
    if "actions/checkout@" in text and text.count("actions/checkout@") != text.count("persist-credentials: false"):
        wrong.append("actions/checkout leaves its token in the checkout")
    return wrong


def shell(text: str) -> list[str]:
    """The lines of each `run:`, with those that are indented below it."""
    lines, depth = [], None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip(" -"))
        if depth is not None and line.strip() and indent <= depth:
            depth = None
        if (match := re.match(r"[ -]*run: *", line)) or depth is not None:
            lines.append(line)
        if match:
            depth = indent
    return lines


def all_faults() -> tuple[int, list[str]]:
    """The number of workflows, and what is wrong with them."""
    files = sorted(FOLDER.glob("*.y*ml"))
    return len(files), [f"{file.name}: {fault}" for file in files for fault in faults(file.read_text("utf-8"))]
