"""Files that were made to do harm: few bytes that ask for much, calls in pickles, names that lead elsewhere."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np

from tests.faults.readers.forms.programs import CALLS
from tests.faults.readers.fuzz import tried
from tests.faults.readers.table import READERS

MB = 1 << 20


def header_of(kind: bytes, size: int, name: bytes = b"././@LongLink") -> bytes:
    """A header of tar, with its sum."""
    head = bytearray(512)
    head[: len(name)], head[100:108], head[124:136] = name, b"0000644\0", b"%011o\0" % size
    head[136:148], head[156:157], head[257:265], head[148:156] = b"0" * 11 + b"\0", kind, b"ustar  \0", b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def tars() -> Iterator[tuple[str, bytes]]:
    """Long names, PAX records and members of hundreds of megabytes; paths and links out of the folder."""
    zeros = gzip.compress(bytes(200 * MB), 1, mtime=0)
    for kind in (b"L", b"K", b"x", b"g", b"0", b"S"):
        yield f"a header {kind!r} of 200 MB", gzip.compress(header_of(kind, 200 * MB), mtime=0) + zeros
    yield "5000 headers", gzip.compress(header_of(b"0", 0, b"x") * 5000, mtime=0)
    yield "a member of eight gigabytes less one byte", header_of(b"0", 8**11 - 1, b"data_batch_1.bin")
    for name, link in (
        ("../../escape", ""),
        ("/tmp/escape", ""),
        ("data_batch_1.bin", "/etc/passwd"),
        ("a\x1b[2J", ""),
    ):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = (tarfile.SYMTYPE, link) if link else (tarfile.REGTYPE, "")
            archive.addfile(member)
        yield f"a member {name!a} {link}", file.getvalue()


def pickles() -> Iterator[tuple[str, bytes]]:
    """Calls, a memo of gigabytes, forty doublings, numbers and texts without end."""
    for call in CALLS:
        yield f"the call {call[:30]!r}", b"\x80\x02" + call + (b"" if call.endswith(b".") else b".")
    yield "a memo of gigabytes", b"\x80\x02}r\x00\x00\x00\x0a."
    yield "forty doublings as a key", b"\x80\x02}(K\x00" + b"2\x86" * 40 + b"K\x01u."
    yield (
        "forty doublings by the memo",
        b"\x80\x02}(K\x00" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(40)) + b"K\x01u.",
    )
    yield "an integer of 50,000 digits", b"\x80\x02}(I" + b"9" * 50_000 + b"\nK\x01u."
    yield "lists in lists", b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    for size in (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff"):
        yield "a text of gigabytes", b"\x80\x02X" + size + b"a."
    yield "bytes of gigabytes", b"\x80\x05\x96\x00\x00\x00\x40\x00\x00\x00\x00."
    yield "a frame of exabytes", b"\x80\x05\x95\xff\xff\xff\xff\xff\xff\xff\x7f}."
    yield "escape sequences", pickle.dumps({"\x1b[2J": 1, b"\x1b[2J": b"\x1b[2J"}, 2)


def npy(shape: str, description: str = "'|u1'", content: bytes = b"") -> bytes:
    """An array whose header states anything."""
    text = f"{{'descr': {description}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


def npzs() -> Iterator[tuple[str, bytes]]:
    """Under every name that a reader asks for: headers that state terabytes, objects, and many zeros."""
    names = ("train_x", "train_y", "test_x", "test_y", "x", "y", "about", "run.json", "learner.json", "progress.json",
             "structure", "array:x")  # fmt: skip

    def archive(content: bytes, kind: int = zipfile.ZIP_STORED, count: int = len(names)) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", kind, compresslevel=1) as out:
            for name in names[:count]:
                out.writestr(f"{name}.npy", content)
        return file.getvalue()

    shapes = ("(1099511627776,)", "(4611686018427387904,)", "(-1,)", "(1180591620717411303424,)", "(10000000000,)",
              "(0, 1099511627776)", "(" + "1, " * 70 + ")", "(300000000,)")  # fmt: skip
    for shape in shapes:
        yield f"arrays of {shape[:30]}", archive(npy(shape))
    yield "texts of four gigabytes", archive(npy("()", "'<U1000000000'"))
    yield "objects", archive(npy("(1,)", "'|O'", CALLS[0]))
    yield "fields of objects", archive(npy("(1,)", "[('a', '|O')]", CALLS[0]))
    yield "a header of 60,000 bytes", archive(npy("(1,)" + " " * 60_000, content=b"a"))
    yield "brackets in a header", archive(npy("(" * 5000))
    zeros = npy(f"({200 * MB},)", content=bytes(200 * MB))
    yield "200 MB of zeros", archive(zeros, zipfile.ZIP_DEFLATED, 1)
    yield "a bzip2 of 200 MB", archive(zeros, zipfile.ZIP_BZIP2, 1)
    plain = archive(npy("(1,)", content=b"a"))
    at = plain.index(b"PK\x01\x02") + 10
    for method in (1, 9, 12, 14, 93, 95, 97, 99):
        yield f"compression method {method}", plain[:at] + bytes([method]) + plain[at + 1 :]


def texts() -> Iterator[tuple[str, bytes]]:
    """Brackets without end, numbers without end, escape sequences, other encodings."""
    yield "brackets", b"[" * 1_000_000
    yield "braces", b'{"a":' * 200_000
    yield "a table of brackets", b"[rule]\nname = " + b"[" * 100_000
    yield "dotted keys", b"a." * 100_000 + b"a = 1"
    yield "a number of 200,000 digits", b'{"format": ' + b"9" * 200_000 + b"}"
    yield "a key of 500,000 letters", b'{"' + b"a" * 500_000 + b'": 1}'
    yield "escape sequences", b'{"\\u001b[2J": "\\u001b[2J", "rule": {"\\u001b[2J": 1}}'
    yield "escape sequences in TOML", b'["\\u001b[2J"]\na = 1\n'
    yield "UTF-16", '{"rule": {}}'.encode("utf-16")
    yield "a surrogate", b'{"rule": {"name": "\\ud800"}}'
    yield "null bytes", bytes(100_000)
    yield "a line of nulls", b'{"epoch": 1}\n' + bytes(100_000) + b"\n"
    yield "an entity", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'


def pictures() -> Iterator[tuple[str, bytes]]:
    """Sides of 30,000 pixels in a few bytes, and texts that unpack to 100 MB."""

    def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
        head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
        parts = [b"\x89PNG\r\n\x1a\n"]
        for kind, body in ((b"IHDR", head), *chunks, (b"IEND", b"")):
            parts.append(len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big"))
        return b"".join(parts)

    zeros = zlib.compress(bytes(100 * MB), 1)
    for side in (9_400, 30_000, 65_535, (1 << 31) - 1):
        yield f"{side}×{side} pixels", png(side, side, (b"IDAT", zeros))
    yield "a text of 100 MB", png(16, 16, (b"zTXt", b"a\0\0" + zeros), (b"IDAT", zlib.compress(bytes(272))))
    yield "a profile of 100 MB", png(16, 16, (b"iCCP", b"a\0\0" + zeros), (b"IDAT", zlib.compress(bytes(272))))
    yield "100 MB behind the pixels", png(16, 16, (b"IDAT", zeros))


def others() -> Iterator[tuple[str, bytes]]:
    """A file of nothing, of one letter, of one line end, of random bytes, and one array."""
    yield "nothing", b""
    for content in (b"\n", b"\0", b"a", b"\xff" * 1000, np.random.default_rng(0).bytes(5000)):
        yield f"{len(content)} bytes {content[:2]!r}", content
    yield "one array", npy("(3,)", content=b"abc")


KINDS = {
    "tar": (tars,), "pickle": (pickles,), "npz": (npzs,), "png": (pictures,), "jpeg": (pictures,), "idx": (tars,),
    "json": (texts,), "jsonl": (texts,), "toml": (texts,), "csv": (texts,), "percent": (texts,), "text": (texts,),
}  # fmt: skip


def faults() -> tuple[int, list[str]]:
    """(how many were read, a line for each that was met wrongly); each reader reads those of its form."""
    count, lines = 0, []
    for reader in READERS.values():
        files = [one for kind in (*KINDS.get(reader.form, ()), others) for one in kind()]
        count += len(files)
        result = tried(reader, contents=[content for _, content in files])
        lines += [f"{line} (file {files[int(line.split('input ')[1].split(':')[0])][0]})" for line in result.findings]
    return count, lines
