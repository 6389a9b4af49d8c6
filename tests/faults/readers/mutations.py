"""Changes of any file, and which kinds of change fit a format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tests.faults.readers.forms import archives, arrays, packed, pictures, programs, words
from tests.faults.readers.reader import LARGEST

Mutation = Callable[[Random, bytes], bytes]

EDGES = (0, 1, 2, 3, 7, 8, 10, 16, 31, 63, 64, 100, 127, 128, 255, 256, 511, 512, 1000, 1024, 4095, 4096, 32767, 32768,
         65535, 65536, 1 << 20, (1 << 24) - 1, 1 << 24, 10**8, 10**9, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32,
         1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip
TOKENS = (
    b"\x00", b"\xff", b"\x1b[2J", b"\x1b]0;title\x07", b"\r\n", b"\n", b"\r", b"\x85", b"\xe2\x80\xa8",
    b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\x80\x02", b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06",
    b"\x93NUMPY", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\x00", b"ustar", b"%s%n{0}", b"../../x", b"/etc/passwd", b"nan",
    b"inf", b"-1", b"1e999", b"null", b"[" * 40, b"9" * 40,
)  # fmt: skip


def flip(rng: Random, data: bytes) -> bytes:
    if not data:
        return b"\x00"
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def byte(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def number(rng: Random, data: bytes) -> bytes:
    """An integer at the edge of something, in 1, 2, 4 or 8 bytes of either order."""
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice(EDGES) + rng.choice((-1, 0, 0, 1))
    at = rng.randrange(max(1, len(data) - size + 1))
    return data[:at] + (value % (1 << 8 * size)).to_bytes(size, rng.choice(("little", "big"))) + data[at + size :]


def cut(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def extend(rng: Random, data: bytes) -> bytes:
    more = rng.choice((1, 2, 10, 512, 5000))
    return data + (rng.randbytes(more) if rng.random() < 0.5 else rng.choice((b"\x00", b"a", b"\n", b"9")) * more)


def remove(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 2, 4, 16, 100, 1000)) :]


def repeat(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    chunk = data[at : at + rng.choice((1, 2, 8, 64, 512))]
    return data[:at] + chunk * rng.choice((2, 3, 10, 100)) + data[at:]


def insert(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(TOKENS) + data[at + rng.choice((0, 0, 1, 4)) :]


def move(rng: Random, data: bytes) -> bytes:
    at, to, size = rng.randrange(len(data) + 1), rng.randrange(len(data) + 1), rng.choice((1, 4, 30, 300))
    return data[:to] + data[at : at + size] + data[to + size :]


ANY: tuple[Mutation, ...] = (flip, flip, byte, number, number, cut, extend, remove, repeat, insert, move)
FORMS: dict[str, tuple[Mutation, ...]] = {
    "bytes": (),
    "text": (words.change_line, words.change_word),
    "json": (words.change_json, words.change_json, words.change_word),
    "jsonl": (words.change_json_line, words.change_json_line, words.change_line),
    "toml": (words.change_toml, words.change_toml, words.change_line, words.change_word),
    "csv": (words.change_cell, words.change_cell, words.change_line),
    "percent": (words.change_line, words.change_word),
    "pickle": (programs.change, programs.change, programs.insert, programs.names),
    "tar": (archives.change_header, archives.change_header, archives.add_header, packed.inside(archives.change_header),
            packed.inside(archives.add_header), packed.inside(number), packed.again),
    "idx": (packed.inside(number), packed.inside(flip), packed.inside(extend), packed.again),
    "npz": (archives.change_zip_field, archives.change_zip_field, arrays.change_member, arrays.change_member,
            arrays.change_member, arrays.change_members),
    "mat": (packed.inside_mat(number), packed.inside_mat(number), packed.inside_mat(flip), packed.inside_mat(remove)),
    "png": (pictures.change_chunk, pictures.change_chunk, pictures.add_chunk),
    "jpeg": (pictures.change_segment,),
}  # fmt: skip


def mutated(rng: Random, form: str, corpus: Sequence[bytes]) -> bytes:
    """One of the corpus with a few changes, or spliced with another one. Young members come more often."""
    data = corpus[-1 - min(int(rng.expovariate(0.1)), len(corpus) - 1)] if rng.random() < 0.5 else rng.choice(corpus)
    if rng.random() < 0.05:
        other = rng.choice(corpus)
        data = data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]
    own = FORMS[form]
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4, 8))):
        change = rng.choice(own) if own and rng.random() < 0.6 else rng.choice(ANY)
        try:
            data = change(rng, data)
        except Exception:  # it is of its format no more: changes of bytes go on
            data = rng.choice(ANY)(rng, data)
    return data[:LARGEST]
