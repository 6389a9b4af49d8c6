"""Changes of what is inside of a compressed file: it is unpacked, changed, and packed again with a right checksum."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from functools import cache
from random import Random

Mutation = Callable[[Random, bytes], bytes]
MOST = 1 << 23  # bytes that are unpacked, of a bomb that an earlier change has made
COMPRESSED = 15  # the type of a compressed element of a MATLAB file


def _unpacked(data: bytes) -> bytes:
    if data[:2] == b"\x1f\x8b":
        return zlib.decompressobj(31).decompress(data, MOST)
    if data[:3] == b"BZh":
        return bz2.BZ2Decompressor().decompress(data, MOST)
    return lzma.LZMADecompressor().decompress(data, MOST) if data[:6] == b"\xfd7zXZ\x00" else data


def _packed(rng: Random, data: bytes) -> bytes:
    pack = rng.choice((gzip.compress, gzip.compress, bz2.compress, lzma.compress))
    return gzip.compress(data, 1, mtime=0) if pack is gzip.compress else pack(data)


def inside(change: Mutation) -> Mutation:
    """That change of the unpacked content."""

    def changed(rng: Random, data: bytes) -> bytes:
        return _packed(rng, change(rng, _unpacked(data)))

    return changed


def again(rng: Random, data: bytes) -> bytes:
    """Packed another time, or unpacked; with many zeros behind it."""
    return rng.choice((lambda: _packed(rng, data), lambda: _unpacked(data), lambda: _bomb(rng, data)))()


def _bomb(rng: Random, data: bytes) -> bytes:
    """Many zeros behind it: a second part of a file that gzip reads as one."""
    return gzip.compress(_unpacked(data), 1, mtime=0) + _zeros(rng.choice((1 << 16, 1 << 20, 1 << 24, 1 << 27)))


@cache
def _zeros(count: int) -> bytes:
    return gzip.compress(bytes(count), 1, mtime=0)


def inside_mat(change: Mutation) -> Mutation:
    """That change of the content of one element of a MATLAB file."""

    def changed(rng: Random, data: bytes) -> bytes:
        elements, at = [], 128
        while at + 8 <= len(data):
            kind, size = (int.from_bytes(data[i : i + 4], "little") for i in (at, at + 4))
            elements.append((at, kind, size))
            at += 8 + size
        at, kind, size = rng.choice(elements)
        body = data[at + 8 : at + 8 + size]
        if kind == COMPRESSED:
            content = zlib.decompressobj().decompress(body, MOST)
            body = zlib.compress(change(rng, content[:400]) + content[400:], 1)
            if rng.random() < 0.02:
                body = zlib.compress(content[:400] + bytes(3 << 25), 1)
        else:
            body = change(rng, body[:400]) + body[400:]
        return data[: at + 4] + len(body).to_bytes(4, "little") + body + data[at + 8 + size :]

    return changed
