"""What changed files have found: each of these was met by a traceback, gigabytes, no end, or an escape sequence."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minilocal.sweep import holder
from tests.faults.readers.__main__ import once
from tests.faults.readers.hostile import npy, pictures
from tests.faults.readers.of_data import saved
from tests.faults.readers.table import READERS

Change = Callable[[bytes], bytes]
BRACKETS = b"[" * 100_000


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def of_json(*keys: Any, value: Any) -> Change:
    """Another value at this place of a JSON."""

    def change(content: bytes) -> bytes:
        part = whole = json.loads(content)
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value
        return text(whole)

    return change


def of_npz(name: str, npy_content: bytes, method: int = zipfile.ZIP_STORED) -> Change:
    """Another content of an array."""

    def change(content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {entry: archive.read(entry) for entry in archive.namelist()} | {f"{name}.npy": npy_content}
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for entry, part in members.items():
                archive.writestr(entry, part)
        return file.getvalue()

    return change


def array(value: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)
    return file.getvalue()


def wide_tables(content: bytes) -> bytes:
    """An lzma archive whose tables take two gigabytes."""
    changed = bytearray(of_npz("learner.json", b"", zipfile.ZIP_LZMA)(content))
    for at in range(len(changed) - 9):
        if changed[at : at + 5] == b"\x09\x04\x05\x00\x5d":
            changed[at + 5 : at + 9] = (2**31).to_bytes(4, "little")
    return bytes(changed)


def long_chunk(content: bytes) -> bytes:
    """A chunk of a picture that states 800 MB."""
    at = content.index(b"IDAT") - 4
    return content[:at] + (800 << 20).to_bytes(4, "big") + content[at + 4 :]


def of_version(content: bytes) -> bytes:
    """A zip that needs version 15.5."""
    at = content.index(b"PK\x01\x02") + 6
    return content[:at] + bytes([155]) + content[at + 1 :]


def hidden(program: bytes) -> bytes:
    """A pickle with this program in a text, which CPython's unpickler runs: it drops the rest of an outer frame."""
    outer, inner = (b"\x95" + length.to_bytes(8, "little") for length in (15, len(program) + 4))
    return b"\x80\x04" + outer + inner + b"}X" + len(program).to_bytes(4, "little") + program + b"K\x01s."


TERABYTE = npy("(1099511627776,)")
REGRESSIONS: list[tuple[str, bytes | Change]] = [
    ("cifar-pickle", b"}S'a\\\x01'\nI1\ns."),
    ("cifar-pickle", hidden(b"}r\0\0\0\x10.")),
    ("lock", b"process 1\n\x1b[2J"),
    ("setting", b"rule.aux=" + b"[" * 10_000),
    ("sweep", of_json("cells", 0, "config", value="gll")),
    ("sweep", of_json("cells", 0, "name", value="../outside")),
    ("sweep", of_json("cells", value=[1])),
    ("sweep", of_json("format", value="\x1b[2J" * 1000)),
    ("sweep-of-experiment", of_json("experiment", value=1)),
    ("sweep-of-experiment", of_json("experiment", "set", value=[1])),
    ("sweep-of-experiment", of_json("cells", 0, "labels", value={})),
    ("claim", BRACKETS),
    ("claim", text({"machine": holder._machine(), "process": 10**30})),
    ("claim", text({"host": "\u202e", "process": {}})),
    ("failed", text({"line": "\x1b[2J\n\u202e"})),
    ("rank-error", text({"time": 1})),
    ("rank-error", BRACKETS),
    ("rank-facts", text(True)),
    ("rank-facts", text({"run": 1})),
    ("rank-waits", text([])),
    ("rank-process", b"9" * 30),
    ("rank-process", b"-1"),
    ("rank-result", b""),
    ("rank-result", of_npz("structure", TERABYTE)),
    ("experiment-table", lambda content: content.partition(b"\n")[0] + b"\nx,tiny\n"),
    ("lesson", b"\xff"),
    ("lesson", b"# %% a=" + BRACKETS),
    ("experiment", b"title = " + b"9" * 5000),
    ("experiment", b"title = " + BRACKETS),
    ("experiment", b"a." * 50_000 + b"a = 1"),
    ("config-toml", b"a." * 50_000 + b"a = 1"),
    ("config-json", of_json("rule", "name", value="\ud800")),
    ("run-config", of_json("rule", "name", value="\ud800")),
    ("pictures-png", dict(pictures())["9400×9400 pixels"]),
    ("pictures-png", long_chunk),
    ("predict-images", saved(x=np.ones(4, "uint8"), range=np.array([0, 1]))),
    ("npz", of_npz("train_x", TERABYTE)),
    ("stl10-kept", of_npz("x", TERABYTE)),
    ("checkpoint", of_npz("progress.json", TERABYTE)),
    ("checkpoint", of_npz("progress.json", array('{"arrays": [], "progress": "nan"}'))),
    ("weights", of_npz("layers.0.weight", array(np.zeros(24, "float32")))),
    ("weights", of_version),
    ("learner", of_npz("learner.json", array(BRACKETS.decode()))),
    ("learner", wide_tables),
]


@pytest.fixture(autouse=True, scope="module")
def traced() -> Iterator[None]:
    """Memory is traced for these tests only."""
    yield
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "content"), REGRESSIONS, ids=[f"{name}-{n}" for n, (name, _) in enumerate(REGRESSIONS)]
)
def test_it_holds(name: str, content: bytes | Change, tmp_path: Path) -> None:
    if name not in READERS:
        pytest.skip(f"{name} needs a library")
    if callable(content):
        content = content(READERS[name].make(tmp_path)[0])
    assert once(READERS[name], content) == []


def test_the_archive_of_wide_tables_is_one(tmp_path: Path) -> None:
    content = wide_tables(READERS["learner"].make(tmp_path)[0])
    assert (2**31).to_bytes(4, "little") in content and zlib.crc32(content)
