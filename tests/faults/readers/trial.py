"""One input, read once, and all that is wrong with how it went."""

from __future__ import annotations

import re
import sys
import time
import traceback
import tracemalloc
import warnings
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.readers.audit import Watch
from tests.faults.readers.lines import Lines, Step
from tests.faults.readers.reader import FREE, LONGEST, SECONDS, Reader

ASKS = re.compile(r"Unable to allocate|MemoryError|[Cc]annot allocate|[Oo]ut of memory")
VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|[\w.:/\\-]*\d[\w.:/\\-]*")
STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


@dataclass
class Verdict:
    """How one input went: whether it was refused, what is wrong, and what it showed that may be new."""

    refused: bool = False
    wrong: list[str] = field(default_factory=list)
    steps: set[Step | str] = field(default_factory=set)
    seconds: float = 0.0
    nbytes: int = 0


class Trial:
    """Tries contents of the reader's file in `folder`, which its `make` has laid out.

    watch    the audit hook of this process
    printed  the file that stdout and stderr are, by descriptor
    """

    def __init__(self, reader: Reader, folder: Path, watch: Watch, printed: Path | None = None) -> None:
        self.reader, self.folder, self.watch, self.printed = reader, folder, watch, printed
        self.file = folder / reader.file
        self.lines = Lines(reader.modules)
        self.others = self._others()
        if not tracemalloc.is_tracing():
            tracemalloc.start()

    def __call__(self, content: bytes, *, steps: bool = True) -> Verdict:
        """Read this content; what took long is read again, without a look at its lines, before it is called slow."""
        verdict = self._once(content, steps)
        if verdict.seconds > SECONDS and steps:
            verdict.seconds = self._once(content, False).seconds
        if verdict.seconds > SECONDS:
            verdict.wrong.append(f"took {verdict.seconds:.1f} s")
        return verdict

    def _once(self, content: bytes, steps: bool) -> Verdict:
        verdict = Verdict()
        self.file.write_bytes(content)
        before, resident = tracemalloc.get_traced_memory()[0], _reset_resident()
        tracemalloc.reset_peak()
        texts: list[str] = []
        with warnings.catch_warnings(record=True) as warned, self.lines if steps else nullcontext():
            warnings.simplefilter("always")
            self.watch.begin(str(self.folder))
            start = time.process_time()
            try:
                texts = list(self.reader.read(self.folder))
            except self.reader.refuses as error:
                verdict.refused = True
                message = str(error)
            except BaseException as error:
                if type(error).__name__ == "TooLong":
                    raise
                verdict.wrong.append(f"{type(error).__name__} in {_place(error)}: {ascii(str(error))[:200]}")
            verdict.seconds = time.process_time() - start
            verdict.wrong += [f"does {line}" for line in self.watch.end()]
        verdict.nbytes = tracemalloc.get_traced_memory()[1] - before
        for what, nbytes in (("traced", verdict.nbytes), ("resident", _peak_resident() - resident)):
            if nbytes > len(content) + FREE:
                verdict.wrong.append(f"{nbytes >> 20} MB of memory ({what}) for {len(content)} bytes")
        if steps:
            verdict.steps |= self.lines.steps
        if verdict.refused:
            verdict.wrong += wrong_message(message, self.reader.named)
            verdict.steps.add(VALUES.sub("", message[:LONGEST].replace(str(self.folder), ""))[:200])
        for text in texts:
            verdict.wrong += [f"shows {ascii(line)[:100]}" for line in text.split("\n") if not line.isprintable()]
        for warning in warned:
            verdict.wrong += wrong_message(str(warning.message), "")
        verdict.wrong += self._printed() + self._changed(content)
        return verdict

    def _others(self) -> dict[str, tuple[int, int]]:
        result = {}
        for path in self.folder.rglob("*"):
            if path != self.file and path.is_file() and not any(path.match(p) for p in self.reader.writes):
                result[str(path.relative_to(self.folder))] = (path.stat().st_size, path.stat().st_mtime_ns)
        return result

    def _changed(self, content: bytes) -> list[str]:
        same = self.file.exists() and (self.reader.rewrites or self.file.read_bytes() == content)
        wrong = [] if same else [f"{self.reader.file} was changed"]
        if (now := self._others()) != self.others:
            wrong.append(f"changed {sorted(now.items() ^ self.others.items())[0][0]}")
            self.others = now
        for pattern in self.reader.writes:
            for path in self.folder.rglob(pattern):
                if path != self.file:
                    path.unlink()
        return wrong

    def _printed(self) -> list[str]:
        if self.printed is None:
            return []
        sys.stdout.flush()
        sys.stderr.flush()
        text = self.printed.read_text(errors="replace")
        if text:
            with self.printed.open("r+b") as file:
                file.truncate(0)
        return [f"prints {ascii(line)[:100]}" for line in text.splitlines()[:1]]


def wrong_message(text: str, named: str) -> list[str]:
    """What is wrong with a refusal."""
    wrong = []
    if len(text.splitlines()) != 1:
        wrong.append(f"a message of {len(text.splitlines())} lines: {ascii(text)[:200]}")
    elif not text.isprintable():
        wrong.append(f"a message that is not printable: {ascii(text)[:200]}")
    if len(text) > LONGEST:
        wrong.append(f"a message of {len(text)} characters")
    if named not in text:
        wrong.append(f"a message that does not name {named}: {ascii(text)[:200]}")
    if asks := ASKS.search(text):
        wrong.append(f"asks for memory that there is not: {asks[0]!r} in {ascii(text)[:200]}")
    return wrong


def _place(error: BaseException) -> str:
    """The line of the package that raised an error, or called what did."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/minilocal/" in f.filename]
    return f"{frames[-1].filename.rpartition('/minilocal/')[2]}:{frames[-1].lineno}" if frames else "no file"


def _resident(key: str) -> int:
    """Bytes, of a line of /proc/self/status; 0 where there is none."""
    try:
        result = re.search(rf"{key}:\s+(\d+) kB", STATUS.read_text())
    except OSError:
        return 0
    return int(result[1]) << 10 if result else 0


def _reset_resident() -> int:
    """The bytes that are resident now; the peak begins from here."""
    try:
        RESET.write_text("5")
    except OSError:
        return _resident("VmHWM")
    return _resident("VmRSS")


def _peak_resident() -> int:
    return _resident("VmHWM")
