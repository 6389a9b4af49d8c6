"""The fake device under the name `cuda`: every command and function finds it where it looks for CuPy."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from minilocal import device
from tests.fake import ledger
from tests.fake.device import fake

ROUTINES = SimpleNamespace(COMPUTE_TYPE_TF32="TF32", COMPUTE_TYPE_FP32="FP32")


def install(patch: pytest.MonkeyPatch, *, kernels: bool = False, gpus: int = 1) -> list[str]:
    """Put the fake device in CuPy's place, as `gpus` cards of capability 9.0; what products are set to is listed.

    Without `kernels` the plain forms run, whose results are the host's plain ones bit for bit.
    """
    products: list[str] = []
    core = SimpleNamespace(set_compute_type=lambda dtype, kind: products.append(kind), _routines_linalg=ROUTINES)
    versions = {"driverGetVersion": lambda: 13000, "runtimeGetVersion": lambda: 13000}
    for name, answer in {**versions, "getDeviceCount": lambda: gpus}.items():
        patch.setattr(fake.cuda.runtime, name, answer, raising=False)
    patch.setattr(fake.cuda.Device, "compute_capability", "90", raising=False)
    if not hasattr(fake.cuda, "MemoryHook"):
        patch.setattr(fake.cuda, "MemoryHook", _hooks(patch), raising=False)
    patch.setattr(fake, "_core", core, raising=False)
    patch.setattr(fake, "kernels", kernels)
    patch.setattr(device, "_sound", {})
    patch.setattr(device, "_tf32", False)
    patch.setitem(sys.modules, "cupy", fake)
    patch.setitem(sys.modules, "cupy._core", core)
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return products


def failing(patch: pytest.MonkeyPatch, number: int) -> None:
    """The allocation of this number, counted from here, finds no memory."""
    allocate, left = ledger._allocate, number

    def counted(nbytes: int) -> None:
        nonlocal left
        if nbytes > 0:
            left -= 1
            if left == 0:
                raise MemoryError(f"Out of memory allocating {nbytes} bytes (allocated so far: 0 bytes).")
        allocate(nbytes)

    patch.setattr(ledger, "_allocate", counted)


def _hooks(patch: pytest.MonkeyPatch) -> type:
    """`cupy.cuda.MemoryHook`: each one that is entered is called after each allocation."""
    entered: list[Any] = []
    allocated = ledger.Buffer.__init__

    def make(buffer: ledger.Buffer, *args: Any) -> None:
        allocated(buffer, *args)
        for hook in entered:
            hook.malloc_postprocess()

    class MemoryHook:
        def __enter__(self) -> Any:
            entered.append(self)

        def __exit__(self, *error: object) -> None:
            entered.remove(self)

    patch.setattr(ledger.Buffer, "__init__", make)
    return MemoryHook
