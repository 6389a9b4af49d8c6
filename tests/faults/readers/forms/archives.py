"""Changes of the fields of archives: tar's headers, with a right checksum, and zip's records."""

from __future__ import annotations

from random import Random

BLOCK = 512
FIELDS = {"name": (0, 100), "mode": (100, 8), "size": (124, 12), "mtime": (136, 12), "type": (156, 1),
          "link": (157, 100), "magic": (257, 8), "prefix": (345, 155)}  # fmt: skip
TYPES = (b"0", b"\0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"L", b"K", b"x", b"g", b"X", b"S", b"V", b"M", b"A")
SIZES = (0, 1, 511, 512, 513, 1 << 16, 1 << 20, 1 << 24, 1 << 30, 8**11 - 1)
RECORDS_OF_PAX = (
    b"", b"20 path=../escape\n", b"12 size=-1\n", b"99999999999 path=x\n", b"16 path=a\x1b[2Jb\n",
    b"28 GNU.sparse.realsize=999999\n22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n", b"25 size=9999999999999999\n",
)  # fmt: skip
NAMES = (b"../x", b"/etc/passwd", b"a\x1b[2J", b"data_batch_1.bin", b"data_batch_1", b"x/" * 49, b"\xff\xfe", b"",
         b"batches.meta", b"batches.meta.txt", b"test_batch.bin", b"canary")  # fmt: skip


def change_header(rng: Random, data: bytes) -> bytes:
    """A field of one of the headers."""
    starts = [at for at in range(0, len(data), BLOCK) if data[at + 257 : at + 262] == b"ustar"]
    at = rng.choice(starts)
    head = bytearray(data[at : at + BLOCK])
    name, (start, size) = rng.choice(list(FIELDS.items()))
    head[start : start + size] = _value(rng, name)[:size].ljust(size, b"\0")
    return data[:at] + _summed(head) + data[at + BLOCK :]


def add_header(rng: Random, data: bytes) -> bytes:
    """A header of its own before another one: a long name, PAX records, a sparse file."""
    head = bytearray(BLOCK)
    head[257:265] = rng.choice((b"ustar  \0", b"ustar\x0000"))
    body = rng.choice((*RECORDS_OF_PAX, rng.choice(NAMES))).ljust(rng.choice((0, BLOCK, BLOCK)), b"\0")
    for name in ("name", "mode", "size", "type"):
        start, size = FIELDS[name]
        head[start : start + size] = _value(rng, name)[:size].ljust(size, b"\0")
    if rng.random() < 0.6:
        head[124:136] = b"%011o\0" % len(body)
    at = rng.randrange(0, len(data) + 1, BLOCK)
    return data[:at] + _summed(head) * rng.choice((1, 1, 1, 50)) + body + data[at:]


def _value(rng: Random, name: str) -> bytes:
    if name in ("size", "mtime", "mode"):
        size = rng.choice(SIZES)
        return rng.choice((b"%011o\0" % size, b"\x80" + size.to_bytes(11, "big"), b"\xff" * 12, b"-1\0", b"9" * 12))
    return rng.choice(TYPES) if name == "type" else rng.choice(NAMES)


def _summed(head: bytearray) -> bytes:
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


RECORDS = {  # a record of zip: the offsets and sizes of its fields
    b"PK\x03\x04": ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\x01\x02": (
        (4, 2), (6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (38, 4), (42, 4),
    ),
    b"PK\x05\x06": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}  # fmt: skip
VALUES = (0, 1, 2, 8, 12, 14, 20, 45, 51, 63, 93, 99, 255, 2048, 0x0041, 0xFFFF, 1 << 20, 1 << 31, 0xFFFFFFFF)


def change_zip_field(rng: Random, data: bytes) -> bytes:
    """A number in a local header, the central directory, or its end."""
    result = [(at, fields) for mark, fields in RECORDS.items() for at in _all(data, mark)]
    at, fields = rng.choice(result)
    start, size = rng.choice(fields)
    value = rng.choice(VALUES) if rng.random() < 0.8 else rng.getrandbits(8 * size)
    at += start
    return data[:at] + (value % (1 << 8 * size)).to_bytes(size, "little") + data[at + size :]


def _all(data: bytes, mark: bytes) -> list[int]:
    result, at = list[int](), data.find(mark)
    while at >= 0 and len(result) < 200:
        result.append(at)
        at = data.find(mark, at + 1)
    return result
