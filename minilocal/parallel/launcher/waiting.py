"""Where a rank waits: whether its main thread goes on, and the call of MPI in which it stands.

Both are seen from another thread. The call is read off the source: Python keeps no frame of a function in C.
"""

from __future__ import annotations

import ast
import ctypes
import linecache
import sys
import threading
from itertools import islice
from types import FrameType

PendingCall = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class MainThread:
    """The main thread. `still` is the time in seconds in which it has run no Python: it stands in one call in C."""

    def __init__(self) -> None:
        self.still = 0.0
        self._is_asked = False
        self._answer = PendingCall(self._answered)  # kept as long as Python may call it

    def look(self, seconds: float) -> None:
        """Count the seconds since the last look, unless the main thread has run Python since then."""
        if self._is_asked:
            self.still += seconds
            return
        self.still, self._is_asked = 0.0, True
        if ctypes.pythonapi.Py_AddPendingCall(self._answer, None):  # the queue of such calls is full
            self._is_asked = False

    def _answered(self, argument: None) -> int:
        """Run by the main thread, between two of its instructions."""
        self._is_asked = False
        return 0

    @property
    def frame(self) -> FrameType | None:
        """Its innermost frame."""
        return sys._current_frames().get(threading.main_thread().ident or 0)


def call_of_mpi(frame: FrameType) -> str | None:
    """The function of mpi4py that a frame has called, as `comm.Recv`.

    None where it has called another one, or where that cannot be read: without a source, or called by no name.
    """
    try:
        call = ast.parse(_instruction(frame), mode="eval").body
        if not isinstance(call, ast.Call):
            return None
        owner = getattr(_value(call.func, {**frame.f_globals, **frame.f_locals}), "__self__", None)
    except Exception:  # a property of somebody else's class may raise anything
        return None
    kind = owner if isinstance(owner, type) else type(owner)
    return ast.unparse(call.func) if any(base.__module__.startswith("mpi4py") for base in kind.__mro__) else None


def _instruction(frame: FrameType) -> bytes:
    """The source of the instruction that a frame executes; empty where there is none."""
    first, last, start, end = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
    if first is None or last is None or start is None or end is None:
        return b""
    lines = [line.encode() for line in linecache.getlines(frame.f_code.co_filename, frame.f_globals)[first - 1 : last]]
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    return b"".join(lines)


def _value(name: ast.expr, names: dict[str, object]) -> object:
    """The value of `comm`, or of `self.comm.Recv`.

    Raises: KeyError and AttributeError where it has none; TypeError for any other expression.
    """
    if isinstance(name, ast.Attribute):
        return getattr(_value(name.value, names), name.attr)
    if not isinstance(name, ast.Name):
        raise TypeError(name)
    return names[name.id]
