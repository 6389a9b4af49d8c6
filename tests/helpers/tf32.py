"""TF32 on the fake device: CuPy's switch, a card that has it, and products whose factors have 10 bits."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minilocal import device
from minilocal.verify.device.single import ten_bits
from tests.fake.array import call
from tests.fake.device import fake

KINDS = SimpleNamespace(COMPUTE_TYPE_FP32=4, COMPUTE_TYPE_TF32=7)


def nearest(a: np.ndarray) -> np.ndarray:
    """float32 numbers rounded to 10 bits of their significand, halves away from 0."""
    return ten_bits((np.ascontiguousarray(a).view(np.uint32) + np.uint32(1 << 12)).view(np.float32))


def install(patch: pytest.MonkeyPatch, rounded: Callable[[np.ndarray], np.ndarray] = nearest) -> list[tuple[int, ...]]:
    """Give the fake device TF32; `rounded` makes factors of 10 bits. Returns its products' shapes, as they come."""
    products: list[tuple[int, ...]] = []

    def matmul(x: np.ndarray, W: np.ndarray, out: Any = None) -> Any:
        if device.tf32() and x.dtype == np.float32:
            products.append((*x.shape, W.shape[-1]))
            x, W = rounded(x), rounded(W)
        return np.matmul(x, W, out=out)

    core = SimpleNamespace(set_compute_type=lambda dtype, kind: None, _routines_linalg=KINDS)
    patch.setattr(fake, "_core", core, raising=False)
    patch.setattr(fake, "matmul", lambda *args, **kwargs: call(matmul, *args, **kwargs), raising=False)
    patch.setattr(fake.cuda.Device, "compute_capability", "80", raising=False)
    patch.setattr(device, "_tf32", False)
    return products
