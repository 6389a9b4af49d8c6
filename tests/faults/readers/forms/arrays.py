"""Changes of the arrays in an npz: it is written again, with right checksums."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from random import Random
from typing import Any

import numpy as np

from tests.faults.readers.forms import words
from tests.faults.readers.forms.programs import CALLS

DESCRIPTIONS = (
    "'|u1'", "'<f4'", "'>f4'", "'<f8'", "'<i8'", "'<u8'", "'|b1'", "'<c8'", "'|O'", "'<U3'", "'<U1000000000'", "'|S0'",
    "'<U0'", "'|V0'", "'|V4'", "'<M8[s]'", "[('a', '<f4')]", "[('a', '|O')]", "('<f4', (1000, 1000))", "'x'", "1",
    "None", "'<f2'", "'<g'", "[('a', '<f4')] * 2", "'|i1'", "'<f4,<f4'", "'O8'",
)  # fmt: skip
SHAPES = (
    "()", "(0,)", "(1,)", "(-1,)", "(2, 3)", "(1099511627776,)", "(4611686018427387904,)", "(-9223372036854775808,)",
    "(1180591620717411303424,)", "(True,)", "(1.5,)", "('a',)", "(0, 1000000000000)", "(1,) * 70", "1", "None",
    "(" + "1, " * 40 + ")", "(100000000,)", "(33554432, 8)", "(0, 0, 0, 0)", "(2147483648, 0)",
)  # fmt: skip
HEADS = (
    "{'descr': DESCR, 'fortran_order': ORDER, 'shape': SHAPE}", "{'descr': DESCR, 'shape': SHAPE}", "{", "(" * 150, "",
    "__import__('os').system('touch canary')", "{'descr': DESCR, 'fortran_order': ORDER, 'shape': SHAPE, 'x': 1}",
    "{'descr': DESCR, 'fortran_order': ORDER, 'shape': SHAPE}" + " " * 20000, "\x00", "'''", "{**{}}", "1L", "-" * 5000,
    "[" * 5000, "9" * 5000,
)  # fmt: skip
NAMES = ("x", "train_x", "train_y", "test_x", "test_y", "classes", "range", "learner.json", "run.json",
         "progress.json", "structure", "about", "a/data.pkl", "\x1b[2J", "a\nb", "../x", "arr_0",
         "x" * 3000)  # fmt: skip


def change_member(rng: Random, data: bytes) -> bytes:
    """Another content of one of the arrays: its header, its numbers, its text."""
    members = _members(data)
    name = rng.choice(list(members))
    members[name] = _changed(rng, members[name])
    return _written(rng, members)


def change_members(rng: Random, data: bytes) -> bytes:
    """An array away, twice, under another name, or one more."""
    members = _members(data)
    name = rng.choice(list(members))
    kind = rng.randrange(5)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[f"{rng.choice(NAMES)}.npy"] = members[name]
    elif kind == 2:
        members[rng.choice(list(members))] = members[name]
    elif kind == 3:
        members[rng.choice((f"{rng.choice(NAMES)}.npy", rng.choice(NAMES)))] = members.pop(name)
    else:
        count = 3 << 25 if rng.random() < 0.03 else rng.choice((0, 1, 10, 1 << 22))
        members[f"{rng.choice(NAMES)}.npy"] = _npy(np.zeros(count, np.uint8))
    return _written(rng, members)


def _changed(rng: Random, npy: bytes) -> bytes:
    array = np.lib.format.read_array(io.BytesIO(npy), allow_pickle=False)
    kind = rng.randrange(6)
    if array.dtype.kind == "U" and array.ndim == 0 and kind < 4:
        return _npy(np.array(words.change_json(rng, str(array).encode()).decode()))
    if kind == 0:
        return _head(rng, array) + array.tobytes()
    if kind == 1:
        return npy[: len(npy) - array.nbytes] + rng.choice(CALLS)
    if kind == 2:
        objects = np.array([None], object)
        return _npy(objects, True)
    if kind == 3:
        return _npy(_odd(rng, array))
    if kind == 4:
        at = rng.randrange(len(npy))
        return npy[:at] + rng.randbytes(rng.choice((1, 1, 4))) + npy[at + 1 :]
    return npy + rng.choice((b"\0", bytes(1 << 16), pickle.dumps(None)))


def _odd(rng: Random, array: np.ndarray) -> np.ndarray:
    """The array with odd numbers, of another type, or of another shape."""
    kind = rng.randrange(6)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == 0:
            return array.astype(rng.choice(("u1", "i8", "u8", "f4", "f8", "?", "c8", "U8", ">f4", "f2")))
        if kind == 1:
            return array.reshape(rng.choice(((-1,), (1, *array.shape), (*array.shape, 1))))
        if kind == 2:
            return array[: rng.randrange(len(array) + 1)]
        if kind == 3:
            return np.concatenate([array] * rng.choice((2, 3)))
        changed: Any = array.copy()
        values = (np.nan, np.inf, -1, 0, 1, 2**31, 2**63 - 1, -(2**63), 1e30, 255)
        if changed.dtype.kind == "U":
            changed = np.array([rng.choice(("\x1b[2J", "a\nb", "\u202e", "", "a" * 3000)) for _ in changed.reshape(-1)])
        elif kind == 4:
            changed.reshape(-1)[rng.randrange(changed.size)] = rng.choice(values)
        else:
            changed[...] = rng.choice(values)
        return changed


def _head(rng: Random, array: np.ndarray) -> bytes:
    text = HEADS[0] if rng.random() < 0.7 else rng.choice(HEADS)
    text = text.replace("DESCR", rng.choice((*DESCRIPTIONS, *[repr(array.dtype.str)] * 20)))
    text = text.replace("SHAPE", rng.choice((*SHAPES, *[repr(array.shape)] * 10)))
    text = text.replace("ORDER", rng.choice(("False", "True", "False", "1", "None")))
    version, size = rng.choice(((1, 2), (1, 2), (2, 4), (3, 4), (9, 4)))
    length = rng.choice((len(text), len(text), len(text), 0, 65535, 1 << 31)) % (1 << 8 * size)
    return b"\x93NUMPY" + bytes([version, 0]) + length.to_bytes(size, "little") + text.encode("utf-8")


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = [info for info in archive.infolist() if info.file_size < 1 << 23]
        return {info.filename: archive.read(info) for info in infos}


def _written(rng: Random, members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    kind = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    if rng.random() < 0.1:
        kind = rng.choice((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    if sum(map(len, members.values())) > 1 << 20:
        kind = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w", kind, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), content, kind)
    return file.getvalue()


def _npy(array: np.ndarray, objects: bool = False) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=objects)
    return file.getvalue()
