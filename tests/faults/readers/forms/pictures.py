"""Changes of pictures: chunks of a PNG, with a right checksum, and segments of a JPEG."""

from __future__ import annotations

import zlib
from random import Random

SIDES = (0, 1, 15, 16, 17, 1000, 9000, 30000, 65535, 1 << 20, (1 << 31) - 1)
TEXT = b"key\0\0" + zlib.compress(bytes(1 << 22))
CHUNKS = (
    (b"zTXt", TEXT), (b"iTXt", b"key\0\1\0\0\0" + TEXT[5:]), (b"iCCP", b"name\0\0" + TEXT[5:]), (b"tRNS", b"\0\1"),
    (b"eXIf", b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0"), (b"acTL", b"\0\0\0\xff\0\0\0\0"),
    (b"PLTE", b"\0" * 768), (b"gAMA", b"\0\0\0\0"), (b"IHDR", bytes(13)), (b"IEND", b""),
    (b"IDAT", zlib.compress(bytes(1 << 22))),
    (b"fcTL", bytes(26)), (b"fdAT", bytes(8)), (b"tEXt", b"\x1b[2J\0a"), (b"cHRM", b"\xff" * 32), (b"abcd", b"x" * 100),
)  # fmt: skip


def change_chunk(rng: Random, data: bytes) -> bytes:
    """A field of the header, or any byte of a chunk."""
    chunks = _chunks(data)
    n = 0 if rng.random() < 0.5 else rng.randrange(len(chunks))
    kind, body = chunks[n]
    if kind == b"IHDR":
        body = (
            b"".join(rng.choice((side, rng.choice(SIDES).to_bytes(4, "big"))) for side in (body[:4], body[4:8]))
            + body[8:]
        )
        if rng.random() < 0.5:
            at = rng.randrange(8, 13)
            body = body[:at] + bytes([rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))]) + body[at + 1 :]
    elif rng.random() < 0.2:
        del chunks[n]
        return _written(chunks)
    elif body:
        at = rng.randrange(len(body))
        body = body[:at] + rng.randbytes(1) + body[at + 1 :]
    chunks[n] = kind, body
    return _written(chunks)


def add_chunk(rng: Random, data: bytes) -> bytes:
    """One more chunk, as of text that unpacks to many times its size."""
    chunks = _chunks(data)
    chunks.insert(rng.randrange(len(chunks) + 1), rng.choice(CHUNKS))
    return _written(chunks)


def change_segment(rng: Random, data: bytes) -> bytes:
    """A byte behind one of the marks of a JPEG: lengths, sizes, tables."""
    marks = [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] not in (0, 0xFF)]
    at = min(rng.choice(marks) + rng.randrange(1, 20), len(data) - 1)
    return data[:at] + bytes([rng.choice((0, 1, 2, 8, 16, 127, 128, 255, rng.randrange(256)))]) + data[at + 1 :]


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], 8
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return chunks


def _written(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in chunks:
        parts.append(len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big"))
    return b"".join(parts)
