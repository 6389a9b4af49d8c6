"""The operations of a training step, each with its least work and traffic, and as PyTorch writes it.

Sizes are ResNet-32's: maps of 32×32×16, 16×16×32 and 8×8×64. `flops` counts a multiplication and an addition as two.
`elements` counts, in units of 4 bytes, what the best kernels must read and write: every number once a pass. Batch norm
has two passes, since its sums need the whole batch before any of it can be normalised, and no GPU's cache holds a map
until then. The others have one. So no implementation moves less, and the share of the peak rate is at most 100 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle
from math import prod
from typing import Any

import numpy as np

from minilocal import nets, ops, streams
from minilocal.array import Array, to_host
from minilocal.bench.timing import Work
from minilocal.errors import unknown
from minilocal.streams import stream_key

MAPS = {"32×32×16": (32, 16), "16×16×32": (16, 32), "8×8×64": (8, 64)}
EPS = 1e-5
CACHE = 256e6  # bytes that no GPU's cache holds

Arrays = dict[str, np.ndarray]
TorchOp = Callable[[Any, Any, Any], Work]  # (torch, torch.nn.functional, tensors by name)
TorchFunction = Callable[[Any, Any], Any]  # (torch.nn.functional, tensors by name)


@dataclass(frozen=True)
class OpBenchmark:
    """One operation: its operands and cost, and its form in minilocal and in PyTorch.

    name        as it stands in tables
    flops       what it must compute
    elements    float32 numbers that it must read and write
    operands    makes its arrays, by name, on the host
    minilocal   (arrays) → its result
    torch       (torch, torch.nn.functional, tensors) → PyTorch's work; None where PyTorch has no such function.
                Tensors require gradients. Images are channels first, and a convolution's weights W4 are (O, I, k, k)
    images      whether the operands are images, so that PyTorch's memory layout matters
    """

    name: str
    flops: float
    elements: float
    operands: Callable[[], Arrays]
    minilocal: Callable[[Any], Any]
    torch: TorchOp | None = None
    images: bool = True

    def bind(self, xp: Any, dtype: str = "float32") -> Work:
        """The work by minilocal, on operands of the library xp.

        On a device several sets of operands take turns, so that none stays in the cache.
        """
        operands = self.operands()
        sets = cycle([_to_library(operands, xp, dtype) for _ in range(1 if xp is np else _copies(operands))])
        return lambda: self.minilocal(next(sets))

    def bind_torch(self, torch: Any, device: str, layout: str, dtype: str = "float32") -> Work:
        """The same work by PyTorch.

        Raises: RuntimeError where PyTorch has no such function.
        """
        if self.torch is None:
            raise RuntimeError(f"PyTorch has no single function for {self.name}")
        memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        operands = self.operands()
        if "W4" in operands:  # (k, k, I, O), so that channels first it becomes (O, I, k, k)
            operands["W4"] = operands["W4"].transpose(3, 0, 1, 2)

        def tensor(a: np.ndarray) -> Any:
            t = torch.from_numpy(np.ascontiguousarray(a.transpose(0, 3, 1, 2)) if a.ndim == 4 else a)
            t = t.to(device, getattr(torch, dtype)) if a.dtype.kind == "f" else t.to(device)
            t = t.clone(memory_format=memory_format) if a.ndim == 4 else t.clone()
            return t.requires_grad_(a.dtype.kind == "f")

        sets = [{n: tensor(a) for n, a in operands.items()} for _ in range(1 if device == "cpu" else _copies(operands))]
        works = cycle([self.torch(torch, torch.nn.functional, tensors) for tensors in sets])
        return lambda: next(works)()


def _copies(operands: Arrays) -> int:
    """How many sets of operands together outgrow a GPU's cache, from 1 to 8."""
    return int(max(1, min(8, CACHE // max(1, sum(a.nbytes for a in operands.values())))))


def _to_library(operands: Arrays, xp: Any, dtype: str) -> dict[str, Array]:
    return {n: xp.asarray(a.astype(dtype) if a.dtype.kind == "f" else a) for n, a in operands.items()}


@lru_cache
def op_benchmarks(N: int) -> dict[str, OpBenchmark]:
    """{name: operation} for batches of N images."""
    benchmarks: list[OpBenchmark] = []
    for size, (H, C) in MAPS.items():
        benchmarks += _conv(N, size, H, C, C, 3, 1)
    benchmarks += _conv(N, "32×32×16", 32, 16, 32, 3, 2) + _conv(N, "32×32×16", 32, 16, 32, 1, 2)
    for size, (H, C) in MAPS.items():
        benchmarks += _batch_norm(N, size, H, C)
    benchmarks += [*_linear(N, 64, 10), *_linear(N, 512, 512), *_relu_and_pool(N), *_loss_and_data(N), _sgd()]
    return {benchmark.name: benchmark for benchmark in benchmarks}


def op_benchmark(name: str, N: int) -> OpBenchmark:
    """The operation of this name, for batches of N images.

    Raises: UserError for a name that is not known.
    """
    benchmarks = op_benchmarks(N)
    if name not in benchmarks:
        raise unknown("operation", name, benchmarks)
    return benchmarks[name]


def _normal(**shapes: tuple[int, ...]) -> Callable[[], Arrays]:
    """Makes random float32 arrays of these shapes, the same at each call."""

    def operands() -> Arrays:
        rng = streams.rng(0)
        return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}

    return operands


def _torch_forward(function: TorchFunction) -> TorchOp:
    return lambda torch, F, t: lambda: function(F, t)


def _torch_backward(function: TorchFunction, *names: str) -> TorchOp:
    """PyTorch's backward of the function, from the error `dy` at its output to the tensors of these names."""

    def work(torch: Any, F: Any, t: Any) -> Work:
        y, dy = function(F, t), t["dy"].detach()
        return lambda: torch.autograd.grad(y, [t[n] for n in names], dy, retain_graph=True)

    return work


def _conv(N: int, size: str, H: int, C: int, O: int, k: int, stride: int) -> list[OpBenchmark]:
    P, pad = H // stride, k // 2
    macs, x, z, W = N * P * P * k * k * C * O, N * H * H * C, N * P * P * O, k * k * C * O
    seen = x if k >= stride else x * (k / stride) ** 2  # what windows show of x: 1×1, stride 2 skips 3 pixels of 4
    operands = _normal(x=(N, H, H, C), W4=(k, k, C, O), dy=(N, P, P, O))
    name = f"convolution {k}×{k} {size}" + f" → {O}, stride {stride}" * (stride > 1)

    def forward(a: Any) -> Any:
        return ops.conv2d(a["x"], a["W4"], stride, pad)

    def backward(a: Any) -> Any:
        return ops.conv2d_backward(a["dy"], a["x"], a["W4"], stride, pad)

    def torch(F: Any, t: Any) -> Any:
        return F.conv2d(t["x"], t["W4"], stride=stride, padding=pad)

    return [
        # reads x, W; writes z
        OpBenchmark(name, 2 * macs, seen + W + z, operands, forward, _torch_forward(torch)),
        # reads dz, and W for dx, and x for dW; writes all of dx, and dW
        OpBenchmark(
            f"{name}, backward", 4 * macs, z + W + seen + x + W, operands, backward, _torch_backward(torch, "x", "W4")
        ),
    ]


def _batch_norm(N: int, size: str, H: int, C: int) -> list[OpBenchmark]:
    z = N * H * H * C
    operands = _normal(x=(N, H, H, C), s=(N, H, H, C), gamma=(C,), beta=(C,), mean=(C,), r=(C,), dy=(N, H, H, C))

    def stats(a: Any) -> Any:
        return ops.batch_norm_stats(a["x"], EPS)

    def apply(a: Any) -> Any:
        return ops.batch_norm_apply(a["x"], a["mean"], a["r"], a["gamma"], a["beta"], a["s"], True)

    def forward(a: Any) -> Any:
        seen = stats(a)
        return apply({**a, "mean": seen.mean, "r": seen.r})

    def backward(a: Any) -> Any:
        return ops.batch_norm_backward(a["dy"], a["x"], a["mean"], a["r"], a["gamma"], a["s"], True)

    def torch(F: Any, t: Any) -> Any:
        y = F.batch_norm(t["x"], None, None, t["gamma"], t["beta"], training=True)
        y += t["s"]
        return F.relu(y, inplace=True)

    name, torch_backward = f"norm + shortcut + ReLU {size}", _torch_backward(torch, "x", "s", "gamma", "beta")
    return [
        # statistics read x; then x and the shortcut s are read, and y is written
        OpBenchmark(name, 8 * z, 4 * z, operands, forward, _torch_forward(torch)),
        # sums read dy, x, y, and write g = dy where y > 0, the shortcut's error; then g and x are read, dx is written;
        # with g written in the second pass that one would read dy, x, y: 8
        OpBenchmark(f"{name}, backward", 14 * z, 7 * z, operands, backward, torch_backward),
        # reads x
        OpBenchmark(f"norm, its statistics {size}", 4 * z, z, operands, stats),
        # reads x, s; writes y
        OpBenchmark(f"norm, applied {size}", 4 * z, 3 * z, operands, apply),
    ]


def _linear(N: int, I: int, O: int) -> list[OpBenchmark]:
    operands, macs = _normal(x=(N, I), W=(I, O), dy=(N, O)), N * I * O

    def forward(a: Any) -> Any:
        return ops.matmul(a["x"], a["W"])

    def backward(a: Any) -> Any:
        return ops.matmul(a["dy"], a["W"].T), ops.matmul_dw(a["x"], a["dy"]), ops.sum_rows(a["dy"])

    def torch(F: Any, t: Any) -> Any:
        return t["x"] @ t["W"]

    name, x, W, z = f"product N×{I} · {I}×{O}", N * I, I * O, N * O
    torch_backward = _torch_backward(torch, "x", "W")
    return [
        # reads x, W; writes z
        OpBenchmark(name, 2 * macs, x + W + z, operands, forward, _torch_forward(torch), images=False),
        # reads dz, and W for dx, and x for dW; writes dx, dW, db
        OpBenchmark(
            f"{name}, backward", 4 * macs, z + W + x + x + W + O, operands, backward, torch_backward, images=False
        ),
    ]


def _relu_and_pool(N: int) -> list[OpBenchmark]:
    z, windows = N * 32 * 32 * 16, N * 16 * 16 * 64
    maps, pool = _normal(x=(N, 32, 32, 16), dy=(N, 32, 32, 16)), _normal(x=(N, 32, 32, 64), dy=(N, 16, 16, 64))

    def with_argmax() -> Arrays:
        a = pool()
        return {"dy": a["dy"], "argmax": to_host(ops.max_pool(a["x"], 2, 2)[1])}

    def relu_backward(a: Any) -> Any:
        return ops.relu_backward(a["dy"], a["x"])

    def max_pool_backward(a: Any) -> Any:
        return ops.max_pool_backward(a["dy"], a["argmax"], (N, 32, 32, 64), 2, 2)

    def torch_relu(F: Any, t: Any) -> Any:
        return F.relu(t["x"])

    torch_pool = _torch_forward(lambda F, t: F.max_pool2d(t["x"], 2))
    return [
        # reads x; writes y
        OpBenchmark("ReLU", z, 2 * z, maps, lambda a: ops.relu(a["x"]), _torch_forward(torch_relu)),
        # reads dy, x; writes dx
        OpBenchmark("ReLU, backward", z, 3 * z, maps, relu_backward, _torch_backward(torch_relu, "x")),
        # the four numbers of each window, their largest, and a byte that says which; backward the same the other way
        OpBenchmark(
            "max pool 32×32×64", 4 * windows, 5.25 * windows, pool, lambda a: ops.max_pool(a["x"], 2, 2), torch_pool
        ),
        OpBenchmark("max pool 32×32×64, backward", 4 * windows, 5.25 * windows, with_argmax, max_pool_backward),
    ]


def _loss_and_data(N: int) -> list[OpBenchmark]:
    """Cross entropy, dropout, and the crops of a batch of raw images."""
    logits, mask_key = _normal(x=(N, 10)), stream_key(1, "dropout of a piece")

    def with_labels() -> Arrays:
        return {**logits(), "labels": streams.rng(1).integers(10, size=N)}

    def raw_images() -> Arrays:
        rng = streams.rng(0)
        images = rng.integers(256, size=(4 * N, 32, 32, 3)).astype(np.uint8)
        crops = [rng.integers(high, size=N) for high in (4 * N, 9, 9, 2)]  # image, top, left, mirrored
        levels = rng.standard_normal((256, 3), dtype=np.float32)
        return {"images": images, "crops": np.stack(crops, 1).astype(np.int32), "levels": levels}

    def crop(a: Any) -> Any:
        return ops.crop_flip_normalise(a["images"], a["crops"], a["levels"], 4, "constant")

    def cross_entropy(a: Any) -> Any:
        return ops.cross_entropy(a["x"], a["labels"])

    def torch(torch: Any, F: Any, t: Any) -> Work:
        return lambda: torch.autograd.grad(F.cross_entropy(t["x"], t["labels"]), t["x"])

    def dropout(a: Any) -> Any:
        return ops.dropout_mask(a["x"], 0.5, mask_key)

    return [
        # reads 10 logits and a label of 8 bytes; writes 10 errors
        OpBenchmark("cross entropy and its error", 50 * N, 22 * N, with_labels, cross_entropy, torch, images=False),
        # writes the mask; x gives its shape alone
        OpBenchmark("dropout mask", 10 * N * 1024, N * 1024, _normal(x=(N, 1024)), dropout),
        # reads bytes; writes numbers
        OpBenchmark("crops of raw images", 0, N * 3072 * 1.25, raw_images, crop),
    ]


def _sgd() -> OpBenchmark:
    """SGD with momentum and weight decay, over all parameters of ResNet-32."""
    shapes = [tuple(a.shape) for a in nets.resnet(32, rng=streams.rng(0)).parameters().values()]
    n, numbers = sum(map(prod, shapes)), range(len(shapes))
    operands = _normal(**{f"{array}{i}": shape for i, shape in enumerate(shapes) for array in "wgv"})

    def step(a: Any) -> None:
        ops.sgd([(a[f"w{i}"], a[f"g{i}"], a[f"v{i}"]) for i in numbers], 1e-4, 0.9, 1e-4, False)

    def torch_step(torch: Any, F: Any, t: Any) -> Work:
        weights = [t[f"w{i}"] for i in numbers]
        for i, w in enumerate(weights):
            w.grad = t[f"g{i}"].detach()
        step: Work = torch.optim.SGD(weights, lr=1e-4, momentum=0.9, weight_decay=1e-4).step
        return step

    # reads w, g, v; writes w, v
    return OpBenchmark("SGD, ResNet-32's parameters", 6 * n, 5 * n, operands, step, torch_step, images=False)
