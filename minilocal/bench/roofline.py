"""The roofline of this machine, measured: its peak rates of float32 products and of copies.

Products are a large square one, and those that convolutions come down to by im2col, which have few columns: rows × 9C
times 9C × C forward, and its transpose with a huge inner dimension for the weight gradient. On the host the im2col
products are also measured in blocks that stay in the cache, shared by threads, which is how the engine computes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minilocal import streams
from minilocal.bench import timing
from minilocal.device import make_current, use_tf32
from minilocal.kernels.threads import one_blas_thread, parallel_map, partition, use_threads

SQUARE = {"cpu": 2048, "device": 8192}
COPY = {"cpu": 256 << 20, "device": 1 << 30}  # bytes
SKINNY = {"32×32×16": (1024, 16), "16×16×32": (256, 32), "8×8×64": (64, 64)}  # pixels of an image, channels
BLOCK = 512 << 10  # bytes of a block of rows
REPEATS = 7


def measure(
    device: Any = "cpu", threads: int = 1, batch: int = 128, tf32: bool = False, quick: bool = False
) -> list[dict[str, Any]]:
    """A row for each rate: what, unit ("GFLOP/s" or "GB/s"), the median of some repeats, and the best of them.

    A copied byte counts twice, as read and as written.
    """
    xp = make_current(device)
    use_threads(threads)
    kind, clock = "cpu" if xp is np else "device", timing.clock_of(xp)
    if xp is not np:
        use_tf32(xp, tf32)
    side, nbytes = (SQUARE[kind], COPY[kind]) if not quick else (256, 1 << 20)
    rows: list[dict[str, Any]] = []

    def add(what: str, work: timing.Work, amount: float, unit: str) -> None:
        warm = [clock.seconds(work) for _ in range(2)][-1]
        repeats = timing.enough(warm, 0.001 if quick else 0.02)
        rates = sorted(amount / 1e9 / clock.seconds(work, repeats) for _ in range(3 if quick else REPEATS))
        rows.append({"what": what, "unit": unit, "median": rates[len(rates) // 2], "best": rates[-1]})

    def product(what: str, n: int, inner: int, m: int, transposed: bool = False) -> None:
        x, W, z = (_random(xp, shape) for shape in ((n, inner), (inner, m), (n, m)))
        flops = 2.0 * n * inner * m
        if transposed:
            add(what, lambda: xp.matmul(x.T, z, out=W), flops, "GFLOP/s")
            return
        add(what, lambda: xp.matmul(x, W, out=z), flops, "GFLOP/s")
        if xp is np and n > side:
            add(f"{what}, in blocks", lambda: _in_blocks(x, W, z), flops, "GFLOP/s")

    product(f"product, {side} square", side, side, side)
    for name, (pixels, C) in SKINNY.items():
        product(f"im2col product {name}", batch * pixels, 9 * C, C)
        product(f"weight gradient {name}", batch * pixels, 9 * C, C, transposed=True)
    for what, size in (("copy", nbytes), ("copy of 1 MB", 1 << 20)):
        source, target = xp.zeros(size // 4, xp.float32), xp.zeros(size // 4, xp.float32)
        add(what, _copy(xp, source, target), 2.0 * size, "GB/s")
    return rows


def _random(xp: Any, shape: tuple[int, int]) -> Any:
    return xp.asarray(streams.rng(0).standard_normal(shape, dtype=np.float32))


def _copy(xp: Any, source: Any, target: Any) -> Callable[[], Any]:
    """A copy; on the host by all threads."""
    if xp is not np:
        return lambda: xp.copyto(target, source)
    return lambda: parallel_map(lambda i, j: np.copyto(target[i:j], source[i:j]), partition(len(source)))


def _in_blocks(x: np.ndarray, W: np.ndarray, z: np.ndarray) -> None:
    """z = x W, a block of rows at a time, each by one thread."""
    height = max(1, BLOCK // (x.shape[1] * x.itemsize))

    def part(first: int, last: int) -> None:
        for i in range(first, last, height):
            j = min(i + height, last)
            np.matmul(x[i:j], W, out=z[i:j])

    with one_blas_thread():
        parallel_map(part, partition(len(x)))


def peak_rate(rows: list[dict[str, Any]], unit: str) -> float:
    """The highest median rate in this unit, per second; NaN where none was measured. No work should exceed it."""
    return 1e9 * max((row["median"] for row in rows if row["unit"] == unit), default=float("nan"))
