"""An unpickler for the CIFAR Python archives that builds dicts, lists, numbers, text and byte arrays only.

A pickle is a program: by default it may import any function and call it. The CIFAR files name four functions and
classes, and a fifth where they are rewritten with protocol 5. Each is replaced by an inert stand-in, so a file cannot
call a constructor of NumPy. Every other name is refused before it is imported. `opcodes.check` has walked the program
before it runs. No message shows more than a few letters of a
value: its text may be without end.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np

from minilocal.data import opcodes
from minilocal.errors import UserError, reason


class PickledArray:
    """The state of a pickled `numpy.ndarray`: a shape, a dtype code and bytes. `checked` returns the array."""

    def __init__(self, kind: Any = None, shape: Any = (0,), code: Any = b"b") -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def checked(self) -> np.ndarray:
        """The array; ValueError unless it is uint8 and its bytes fit its shape."""
        _version, shape, dtype, column_major, raw = self.state
        code = dtype.code if isinstance(dtype, PickledDtype) and isinstance(dtype.code, str) else "unknown"
        if code not in ("u1", "uint8", "|u1"):
            raise ValueError(f"an array of {code[:8]!r} instead of bytes (u1)")
        if not isinstance(raw, (bytes, bytearray)) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError("an array that holds no plain bytes")
        if math.prod(shape) != len(raw):
            raise ValueError(f"an array whose shape does not fit its {len(raw)} bytes")
        return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if column_major else "C")


class PickledBuffer(PickledArray):
    """The same in protocol 5, which calls NumPy's `_frombuffer`."""

    def __init__(self, raw: Any, dtype: Any, shape: Any, order: Any) -> None:
        if order not in ("C", "F"):
            raise pickle.UnpicklingError("an array in another order than C or F")
        self.state = (None, shape, dtype, order == "F", raw)


class PickledDtype:
    """The code of a pickled `numpy.dtype`. Its byte order and alignment do not matter for bytes."""

    def __init__(self, code: Any, align: Any = 0, copy: Any = 1) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else code

    def __setstate__(self, state: Any) -> None:
        pass


class PickledBytes:
    """Bytes as Python 3 writes them into protocol 2: a call of `_codecs.encode`, which returns them from text."""

    def __new__(cls, text: str, codec: str) -> Any:
        if codec != "latin1":
            raise pickle.UnpicklingError("it encodes with another codec than latin1")
        return text.encode("latin1")

    def __setstate__(self, state: Any) -> None:
        pass


# Every one is a class with a __setstate__: without it a pickle could set attributes of the stand-in.
ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): PickledArray,
    ("numpy.core.numeric", "_frombuffer"): PickledBuffer,
    ("numpy._core.numeric", "_frombuffer"): PickledBuffer,
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): PickledDtype,
    ("_codecs", "encode"): PickledBytes,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no data file needs") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside the file")


def load(data: bytes, where: str) -> dict[str, Any]:
    """The dict in a pickle: its keys as text, its arrays as uint8, byte strings unchanged.

    Raises: UserError, naming `where`, for a damaged pickle and for contents that no CIFAR file has.
    """
    try:
        opcodes.check(data)
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        if type(content) is not dict:
            raise ValueError(f"it holds a {type(content).__name__}, not a dict")
        arrays = {key: value.checked() for key, value in content.items() if isinstance(value, PickledArray)}
        return {_text(key): value for key, value in {**content, **arrays}.items()}
    except Exception as error:  # a damaged pickle can raise any error
        raise UserError(f"{where} is damaged or is no CIFAR file: {reason(error)}. Nothing in it was run.") from None


def _text(key: Any) -> str:
    text = key.decode("latin1") if isinstance(key, bytes) else key
    if not isinstance(text, str):
        raise ValueError(f"a key is a {type(key).__name__}, not text")
    return text
