"""Every operation on a device against its plain code on the host in float64, over a table of shapes.

The arguments of a case are host arrays in float64, rounded to the type of the device's run for both sides. Compared is
what the operation returns, or what it changes in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minilocal import ops, streams
from minilocal.array import to_host
from minilocal.device import device_namespace
from minilocal.kernels.cuda.conv import WIDE
from minilocal.ops.batch_norm import RunningUpdate, Statistics
from minilocal.ops.conv import conv_out_size
from minilocal.ops.dispatch import plain
from minilocal.streams import stream_key
from minilocal.verify.compare import errors

ROUND_OFF = 1e-10  # float64's 1e-16, in a sum of a thousand terms, magnified a thousand times by a batch norm
EXACT = ("crop_flip_normalise", "dropout_mask")  # equal to the last bit


Arguments = Callable[[], tuple[Any, ...]]
Shape = tuple[int, ...]


class OpCase(NamedTuple):
    """An operation, the name of the case, its arguments, and which of them it changes if it works in place."""

    op: str
    name: str
    arguments: Arguments
    changed: Callable[[Any], Any] | None = None


def relative_errors(case: OpCase, device: Any, dtype: str) -> dict[str, float]:
    """The relative error of every array that the operation returns or changes."""
    xp = device_namespace(device)
    rounded = _each(case.arguments(), lambda a: a.astype(dtype) if a.dtype == np.float64 else a)
    on_host = _each(rounded, lambda a: a.astype("float64") if a.dtype == dtype else a.copy(), transpose=True)
    on_device = _each(rounded, xp.asarray, transpose=True)
    operation = getattr(ops, case.op)
    ours, theirs = operation(*on_device), plain(operation)(*on_host)
    if case.changed:
        ours, theirs = case.changed(on_device), case.changed(on_host)
    if case.op == "batch_norm_backward" and not on_host[-1]:
        ours, theirs = ours[:3], theirs[:3]  # the error in front of the ReLU, not asked for, is optional
    return device_errors(dict(_arrays(ours)), dict(_arrays(theirs)))


def _each(value: Any, work: Callable[[Any], Any], transpose: bool = False) -> Any:
    """The arguments with `work` applied to each host array; `transpose` then makes views of transposed matrices."""
    if isinstance(value, np.ndarray):
        return work(value)
    if isinstance(value, Transposed):
        array = work(value.array)
        return array.T if transpose else Transposed(array)
    if type(value) in (list, tuple):
        return type(value)(_each(v, work, transpose) for v in value)
    if isinstance(value, Statistics | RunningUpdate):
        return type(value)._make(_each(v, work) for v in value)
    return value


def device_errors(ours: Mapping[str, Any], exact: Mapping[str, Any]) -> dict[str, float]:
    """The relative error of every array, as `errors` defines it; `exact` is computed in float64.

    The gradient of a bias in front of a batch norm is 0, and no two programs agree on the digits of such a zero. So an
    array that is 0 but for float64's round-off is measured against the largest array of its case.
    """
    relative, sizes = errors(ours, exact), {name: float(np.abs(a).max(initial=0)) for name, a in exact.items()}
    largest = max(sizes.values(), default=0.0)
    for name, size in sizes.items():
        if size < ROUND_OFF * largest and np.isfinite(relative[name]):
            relative[name] = float(np.abs(ours[name] - exact[name]).max(initial=0)) / largest
    return relative


class Transposed(NamedTuple):
    """An argument that is the transpose of this matrix, a view."""

    array: np.ndarray


def _arrays(value: Any, name: str = "result") -> Iterator[tuple[str, np.ndarray]]:
    """(where, array) of every array inside."""
    if isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _arrays(part, f"{name}.{number}")
    elif hasattr(value, "dtype"):
        yield name, to_host(value)


def _draw(*shapes: Shape) -> tuple[np.ndarray, ...]:
    rng = streams.rng(0)
    return tuple(rng.standard_normal(shape) for shape in shapes)


CONVOLUTIONS = [  # N, H, W, C, O, k, stride, pad
    (2, 32, 32, 3, 16, 3, 1, 1), (5, 32, 32, 16, 16, 3, 1, 1), (5, 16, 16, 32, 32, 3, 1, 1),
    (5, 8, 8, 64, 64, 3, 1, 1), (3, 32, 32, 16, 32, 3, 2, 1), (3, 16, 16, 32, 64, 1, 2, 0), (2, 8, 8, 64, 128, 3, 1, 1),
    (3, 7, 5, 4, 2, 1, 1, 0), (2, 9, 8, 2, 3, 5, 2, 2), (2, 5, 4, 2, 3, 2, 1, 2), (1, 10, 9, 20, 7, 3, 1, 1),
    (2, 6, 8, 2, 2, 2, 3, 0), (2, 3, 3, 5, 3, 3, 1, 0), (130, 4, 4, 8, 8, 3, 1, 1), (2, 8, 8, 2, 3, 4, 2, 1),
    (2, 32, 32, 12, 128, 5, 1, 2), (1, 6, 6, 3, 40, 3, 2, 3),
]  # fmt: skip
PRODUCTS = [(5, 7, 3), (1, 4, 6), (2100, 40, 32), (33, 300, 250), (128, 64, 10), (100, 128, 128), (3, 1, 1)]
MAPS: list[Shape] = [
    (7, 5), (3, 3, 4, 5), (1, 3, 3, 2), (18, 5, 5, 1), (3, 2, 2, 600), (5, 32, 32, 16), (9, 8, 8, 64), (2, 48, 48, 3)
]  # fmt: skip
POOLS = [(2, 6, 4, 3, 2, 2), (2, 7, 8, 2, 3, 2), (1, 5, 4, 2, 3, 1), (2, 8, 6, 2, 2, 3), (3, 32, 32, 64, 2, 2)]
LOGITS = [(5, 4), (1, 3), (128, 10), (33, 100), (2, 1000)]
CROPS = [(40, 32, 4, "constant", 3), (9, 16, 2, "reflect", 1), (20, 32, 0, "constant", 3), (5, 96, 12, "reflect", 3)]
PARAMETERS: list[Shape] = [(3, 3, 5, 7), (7,), (1,), (300, 41), (2, 2)]
UPDATES = [(0.9, 1e-3, False), (0.9, 1e-3, True), (0.9, 0.0, False), (0.0, 1e-3, False), (0.0, 0.0, False)]


def _random(*shapes: Shape, then: tuple[Any, ...] = ()) -> Arguments:
    """Random arrays of these shapes, followed by the arguments `then`."""
    return lambda: (*_draw(*shapes), *then)


def _convolutions() -> Iterator[OpCase]:
    for N, H, W, C, O, k, s, pad in CONVOLUTIONS:
        name, x, w = f"{N}×{H}×{W}×{C} → {O}, {k}×{k}, stride {s}, pad {pad}", (N, H, W, C), (k, k, C, O)
        z = (N, conv_out_size(H, k, s, pad), conv_out_size(W, k, s, pad), O)
        yield OpCase("conv2d", name, _random(x, w, then=(s, pad)))
        yield OpCase("conv2d_stats", name, _random(x, w, then=(s, pad, 1e-5)))
        for need in ("both", "input", "weights"):
            yield OpCase("conv2d_backward", f"{name}, {need}", _random(z, x, w, then=(s, pad, need)))


def _products() -> Iterator[OpCase]:
    for rows, I, O in PRODUCTS:
        x, w, y, name = (rows, I), (I, O), (rows, O), f"{rows}×{I}×{O}"
        yield OpCase("matmul", name, _random(x, w))
        yield OpCase("matmul", f"{name}, by a transpose", _random(y, then=(Transposed(_draw(w)[0]),)))
        yield OpCase("matmul_dw", name, _random(x, y))
        yield OpCase("sum_rows", name, _random(y))
        yield OpCase("matmul_axis1", name, _random(w, (3, O, 5)))


def _norms() -> Iterator[OpCase]:
    for shape in MAPS:
        name = "×".join(map(str, shape))
        yield OpCase("batch_norm_stats", name, _random(shape, then=(1e-5,)))
        yield OpCase(
            "batch_norm_update_running",
            name,
            partial(_running_updates, shape[-1:]),
            changed=lambda arguments: [update[:2] for update in arguments[0]],
        )
        for one in (False, True):
            for relu in (False, True):
                more = ", ReLU" * relu
                yield OpCase("batch_norm_apply", f"{name}{', shortcut' * one}{more}", partial(_apply, shape, one, relu))
                yield OpCase(
                    "batch_norm_backward", f"{name}{', both' * one}{more}", partial(_backward, shape, one, relu)
                )


def _running_updates(c: Shape) -> tuple[list[RunningUpdate]]:
    """Of two norms, the second with one channel more, and a batch of one row."""
    updates = []
    for channels, rows, momentum in ((c, 50, 0.1), ((c[0] + 1,), 1, 0.3)):
        running_mean, running_var, mean, variance, r = (np.abs(a) for a in _draw(*[channels] * 5))
        updates.append(RunningUpdate(running_mean, running_var, Statistics(mean, variance, r, rows), momentum))
    return (updates,)


def _apply(shape: Shape, add: bool, relu: bool) -> tuple[Any, ...]:
    c = shape[-1:]
    z, mean, r, gamma, beta, s = _draw(shape, c, c, c, c, shape)
    return z, mean, np.abs(r), gamma, beta, s if add else None, relu


def _backward(shape: Shape, both: bool, relu: bool) -> tuple[Any, ...]:
    c = shape[-1:]
    dy, z, mean, r, gamma, a = _draw(shape, shape, c, c, c, shape)
    return dy, z, mean, np.abs(r), gamma, np.maximum(a, 0) if relu else None, both


def _elementwise() -> Iterator[OpCase]:
    for shape in MAPS:
        name = "×".join(map(str, shape))
        yield OpCase("relu", name, _random(shape))
        yield OpCase("relu_backward", name, _random(shape, shape))
        for rate in (0.2, 0.5):
            rate_and_key = rate, stream_key(5, "dropout of a test", 2, 3, 4)
            yield OpCase("dropout_mask", f"{name}, {rate}", _random(shape, then=rate_and_key))
            yield OpCase(
                "dropout_mask", f"{name}, {rate}, a clock", _random(shape, then=(*rate_and_key, np.array([2, 3])))
            )
    for N, H, W, C, k, stride in POOLS:
        for digits in (9, 0):  # with 0 most windows hold equals
            name, pool = (
                f"{N}×{H}×{W}×{C}, {k}×{k}, stride {stride}, {digits} digits",
                ((N, H, W, C), k, stride, digits),
            )
            yield OpCase("max_pool", name, partial(_pool, *pool))
            yield OpCase("max_pool_backward", name, partial(_pool_backward, *pool))
    for N, H, W, C in [shape for shape in MAPS if len(shape) == 4]:
        name, shape = f"{N}×{H}×{W}×{C}", (N, H, W, C)
        yield OpCase("global_average_pool", name, _random(shape))
        yield OpCase("global_average_pool_backward", name, _random((N, 1, 1, C), then=(shape,)))


def _pool(shape: Shape, k: int, stride: int, digits: int) -> tuple[Any, ...]:
    return _draw(shape)[0].round(digits), k, stride


def _pool_backward(shape: Shape, k: int, stride: int, digits: int) -> tuple[Any, ...]:
    y, argmax = plain(ops.max_pool)(*_pool(shape, k, stride, digits))
    return (*_draw(y.shape), argmax, shape, k, stride)


def _losses_updates_images() -> Iterator[OpCase]:
    for shape in LOGITS:
        for scale in (1.0, 30.0):  # the second saturates the softmax
            yield OpCase("cross_entropy", f"{shape}, scale {scale}", partial(_logits, shape, scale))
    for momentum, decay, nesterov in UPDATES:
        kind = f"momentum {momentum}, decay {decay}" + ", Nesterov" * nesterov
        for rate, where in ((0.1, ""), (np.array([0.1]), ", rate on the device")):
            arguments = partial(_updates, rate, momentum, decay, nesterov)
            yield OpCase("sgd", kind + where, arguments, changed=lambda a: [(w, v) for w, _, v in a[0]])
    for rate, where in ((0.1, ""), (np.array([0.1]), ", rate on the device")):
        for decay in (0.0, 1e-3):
            arguments = partial(_adam, rate, decay)
            yield OpCase(
                "adam", f"decay {decay}{where}", arguments, changed=lambda a: [(w, m, s) for w, _, m, s, _ in a[0]]
            )
    for a, b in ((0.5, 0.5), (0.25, 0.75), (1.0, 0.0)):
        yield OpCase("mix", f"{a}, {b}", partial(_pairs, a, b), changed=lambda a: [g for g, _ in a[0]])
    for N, side, padding, mode, C in CROPS:
        yield OpCase(
            "crop_flip_normalise",
            f"{N} of {side}×{side}×{C}, padding {padding}, {mode}",
            partial(_crops, N, side, padding, mode, C),
        )


def _logits(shape: Shape, scale: float) -> tuple[Any, ...]:
    return scale * _draw(shape)[0], streams.rng(1).integers(shape[1], size=shape[0])


def _updates(rate: Any, momentum: float, decay: float, nesterov: bool) -> tuple[Any, ...]:
    updates = [(w, g, v if momentum else None) for w, g, v in (_draw(shape, shape, shape) for shape in PARAMETERS)]
    return updates, rate, momentum, decay, nesterov


def _adam(rate: Any, decay: float) -> tuple[Any, ...]:
    several = enumerate((_draw(shape, shape, shape, shape) for shape in PARAMETERS), 1)
    return [(w, g, m, np.abs(s), t) for t, (w, g, m, s) in several], rate, 0.9, 0.999, 1e-8, decay


def _pairs(a: float, b: float) -> tuple[Any, ...]:
    return [_draw(shape, shape) for shape in PARAMETERS], a, b


def _crops(N: int, side: int, padding: int, mode: str, C: int) -> tuple[Any, ...]:
    rng = streams.rng(0)
    images = rng.integers(256, size=(2 * N, side, side, C)).astype(np.uint8)
    picks = np.stack([rng.integers(most, size=N) for most in (2 * N, 2 * padding + 1, 2 * padding + 1, 2)], 1)
    return images, picks.astype(np.int32), rng.standard_normal((256, C)), padding, mode


def cases() -> dict[str, list[OpCase]]:
    """{operation: its cases}."""
    by_op: dict[str, list[OpCase]] = {}
    for table in (_convolutions, _products, _norms, _elementwise, _losses_updates_images):
        for case in table():
            by_op.setdefault(case.op, []).append(case)
    return by_op


def tf32_cases() -> dict[str, list[OpCase]]:
    """{operation: its cases with more than 64 numbers out}, which go through the library's product if that is TF32."""
    by_op, wide = cases(), {"conv2d": 1, "conv2d_stats": 1, "conv2d_backward": 2, "matmul": 1}  # where W stands
    return {op: [case for case in by_op[op] if _out(case.arguments()[at]) > WIDE] for op, at in wide.items()}


def _out(W: Any) -> int:
    return int(W.array.shape[0] if isinstance(W, Transposed) else W.shape[-1])
