"""`python -m tests.kernels.guard_pages SIDE CASES`: every operation in guarded memory, with compiled kernels.

Any fault ends the process. Results are compared with the plain code's, so that what lies inside is the right thing.
`python -m tests.kernels.guard_pages beyond` reads one number too many.
"""

import sys
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import ops, streams
from minilocal.kernels.numba import conv
from minilocal.kernels.numba.compiled import compiled
from tests.helpers import guarded
from tests.helpers.plain import plain

ROUND_OFF = 1e-4  # of float32 sums of a few hundred terms, relative to the largest number
SIZES, CHANNELS = (1, 2, 3, 4, 5, 8, 12, 17), (1, 3, 15, 16, 17, 32, 48)


def same(ours: Any, theirs: Any, what: str) -> None:
    """Within ROUND_OFF, in pairs; None with None."""
    pairs = [(ours, theirs)] if isinstance(ours, np.ndarray) else zip(ours, theirs, strict=True)
    for a, b in pairs:
        assert (a is None) == (b is None), what
        if a is not None:
            assert np.shape(a) == np.shape(b), what
            assert np.max(np.abs(a - b), initial=0) <= ROUND_OFF * np.max(np.abs(b), initial=1), what


def case(rng: np.random.Generator, side: str) -> None:
    """Any legal geometry: one pixel, images that are not square, padding as wide as the window, threads for no rows."""
    (N, H, W), (C, O) = (rng.choice(SIZES, 3).tolist()), rng.choice(CHANNELS, 2).tolist()
    k, stride = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    pad = int(rng.integers(0, k + 1))
    if rng.random() < 0.4:  # Winograd's form
        H, k, stride, pad = 4 * (1 + H // 4), 3, 1, 1
    ml.use_threads(int(rng.choice([1, 3, 7])))

    def draw(*shape: int) -> np.ndarray:
        return guarded.like(rng.standard_normal(shape).astype("float32"), side)

    def run(name: str, *args: Any) -> None:
        same(getattr(ops, name)(*args), getattr(plain, name)(*args), f"{name} {N, H, W, C, O} {k, stride, pad}")

    x, e, per = draw(N, H, W, C), draw(N, H, W, C), [draw(C) for _ in range(4)]
    if min(H, W) + 2 * pad >= k:
        weights = draw(k, k, C, O)
        z = plain.conv2d(x, weights, stride, pad)
        dz = draw(*z.shape)
        run("conv2d", x, weights, stride, pad)
        same(ops.conv2d_stats(x, weights, stride, pad)[0], z, "conv2d_stats")
        for need in ("both", "input", "weights"):
            run("conv2d_backward", dz, x, weights, stride, pad, need, e if need == "input" else None)
    same(ops.batch_norm_stats(x, 1e-5)[:2], plain.batch_norm_stats(x, 1e-5)[:2], "batch_norm_stats")
    for with_one in (None, e):
        run("batch_norm_apply", x, *per, with_one, True)
        run("batch_norm_backward", e, x, *per[:3], with_one, with_one is None)
    run("relu", x)
    run("relu_backward", x, e)
    if min(H, W) >= k:
        run("max_pool", x, k, stride)
        y, argmax = plain.max_pool(x, k, stride)
        run("max_pool_backward", guarded.like(y, side), guarded.like(argmax, side), x.shape, k, stride)
    run("global_average_pool", x)
    run("global_average_pool_backward", draw(N, 1, 1, C), x.shape)
    run("sum_rows", x.reshape(-1, C))
    run("dropout_mask", x, 0.3, ml.streams.StreamKey(1, 2, 3, 4, 5))
    images = guarded.like(rng.integers(0, 256, x.shape).astype("uint8"), side)
    most = (N - 1, 2 * pad, 2 * pad, 1)
    picks = guarded.like(rng.integers(0, np.array(most) + 1, (5, 4)).astype("int32"), side)
    run("crop_flip_normalise", images, picks, draw(256, C), pad, "reflect" if pad < min(H, W) else "constant")
    ops.sgd([(x, e, draw(*x.shape))], 0.1, 0.9, 1e-3, True)
    ops.adam([(x, e, draw(*x.shape), guarded.like(np.abs(e), side), 2)], 0.1, 0.9, 0.999, 1e-8, 1e-3)


@compiled
def number(a, i):
    return a[i]


def main(side: str, cases: int = 0) -> None:
    ml.use_kernels("numba")
    if side == "beyond":
        print(number(guarded.empty((5,), "float32"), 5))
    with pytest.MonkeyPatch.context() as patch:
        guarded.results_and_scratch(patch, side)
        patch.setattr(conv, "NARROWEST", 1)  # maps of any size go to the compiled form
        rng = streams.rng(0)
        for _ in range(cases):
            case(rng, side)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
