"""The table of wrong calls: each is refused, and the Learner that it met goes on bit for bit as one that it did not."""

from __future__ import annotations

import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import minilocal as ml
from minilocal.kernels import threads
from minilocal.ops import kinds
from tests.faults.doors import check
from tests.faults.doors.place import Place
from tests.faults.doors.tables import Row


@contextmanager
def placed() -> Iterator[Place]:
    """A `Place` whose folder is the working folder meanwhile; threads and kernels are put back as they were."""
    before, number, kind = os.getcwd(), threads._threads, kinds.kernels()
    with tempfile.TemporaryDirectory(prefix="minilocal-doors-") as top, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.chdir(top)
        try:
            yield Place(Path(top))
        finally:
            os.chdir(before)
            ml.use_threads(number)
            ml.use_kernels(kind)


def wrong(row: Row, place: Place) -> list[str]:
    """What is wrong with the refusal of one call."""
    start = time.process_time()
    try:
        result = eval(row.what, dict(place.names))
        return [f"accepted: {result!r:.100}"]
    except ml.UserError as error:
        text = str(error)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        if not row.remedy.startswith(f"{type(error).__name__}: "):
            return [text[:200]]
    return check.message(text, row.remedy) + check.soon(time.process_time() - start)


def failures(rows: Iterable[Row], place: Place) -> list[str]:
    """A line for each row that does not hold; after one that changed something the place is made anew."""
    collected, before = [], place.sums()
    for row in rows:
        problems = wrong(row, place) + check.unchanged(before, place.sums())
        named = [name for name in place.learners if re.search(rf"\b{name}\b", row.what)]
        if not problems:
            problems = [f"{name} goes on otherwise" for name in named if not place.go_on(name)]
        if problems:
            collected.append(f"{row.what}: {'; '.join(problems)}")
            place.anew()
        if problems or named:
            before = place.sums()
    return collected


def not_accepted(rows: Iterable[Row], place: Place) -> list[str]:
    """A line for each call that is right, in an odd form, and is refused or means something else than the plain one."""
    collected = []
    for row in rows:
        place.anew()
        try:
            one = seen(eval(row.what, dict(place.names)))
            place.anew()
            other = seen(eval(row.remedy, dict(place.names)))
        except Exception as error:
            collected.append(f"{row.what}: {type(error).__name__}: {error}")
            continue
        if one != other:
            collected.append(f"{row.what} is {one:.80}, and {row.remedy} {other:.80}")
    return collected


def seen(value: Any) -> str:
    """A result as text: an array by its bits, a Learner by its state, anything else as it prints itself."""
    if isinstance(value, ml.Learner):
        return f"{value!r} {seen(value.state())}"
    if isinstance(value, dict):
        return str({name: seen(part) for name, part in value.items()})
    if isinstance(value, (list, tuple)):
        return str([seen(part) for part in value])
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {value.tobytes().hex()}"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
