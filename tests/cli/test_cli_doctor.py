"""`minilocal doctor` on a GPU that is played: what it tries, and what mends what fails."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from minilocal import UserError, array, cli
from minilocal.array import Absent


class Array(np.ndarray):
    """A NumPy array that says it lives on the GPU."""

    def get(self):
        return np.asarray(self)


class Stream:
    """Runs what it is given, but while it records."""

    recording: list | None = None

    def __init__(self, non_blocking=False):
        assert non_blocking

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def begin_capture(self):
        Stream.recording = []

    def end_capture(self):
        recorded, Stream.recording = Stream.recording, None
        return SimpleNamespace(launch=lambda: [again() for again in recorded])

    def synchronize(self):
        pass


def raw_kernel(source, name):
    assert "a[blockIdx.x * blockDim.x + threadIdx.x] *= 2" in source and name == "twice"

    def start(grid, block, args):
        (a,) = args

        def work():
            np.multiply(a[: grid[0] * block[0]], 2, out=a[: grid[0] * block[0]])

        work() if Stream.recording is None else Stream.recording.append(work)

    return start


@pytest.fixture
def played():
    """The library of a GPU, as far as the trials ask for it."""
    device = SimpleNamespace(synchronize=lambda: None, compute_capability="90")
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 1,
        getDeviceProperties=lambda number: {"name": b"Played GPU"},
        memGetInfo=lambda: (2**30, 2**33),
        runtimeGetVersion=lambda: 13020,
    )

    class Device:
        def __new__(cls, number=0):
            return device

    device.__class__.__enter__ = None  # replaced below: a SimpleNamespace has no context
    return SimpleNamespace(runtime=runtime, Device=Device)
