"""Changes of pickles, opcode by opcode."""

from __future__ import annotations

import pickletools
from random import Random

CALLS = (
    b"cos\nsystem\n(S'touch canary'\ntR.", b"cposix\nsystem\nX\x0c\x00\x00\x00touch canary\x85R.",
    b"c__builtin__\neval\n(S'1'\ntR.", b"cbuiltins\nexec\n(S'open(\"canary\",\"w\")'\ntR.",
    b"cnumpy\nfromfile\n(S'/etc/passwd'\ntR", b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\ndtype\n",
    b"c_codecs\nencode\n", b"\x8c\x02os\x8c\x06system\x93", b"cnumpy.core.numeric\n_frombuffer\n",
    b"(ios\nsystem\n", b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x04\x00\x00\x00rot1tR",
    b"cminilocal.data.unpickle\nload\n", b"cbuiltins\nbytearray\n(I1000000000\ntR",
)  # fmt: skip
PIECES = (
    b"r\x00\x00\x00\x0a", b"p1000000\n", b"j\x00\x00\x00\x0a", b"2", b"2\x86" * 30, b"0", b"(", b"1", b"e", b"u", b"s",
    b"d", b"l", b"t", b"\x85", b"\x86", b"\x87", b"]", b"}", b")", b"N", b"\x88", b"\x94", b"h\x00", b"g0\n", b"R",
    b"b", b"\x81", b"\x92", b"Pa\n", b"Q", b"\x82\x01", b"\x80\x05", b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x8e\xff\xff\xff\xff\x00\x00\x00\x00", b"B\xff\xff\xff\x7f", b"X\xff\xff\xff\x7f",
    b"\x96\x00\x00\x00\x40\x00\x00\x00\x00",
    b"\x8a\xff" + b"\x00" * 20, b"\x8b\xff\xff\xff\x7f", b"I" + b"9" * 5000 + b"\n", b"L" + b"9" * 5000 + b"L\n",
    b"F1e999\n", b"G" + b"\xff" * 8, b"S'\\x1b[2J'\n", b"V\\u001b\\ud800\n", b"\x97", b"\x98", b"\x90", b"\x91",
    b"\x8f",
    b"]" * 2000, b"(" * 2000, b"q\x01", b"K\x00", b"J\xff\xff\xff\xff", b"C\x04abcd", b"U\x02ab", b".",
)  # fmt: skip


def change(rng: Random, data: bytes) -> bytes:
    """One opcode away, twice, or another in its place."""
    starts = _starts(data)
    n = rng.randrange(len(starts) - 1)
    start, end = starts[n], starts[n + 1]
    kind = rng.randrange(4)
    piece = (b"", data[start:end] * 2, rng.choice(PIECES), rng.choice(CALLS))[kind]
    return data[:start] + piece + data[end:]


def insert(rng: Random, data: bytes) -> bytes:
    """An opcode between two others."""
    at = rng.choice(_starts(data))
    return data[:at] + rng.choice(PIECES) * rng.choice((1, 1, 1, 2, 40)) + data[at:]


def names(rng: Random, data: bytes) -> bytes:
    """A call of what no data file names."""
    at = rng.choice(_starts(data))
    return data[:at] + rng.choice(CALLS) + data[at:]


def _starts(data: bytes) -> list[int]:
    """Where opcodes begin, as far as they can be read, and the end."""
    starts = []
    try:
        for _, _, at in pickletools.genops(data):
            starts.append(at or 0)
            if len(starts) > 5000:
                break
    except Exception:
        pass
    return [*starts, len(data)] if starts else [0, len(data)]
