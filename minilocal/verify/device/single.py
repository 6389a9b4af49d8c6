"""float32 on a device, where no two programs round alike: its error in units of the host's own float32 error.

    exact_d = float64 on the host, given the device's ReLU masks         error   = |device - exact_d|
    exact_h = float64 on the host, given the host's ReLU masks           its own = |host   - exact_h|        (float32)

    passed:  largest error  ≤  OWN × largest error of its own

Both float32 runs round each sum of n terms by about √n u, and the network magnifies both alike, so the condition of a
deep network is in the unit and in no limit. OWN: a sum in sequence is rounded √16 times as much as the host's sum in
16 lanes; the rest is chance, in the largest of a few thousand errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from minilocal.kernels.cuda.conv import WIDE
from minilocal.ops.dispatch import intercept
from minilocal.verify.device.masks import given_masks, recorded_masks
from minilocal.verify.device.ops import device_errors

OWN = 10.0
OWN_TF32 = 5.0  # there it is chance alone: the cut of the factors outweighs all sums
LEAST = 2.0**-21  # of a unit: four roundings of float32, where the host happens to make none; CUDA's expf is 2 off
Rounding = Callable[[], AbstractContextManager[None]]
Run = Callable[[Any, str], dict[str, np.ndarray]]  # (device, dtype) → arrays on the host


def in_units(run: Run, device: Any, rounding: Rounding = nullcontext) -> dict[str, float]:
    """{array: the device's error in units of the host's own}, the masks' distance from their run's among them.

    `rounding` is what the host's float32 run does as the device does: `tf32_factors`.
    """
    errors = float32_errors(run, device)
    with rounding():
        unit = own_error(run)
    return {name: error / unit for name, error in errors.items()}


def own_error(run: Run) -> float:
    """The largest error of the host's float32 run, at least LEAST."""
    return max(LEAST, *float32_errors(run, "cpu").values())


def float32_errors(run: Run, device: Any) -> dict[str, float]:
    """The relative errors of a float32 run against float64 on the host, given the masks of the former."""
    with recorded_masks() as masks:
        ours = run(device, "float32")
    with given_masks(masks) as distances:
        exact = run("cpu", "float64")
    return {**device_errors(ours, exact), "a ReLU mask": max(distances, default=0.0)}


@contextmanager
def tf32_factors() -> Iterator[None]:
    """Cut the factors of every product that TF32 computes on a device to its 10 bits, on the host.

    Cut, not rounded: the tensor cores read the leading bits of what they are given, the larger error of the two.
    """

    def cut(plain: Callable[..., Any], form: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        at = {"conv2d": 1, "conv2d_stats": 1, "conv2d_backward": 2, "matmul": 1}.get(plain.__name__)
        if at is not None and args[at].shape[-1] > WIDE and args[at].dtype == np.float32:
            args = (*(ten_bits(a) for a in args[: at + 1]), *args[at + 1 :])
        return form(*args, **kwargs)

    with intercept(cut):
        yield


def ten_bits(a: np.ndarray) -> np.ndarray:
    """float32 numbers without the last 13 bits of their significand: TF32's."""
    return (np.ascontiguousarray(a).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
