"""MPI's words about ranks that ended, taken out of their output, which passes through as it comes.

MPICH and Open MPI print them in blocks, each between two rules; MPICH adds single lines, Open MPI a zero byte. They
follow what the ranks printed last, which may be a line without its end.
"""

from __future__ import annotations

import re

RULE, DASHES = b"=" * 83 + b"\n", b"-" * 74 + b"\n"  # MPICH's, Open MPI's
BLOCKS = {  # of each rule: how the first line of a block starts
    RULE: (b"=   BAD TERMINATION",),
    DASHES: (
        b"MPI_ABORT was invoked on rank ",
        *(name + does for name in (b"prterun ", b"mpirun ", b"mpiexec ") for does in (
            b"has exited due to process rank ", b"noticed that process rank ", b"detected that one or more processes "
        )),
    ),
}  # fmt: skip
STARTS = {  # of single lines, with the pattern of what makes sure
    b"YOUR APPLICATION TERMINATED WITH THE EXIT STRING": b"", b"Abort(": rb"\d+\) on node \d+ ", b"[mpiexec@": b"",
    b"[proxy:": b"",
}  # fmt: skip
FURTHER = (  # the lines below the first of these
    b"This typically refers to a problem with your application.", b"Please see the FAQ page for debugging suggestions",
)  # fmt: skip
SINGLE = [re.escape(start) + rest for start, rest in STARTS.items()]
LINE = re.compile(b"|".join([*SINGLE, *map(re.escape, FURTHER)]))
BEHIND = re.compile(  # what may stand behind an unfinished line; the end of a longer rule is no rule
    b"|".join([*SINGLE, *(rb"(?<!%b)%b\Z" % (rule[:1], rule) for rule in BLOCKS)])
)
KNOWN = (*BLOCKS, *(title for titles in BLOCKS.values() for title in titles), *STARTS, *FURTHER)


class Banner:
    """A filter of one stream. `signal` is the one that the first banner named, or None."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._line = b""  # the start of a line that may be MPI's
        self._held: list[bytes] = []  # an empty line, a rule, or both: what precedes a block's first line
        self._block: bytes | None = None  # the rule that ends this block
        self._in_line = False  # whether the start of this line has been printed
        self._after_block = False  # where a zero byte may follow

    def feed(self, data: bytes) -> bytes:
        """What is to be printed now."""
        *lines, last = (self._line + data).split(b"\n")
        out = b"".join([self._whole(line + b"\n") for line in lines])
        self._line = self._without_zero(last)
        if self._line and (self._in_line or not self._may_be_mpis(self._line)):
            out += self.end()
            self._in_line = True
        return out

    def end(self) -> bytes:
        """What has been held back."""
        out = b"".join([*self._held, self._line])
        self._held, self._line = [], b""
        return out

    def _may_be_mpis(self, start: bytes) -> bool:
        return self._block is not None or any(word.startswith(start) or start.startswith(word) for word in KNOWN)

    def _without_zero(self, line: bytes) -> bytes:
        """The line without the zero byte that Open MPI prints after a block."""
        if self._after_block and line:
            line = line.removeprefix(b"\0")
            self._after_block = not line
        return line

    def _whole(self, line: bytes) -> bytes:
        """What is to be printed once this line is complete."""
        line = self._without_zero(line)
        if self._block is not None:
            self._read(line)
            if line == self._block:
                self._block, self._after_block = None, True
            return b""
        behind = BEHIND.search(line)
        if self._in_line or (behind and behind.start()):
            start = behind.start() if behind else len(line)
            out = b"".join([*self._held, line[:start]])
            self._held, self._in_line = [], False
            return out + (self._whole(line[start:]) if behind else b"")
        if self._held and line.startswith(BLOCKS.get(self._held[-1], ())):
            self._held, self._block = [], self._held[-1]
            self._read(line)
            return b""
        out = b""
        if not (self._held == [b"\n"] and line in BLOCKS):
            out, self._held = b"".join(self._held), []
        if line in BLOCKS or line == b"\n":
            self._held.append(line)
            return out
        if LINE.match(line):
            self._read(line)
            return out
        return out + line

    def _read(self, line: bytes) -> None:
        if self.signal is None and (number := re.search(rb"signal (\d+)", line)):
            self.signal = int(number[1])
