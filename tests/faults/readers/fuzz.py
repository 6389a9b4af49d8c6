"""Mutated files for one reader, guided by the lines that they reach; what is found is kept, and can be tried again."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.readers.child import Desk, Task, fork
from tests.faults.readers.reader import Reader

HANGS = 5.0  # seconds of computing, after which an input is given up
KILLS = 60.0  # seconds of the clock for one input, after which the child is killed: a library that never returns
MOST = 40  # findings of different kinds that are kept
KIND = re.compile(r"b?'[^']*'|\"[^\"]*\"|0x[0-9a-f]+|\d+(\.\d+)?|/\S+|\\\\\S+")


@dataclass
class Tried:
    """What came out: inputs, how many of them were refused, those that reached new lines, and a line for each kind."""

    inputs: int = 0
    refused: int = 0
    kept: int = 0
    findings: list[str] = field(default_factory=list)


def tried(
    reader: Reader,
    *,
    seed: int = 0,
    inputs: int = 1 << 40,
    seconds: float = 1e9,
    out: Path | None = None,
    hangs: float = HANGS,
    kills: float = KILLS,
    contents: Sequence[bytes] = (),
) -> Tried:
    """Try the inputs 0, 1, ... of this seed, as many or as long as is said. Findings are saved in `out`.

    given   these inputs, as they are, in place of mutated ones

    The same number of inputs gives the same result.
    """
    result, desk = Tried(), Desk()
    inputs = len(contents) or inputs
    with tempfile.TemporaryDirectory(prefix="minilocal-readers-") as name:
        top = Path(name).resolve()
        for folder in ("corpus", "findings"):
            (top / folder).mkdir()
        _laid_out(reader, top)  # now, as what it imports and makes is kept
        first, until = 0, time.monotonic() + seconds
        while first < inputs and time.monotonic() < until:
            seeds = _laid_out(reader, top)
            desk.put(3, first)
            status = _watched(
                fork(Task(reader, top, seed, first, inputs, until, hangs, contents), seeds, desk), desk, kills
            )
            first = desk.get(3)
            if status == 0:
                break
            if status == 99:
                raise RuntimeError(f"{reader.name}: {(top / 'trouble').read_text()}")
            number = len(list((top / "findings").iterdir()))
            what = f"hung for {kills:g} s, and was killed" if status is None else f"ended the process, status {status}"
            finding = {"input": desk.number, "wrong": what, "content": desk.content.hex()}
            (top / "findings" / f"{number:06d}").write_text(json.dumps(finding))
            first = desk.number + 1
        result.inputs, result.refused = first, desk.refused
        result.kept = len(list((top / "corpus").iterdir()))
        _collect(reader, top, seed, out, result)
    return result


def _laid_out(reader: Reader, top: Path) -> Sequence[bytes]:
    """A new folder of the reader's, read once; the contents that are valid."""
    shutil.rmtree(top / "folder", ignore_errors=True)
    (top / "folder").mkdir()
    seeds = reader.make(top / "folder")
    (top / "folder" / reader.file).write_bytes(seeds[0])
    with suppress(Exception), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        reader.read(top / "folder")
    for pattern in reader.writes:
        for path in (top / "folder").rglob(pattern):
            path.unlink()
    (top / "folder" / reader.file).write_bytes(seeds[0])
    return seeds


def _watched(child: int, desk: Desk, kills: float) -> int | None:
    """The status of the child; None where it was killed because it read one input for too long."""
    number, since = desk.number, time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if desk.number != number:
            number, since = desk.number, time.monotonic()
        elif time.monotonic() - since > kills:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.01)


def _collect(reader: Reader, top: Path, seed: int, out: Path | None, result: Tried) -> None:
    """A finding of each kind, with its input saved."""
    kinds: set[str] = set()
    for path in sorted((top / "findings").iterdir()):
        finding = json.loads(path.read_text())
        what, _, more = finding["wrong"].replace(str(top), "").partition(": ")
        kind = KIND.sub("", what if what.startswith("a message") else what + more)
        if kind in kinds or len(kinds) == MOST:
            continue
        kinds.add(kind)
        where = ""
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            file = out / f"{reader.name}-{seed}-{finding['input']}"
            file.write_bytes(bytes.fromhex(finding["content"]))
            where = f"; python -m tests.faults.readers {reader.name} {file}"
        result.findings.append(f"{reader.name}, seed {seed}, input {finding['input']}: {finding['wrong']}{where}")
