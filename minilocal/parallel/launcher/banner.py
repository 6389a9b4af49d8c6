"""MPICH's words about ranks that ended, taken out of their output, which passes through as it comes."""

from __future__ import annotations

import re

RULE = b"=" * 83 + b"\n"
TITLE = b"=   BAD TERMINATION"
STARTS = (  # of single lines
    b"YOUR APPLICATION TERMINATED WITH THE EXIT STRING", b"This typically refers to a problem with your application.",
    b"Please see the FAQ page for debugging suggestions", b"Abort(", b"[mpiexec@", b"[proxy:",
)  # fmt: skip
LINE = re.compile(b"|".join([*map(re.escape, STARTS[:3]), rb"Abort\(\d+\) on node \d+ ", *map(re.escape, STARTS[4:])]))


class Banner:
    """A filter of one stream. `signal` is the one that the first banner named, or None."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._line = b""  # the start of a line that may be MPICH's
        self._held: list[bytes] = []  # an empty line, a rule, or both: what precedes a banner's title
        self._in_block = False  # between a banner's two rules
        self._in_line = False  # whether the start of this line has been printed

    def feed(self, data: bytes) -> bytes:
        """What is to be printed now."""
        *lines, last = (self._line + data).split(b"\n")
        out = b"".join([self._whole(line + b"\n") for line in lines])
        self._line = last
        if last and (self._in_line or not self._may_be_mpichs(last)):
            out += self.end()
            self._in_line = True
        return out

    def end(self) -> bytes:
        """What has been held back."""
        out = b"".join([*self._held, self._line])
        self._held, self._line = [], b""
        return out

    def _may_be_mpichs(self, start: bytes) -> bool:
        known = (RULE, TITLE, *STARTS)
        return self._in_block or any(word.startswith(start) or start.startswith(word) for word in known)

    def _whole(self, line: bytes) -> bytes:
        """What is to be printed once this line is complete."""
        if self._in_line:
            self._in_line = False
            return line
        if self._in_block:
            self._read(line)
            self._in_block = line != RULE
            return b""
        if line.startswith(TITLE) and self._held[-1:] == [RULE]:
            self._held, self._in_block = [], True
            return b""
        out = b""
        if not (self._held == [b"\n"] and line == RULE):
            out, self._held = b"".join(self._held), []
        if line in (RULE, b"\n"):
            self._held.append(line)
            return out
        if LINE.match(line):
            self._read(line)
            return out
        return out + line

    def _read(self, line: bytes) -> None:
        if self.signal is None and (number := re.search(rb"signal (\d+)", line)):
            self.signal = int(number[1])
