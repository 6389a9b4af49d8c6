"""A student's function, called: on copies, with its exception in one line and its line number."""

from __future__ import annotations

import copy
import inspect
import linecache
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilocal.teach.exercise import Case


@dataclass(frozen=True)
class Called:
    """What a call returned; `error` is its exception in a line, `changed` the arguments that it wrote into."""

    result: Any = None
    error: str = ""
    changed: tuple[str, ...] = ()


def call(function: Callable[..., Any], case: Case, names: Sequence[str]) -> Called:
    """The result of `function` on a copy of a case, never an exception; Ctrl-C still stops it."""
    arguments = copy.deepcopy(case)
    try:
        result = function(*arguments)
    except (Exception, SystemExit) as error:
        return Called(error=_in_a_line(error, function))
    changed = [name for name, now, before in zip(names, arguments, case, strict=True) if not _same(now, before)]
    return Called(result, changed=tuple(changed))


def refusal(answer: Any, name: str, arguments: Sequence[str]) -> str:
    """Why an answer cannot be called with these arguments, in a sentence, or ""."""
    wanted = f"{name}({', '.join(arguments)})"
    if answer is None:
        return f"the answer is None: write {wanted}, and give the function itself."
    if not callable(answer):
        kind = type(answer).__name__
        return f"the answer is of type {kind}: give the function itself, {name}, not what it returns."
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):  # some functions in C have none
        return ""
    try:
        signature.bind(*arguments)
    except TypeError:
        return f"the function takes {signature}, and is called as {wanted}."
    return ""


def _in_a_line(error: BaseException, function: Callable[..., Any]) -> str:
    """`ValueError in line 3, `return w @ d`: matmul: ...`; the line is the last one in the file of the function."""
    text = " ".join(str(error).split())
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    code = getattr(inspect.unwrap(function), "__code__", None)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if code and f.filename == code.co_filename]
    if not frames or frames[-1].lineno is None:
        return f"it raised {reason}"
    line = linecache.getline(frames[-1].filename, frames[-1].lineno).strip()
    return f"line {frames[-1].lineno}{f', `{line}`,' if line else ''} raised {reason}"


def _same(now: Any, before: Any) -> bool:
    """Whether an argument is as it was, bit for bit."""
    if isinstance(before, list):
        return len(now) == len(before) and all(map(_same, now, before))
    if isinstance(before, np.ndarray):
        return now.shape == before.shape and now.dtype == before.dtype and now.tobytes() == before.tobytes()
    return bool(now == before)
