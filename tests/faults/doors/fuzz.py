"""Command lines of random words: a command, any of its flags, and values from a pool of odd ones.

What must hold: no traceback; a refusal is one printable line, and then nothing has changed. What is accepted may work
for a second, and is ended then.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from minilocal.cli import COMMANDS
from tests.faults.doors import check, desk, forked
from tests.faults.doors.command_lines import WARNING

WORKS = 1.5  # seconds of the clock until a command line that was accepted is ended
ROUND = 50  # command lines with one seed
STATUSES = (0, 1, 2, forked.KILLED)
POOL = [
    "", " ", "0", "1", "2", "-1", "1.5", "-0.0", "1e400", "nan", "inf", "-inf", "True", "None", "null", "0x10",
    "1_000", "٣", "9" * 30, ",", "1,2", "1,,2", ",1", "2,2", "a,b", ";", "1;2", ":", "a:b", "a=b", "=", "==1", ".",
    "..", "/", "~", "*", "[", "[1", "{}", "[]", "--", "-", "é", "\u202e", "a b", "a\nb", "\x1b[2J", "run", "run.npz",
    "empty", "text.txt", "nowhere", "images.npz", "nan.npz", "rules.py:mine", "rules.py:raises", "rules.py",
    "key.toml", "broken.toml", "list.json", "npz:images.npz", "npz:", "folder:empty", "digits", "cifar10", "mlp",
    "resnet8", "resnet9", "wrn", "gll", "bp", "backlink", "pgl", "compose", "sgd", "cosine", "steps:1",
    "warmup:1+cosine", "cpu", "cuda", "cuda:x", "time", "rule.length=2", "rule.length=", "optim.lr=nan",
    "net.weights=run", "a.b.c=1", "tiny", "alignment", "out.svg", "out/x", "equations", "limits", "html", "%s", "{0}",
]  # fmt: skip


def words(command: str) -> st.SearchStrategy[list[str]]:
    """Any words for a command."""
    actions = importlib.import_module(f"minilocal.cli.{command}").parser()._actions
    flags = [flag for a in actions for flag in a.option_strings if not isinstance(a, argparse._HelpAction)]
    value = st.sampled_from(POOL)
    flag = st.sampled_from(flags)
    one = st.one_of(
        st.tuples(flag, value).map(list),
        st.tuples(flag, value).map(lambda pair: [f"{pair[0]}={pair[1]}"]),
        value.map(lambda word: [word]),
        flag.map(lambda word: [word]),
    )
    return st.lists(one, max_size=4).map(lambda parts: [command, *(word for part in parts for word in part)])


LINES = st.sampled_from(sorted(COMMANDS)).flatmap(words)


def wrong(line: list[str], folder: Path, before: dict[str, str]) -> tuple[int, list[str]]:
    """(the status of one command line, what is wrong with it)."""
    ended = forked.command(line, folder, WORKS)
    if ended.status not in STATUSES or "Traceback" in ended.err:
        return ended.status, [f"status {ended.status}: {ended.err[-300:]!r}"]
    if ended.status != 2:
        return ended.status, []
    lines = [text for text in ended.err.splitlines() if not text.startswith(WARNING)]
    problems = check.message("\n".join(lines), "") + check.soon(ended.seconds)
    return 2, problems + check.unchanged(before, {"the folder": desk.content(folder)})


def tried(minutes: float, first: int = 0) -> tuple[Counter[int], list[str]]:
    """({status: how many}, a line for each that does not hold) of rounds with the seeds `first`, `first` + 1, ..."""
    counts: Counter[int] = Counter()
    failures: list[str] = []
    forked.warm()
    with tempfile.TemporaryDirectory(prefix="minilocal-doors-") as top:
        clean, folder = Path(top) / "clean", Path(top) / "folder"
        clean.mkdir()
        desk.make(clean)
        shutil.copytree(clean, folder)
        before = {"the folder": desk.content(folder)}
        until = time.monotonic() + 60 * minutes

        @settings(
            max_examples=ROUND, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(LINES)
        def one_round(line: list[str]) -> None:
            if time.monotonic() > until:
                return
            status, problems = wrong(line, folder, before)
            counts[status] += 1
            if problems:
                failures.append(f"minilocal {shlex.join(line)}: {'; '.join(problems)}")
            if desk.content(folder) != before["the folder"]:
                shutil.rmtree(folder)
                shutil.copytree(clean, folder)

        while time.monotonic() < until:
            seed(first)(one_round)()
            first += 1
    return counts, failures
