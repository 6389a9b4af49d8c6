"""The pieces that a training step is made of, each with what it must compute and move at least, and its PyTorch form.

Sizes are ResNet-32's: maps of 32×32×16, 16×16×32 and 8×8×64. `flops` counts a multiplication and an addition as two;
`numbers` are those that must be read from memory and written to it, once each, except that batch norm cannot be
applied before all of it has been seen: its passes are counted as two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from minilocal import nets, ops, streams
from minilocal.bench.op_benchmark import Arrays, OpBenchmark
from minilocal.bench.timing import Work
from minilocal.errors import unknown
from minilocal.streams import stream_key

MAPS = {"32×32×16": (32, 16), "16×16×32": (16, 32), "8×8×64": (8, 64)}
EPS = 1e-5


def _normal(**shapes: tuple[int, ...]) -> Callable[[], Arrays]:
    """Random float32 arrays of these shapes, the same each time."""

    def make() -> Arrays:
        rng = streams.rng(0)
        return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}

    return make


def _back(of: Callable[[Any, Any], Any], *names: str) -> Callable[[Any, Any, Any], Work]:
    """PyTorch's backward of `of(F, tensors)` to the tensors of these names, from the error `dy` at its output."""

    def theirs(torch: Any, F: Any, t: Any) -> Work:
        y, dy = of(F, t), t["dy"].detach()
        return lambda: torch.autograd.grad(y, [t[n] for n in names], dy, retain_graph=True)

    return theirs


def _forth(of: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Work]:
    return lambda torch, F, t: lambda: of(F, t)


def _conv(N: int, size: str, H: int, C: int, O: int, k: int, stride: int) -> list[OpBenchmark]:
    P, pad = H // stride, k // 2
    macs, x, z, W = N * P * P * k * k * C * O, N * H * H * C, N * P * P * O, k * k * C * O
    make = _normal(x=(N, H, H, C), W4=(k, k, C, O), dy=(N, P, P, O))
    name, how = f"convolution {k}×{k} {size}" + f" → {O}, stride {stride}" * (stride > 1), (stride, pad)

    def of(F: Any, t: Any) -> Any:
        return F.conv2d(t["x"], t["W4"], stride=stride, padding=pad)

    return [
        OpBenchmark(name, 2 * macs, x + W + z, make, lambda K, a: K.conv2d(a["x"], a["W4"], *how), _forth(of)),
        OpBenchmark(
            f"{name}, backward", 4 * macs, 2 * x + 2 * W + z, make,
            lambda K, a: K.conv2d_backward(a["dy"], a["x"], a["W4"], *how), _back(of, "x", "W4"),
        ),
    ]  # fmt: skip


def _norm(N: int, size: str, H: int, C: int) -> list[OpBenchmark]:
    z = N * H * H * C
    make = _normal(x=(N, H, H, C), s=(N, H, H, C), gamma=(C,), beta=(C,), mean=(C,), r=(C,), dy=(N, H, H, C))

    def forward(K: Any, a: Any) -> Any:
        seen = K.batch_norm_stats(a["x"], EPS)
        return K.batch_norm_apply(a["x"], seen.mean, seen.r, a["gamma"], a["beta"], a["s"], True)

    def of(F: Any, t: Any) -> Any:
        y = F.batch_norm(t["x"], None, None, t["gamma"], t["beta"], training=True)
        y += t["s"]
        return F.relu(y, inplace=True)

    def backward(K: Any, a: Any) -> Any:
        return K.batch_norm_backward(a["dy"], a["x"], a["mean"], a["r"], a["gamma"], a["s"], True)

    def apply(K: Any, a: Any) -> Any:
        return K.batch_norm_apply(a["x"], a["mean"], a["r"], a["gamma"], a["beta"], a["s"], True)

    name = f"norm + shortcut + ReLU {size}"
    return [
        OpBenchmark(name, 8 * z, 4 * z, make, forward, _forth(of)),
        OpBenchmark(f"{name}, backward", 14 * z, 8 * z, make, backward, _back(of, "x", "s", "gamma", "beta")),
        OpBenchmark(f"norm, its statistics {size}", 4 * z, z, make, lambda K, a: K.batch_norm_stats(a["x"], EPS)),
        OpBenchmark(f"norm, applied {size}", 4 * z, 3 * z, make, apply),
    ]


def _linear(N: int, I: int, O: int) -> list[OpBenchmark]:
    make, macs = _normal(x=(N, I), W=(I, O), dy=(N, O)), N * I * O

    def backward(K: Any, a: Any) -> Any:
        return K.matmul(a["dy"], a["W"].T), K.matmul_dw(a["x"], a["dy"]), K.sum_rows(a["dy"])

    def of(F: Any, t: Any) -> Any:
        return t["x"] @ t["W"]

    name = f"product N×{I} · {I}×{O}"
    return [
        OpBenchmark(
            name, 2 * macs, N * I + I * O + N * O, make, lambda K, a: K.matmul(a["x"], a["W"]), _forth(of), False
        ),
        OpBenchmark(
            f"{name}, backward", 4 * macs, 2 * N * I + 2 * I * O + N * O, make, backward, _back(of, "x", "W"), False
        ),
    ]  # fmt: skip


def _small(N: int) -> list[OpBenchmark]:
    """What is left: elementwise, pooling, the loss, dropout, crops."""
    maps, z, a = _normal(x=(N, 32, 32, 16), dy=(N, 32, 32, 16)), N * 32 * 32 * 16, N * 16 * 16 * 64
    pool = _normal(x=(N, 32, 32, 64), dy=(N, 16, 16, 64))
    logits = _normal(x=(N, 10))

    def with_labels() -> Arrays:
        return {**logits(), "labels": streams.rng(1).integers(10, size=N)}

    def with_places() -> Arrays:
        x = pool()
        return {"dy": x["dy"], "place": ops.max_pool(x["x"], 2, 2)[1]}

    def raw() -> Arrays:
        rng = streams.rng(0)
        images = rng.integers(256, size=(4 * N, 32, 32, 3)).astype(np.uint8)
        updates = [rng.integers(high, size=N) for high in (4 * N, 9, 9, 2)]
        table = rng.standard_normal((256, 3), dtype=np.float32)
        return {"images": images, "picks": np.stack(updates, 1).astype(np.int32), "table": table}

    def loss(torch: Any, F: Any, t: Any) -> Work:
        return lambda: torch.autograd.grad(F.cross_entropy(t["x"], t["labels"]), t["x"])

    name = stream_key(1, "dropout of a piece")
    return [
        OpBenchmark("ReLU", z, 2 * z, maps, lambda K, a: K.relu(a["x"]), _forth(lambda F, t: F.relu(t["x"]))),
        OpBenchmark("ReLU, backward", z, 3 * z, maps, lambda K, a: K.relu_backward(a["dy"], a["x"]),
              _back(lambda F, t: F.relu(t["x"]), "x")),
        OpBenchmark("max pool 32×32×64", 4 * a, 5.25 * a, pool, lambda K, a: K.max_pool(a["x"], 2, 2),
              _forth(lambda F, t: F.max_pool2d(t["x"], 2))),
        OpBenchmark("max pool 32×32×64, backward", 4 * a, 5.25 * a, with_places,
              lambda K, a: K.max_pool_backward(a["dy"], a["place"], (N, 32, 32, 64), 2, 2)),
        OpBenchmark("cross entropy and its error", 50 * N, 20 * N, with_labels,
              lambda K, a: K.cross_entropy(a["x"], a["labels"]), loss, False),
        OpBenchmark("dropout mask", 10 * N * 1024, N * 1024, _normal(x=(N, 1024)),
              lambda K, a: K.dropout_mask(a["x"], 0.5, name)),
        OpBenchmark("crops of raw images", 0, N * 3072 * 1.25, raw,
              lambda K, a: K.crop_flip_normalise(a["images"], a["picks"], a["table"], 4, "constant")),
    ]  # fmt: skip


def _update() -> OpBenchmark:
    """SGD with momentum and decay over all parameters of ResNet-32."""
    shapes = [tuple(a.shape) for a in nets.resnet(32, rng=streams.rng(0)).parameters().values()]
    n = sum(map(prod, shapes))
    make = _normal(**{f"{what}{i}": shape for i, shape in enumerate(shapes) for what in "wgv"})

    def ours(K: Any, a: Any) -> None:
        K.sgd([(a[f"w{i}"], a[f"g{i}"], a[f"v{i}"]) for i in range(len(shapes))], 1e-4, 0.9, 1e-4, False)

    def theirs(torch: Any, F: Any, t: Any) -> Work:
        weights = [t[f"w{i}"] for i in range(len(shapes))]
        for i, w in enumerate(weights):
            w.grad = t[f"g{i}"].detach()
        step: Work = torch.optim.SGD(weights, lr=1e-4, momentum=0.9, weight_decay=1e-4).step
        return step

    return OpBenchmark("SGD, ResNet-32's parameters", 6 * n, 5 * n, make, ours, theirs, False)


@lru_cache
def op_benchmarks(N: int) -> dict[str, OpBenchmark]:
    """{name: piece} for batches of N images."""
    found: list[OpBenchmark] = []
    for size, (H, C) in MAPS.items():
        found += _conv(N, size, H, C, C, 3, 1)
    found += _conv(N, "32×32×16", 32, 16, 32, 3, 2) + _conv(N, "32×32×16", 32, 16, 32, 1, 2)
    for size, (H, C) in MAPS.items():
        found += _norm(N, size, H, C)
    found += [*_linear(N, 64, 10), *_linear(N, 512, 512), *_small(N), _update()]
    return {p.name: p for p in found}


def op_benchmark(name: str, N: int) -> OpBenchmark:
    """The piece of this name.

    Raises: UserError for a name that is not known.
    """
    found = op_benchmarks(N)
    if name not in found:
        raise unknown("piece", name, found)
    return found[name]
