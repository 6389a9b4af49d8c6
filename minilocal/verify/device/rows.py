"""The engine on a device beside the engine on the host: the same numbers go in, what comes out is compared.

    for result in devices.run("cuda"): print(result.name, result.error, result.passed)

The host's numbers are held to automatic differentiation by the rest of this package; these rows carry that over to a
device. A device is a name, or any array library that stands for itself. A case that raises is a row that failed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from minilocal import data, losses, streams
from minilocal.array import to_host
from minilocal.device import device_namespace, to_device, use_tf32
from minilocal.errors import unknown
from minilocal.layers import PassContext
from minilocal.ops import batch_norm_stats, dropout_mask
from minilocal.streams import stream_key
from minilocal.verify import layers as by_layer
from minilocal.verify.compare import DOUBLE, SINGLE, Result, errors
from minilocal.verify.device import learners, ops

DTYPES = {"float64": DOUBLE, "float32": SINGLE}
LOOSE = 2e-2  # TF32: factors of ten bits
FAR = 1e4  # deviations from 0: where a careless variance fails
HOST = "the same on NumPy"
Trials = Iterable[tuple[str, Callable[[], dict[str, float]]]]


def row(kind: str, name: str, trials: Trials, limit: float, against: str = HOST) -> Result:
    """One row: all trials are made, and one that raises has failed. `worst` names those that failed, or the worst."""
    cases, worst, bad = 0, (0.0, ""), []
    for label, trial in trials:
        cases += 1
        try:
            error, array = max(((e, name) for name, e in trial().items()), default=(0.0, ""))
            told = f"{label}: {array}"
        except Exception as problem:  # one case must not hide the others
            error, told = math.inf, f"{label}: {type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
        worst = max(worst, (error, told))
        if not error <= limit:
            bad.append(f"{told} ({error:.1e})")
    more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
    return Result(f"device {kind}", name, against, cases, worst[0], limit, "; ".join(bad[:5]) + more or worst[1])


def kernel_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Each kernel against its plain form, in both types; and a variance far from 0."""
    for kernel, cases in ops.cases().items():
        cases = cases[:: max(1, len(cases) // 2)][:2] if quick else cases
        for dtype, limit in DTYPES.items():
            limit = 0.0 if kernel in ops.EXACT else limit
            trials = [(c.name, lambda c=c, dtype=dtype: ops.gap(c, device, dtype)) for c in cases]
            yield row("kernels", f"{kernel}, {dtype}", trials, limit, "its plain form on NumPy, float64")
    yield row("kernels", "batch_norm_stats, far", [("float32", lambda: _far(device))], 1e-3, "NumPy, float64")


def _far(device: Any) -> dict[str, float]:
    z = (FAR + streams.rng(0).standard_normal((64, 16, 16, 16))).astype("float32")
    found = batch_norm_stats(to_device(z, device), 1e-5)
    exact = z.astype("float64").var(axis=(0, 1, 2))
    return errors({"variance": to_host(found.variance)}, {"variance": exact})


def layer_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Forward and backward of every layer case, in both types."""
    for kind in dict.fromkeys(case.kind for case in by_layer.CASES):
        cases = [case for case in by_layer.CASES if case.kind == kind]
        for dtype, limit in DTYPES.items():
            trials = [
                (c.name, lambda c=c, dtype=dtype: _layer(c, device, dtype)) for c in cases[: 1 if quick else None]
            ]
            yield row("layers", f"{kind}, {dtype}", trials, limit)


def _layer(case: by_layer.Case, device: Any, dtype: str) -> dict[str, float]:
    here = by_layer.trial(case, dtype)
    there = replace(
        here,
        p={name: to_device(a, device) for name, a in here.p.items()},
        x=to_device(here.x, device),
        more={name: to_device(a, device) for name, a in here.more.items()},
        dy=to_device(here.dy, device),
    )
    found = {name: to_host(a) for name, a in by_layer.by_hand(there).items()}
    return ops.apart(found, by_layer.by_hand(here), dtype)


def loss_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Each loss, its value and its error."""
    rng, N = streams.rng(0), 12
    z, other, labels = 3 * rng.standard_normal((N, 6)), rng.random((N, 6)), rng.integers(3, size=N)
    maps = rng.standard_normal((N, 4, 3, 5))
    cases: dict[str, tuple[Any, tuple[np.ndarray, ...]]] = {
        "cross entropy": (losses.cross_entropy, (z, labels)),
        "squared error": (losses.squared_error, (z, other)),
        "binary cross entropy": (losses.binary_cross_entropy, (z, other)),
        "similarity of maps": (lambda U, y: losses.similarity(U, y, 3), (maps, labels)),
        "similarity of vectors": (lambda U, y: losses.similarity(U, y, 3), (z, labels)),
        "supervised contrast": (losses.supervised_contrast, (z, labels)),
    }
    for name, (loss, given) in cases.items():
        for dtype, limit in DTYPES.items():
            trial = lambda loss=loss, given=given, dtype=dtype: _loss(loss, given, device, dtype)  # noqa: E731
            yield row("losses", f"{name}, {dtype}", [("12 samples", trial)], limit)


def _loss(loss: Any, given: tuple[np.ndarray, ...], device: Any, dtype: str) -> dict[str, float]:
    here = [a.astype(dtype) if a.dtype.kind == "f" else a for a in given]
    found, reference = (loss(*arguments) for arguments in ([to_device(a, device) for a in here], here))
    return errors(*({"value": to_host(v), "error": to_host(e)} for v, e in (found, reference)))


def data_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Batches that are cut out where the images live, and dropout's masks: equal to the last bit."""
    digits = data.load("digits").reduced(limit_train=200, limit_test=70)
    x, y = to_device(digits.train_x, device), to_device(digits.train_y, device)
    how: dict[str, Any] = {"key": 3, "epoch": 2}

    def batches(augment: bool) -> dict[str, float]:
        theirs = data.batches(digits.train_x, digits.train_y, digits, 64, augment=augment, **how)
        ours = data.batches(x, y, digits, 64, augment=augment, **how)
        return _same(ours, theirs)

    def evaluation() -> dict[str, float]:
        there = to_device(digits.test_x, device), to_device(digits.test_y, device)
        ours, theirs = (
            data.evaluation_batches(*there, digits, 64),
            data.evaluation_batches(digits.test_x, digits.test_y, digits, 64),
        )
        return _same(ours, theirs)

    def masks() -> dict[str, float]:
        a, run = np.zeros((33, 70), "float32"), PassContext(key=9, epoch=4, step=7, unit=3)
        names = [run.rng_key("dropout x"), stream_key(2**62, "y"), replace(run, part=2).rng_key("dropout x")]
        pairs = [(dropout_mask(to_device(a, device), 0.3, n), dropout_mask(a, 0.3, n)) for n in names]
        return errors(*({f"name {i}": to_host(pair[side]) for i, pair in enumerate(pairs)} for side in (0, 1)))

    trials: Trials = [("as they are", lambda: batches(False)), ("augmented", lambda: batches(True))]
    yield row("data", "training batches", trials, 0.0)
    yield row("data", "evaluation batches", [("70 images", evaluation)], 0.0)
    yield row("data", "dropout masks", [("three names", masks)], 0.0)


def _same(ours: Any, theirs: Any) -> dict[str, float]:
    sides = [{f"{part} {step}": to_host(a) for step, *xy in side for part, a in zip("xy", xy, strict=True)}
             for side in (ours, theirs)]  # fmt: skip
    return errors(*sides)


def tf32_rows(device: Any, quick: bool) -> Iterator[Result]:
    """With TF32 allowed: a convolution, a product, and a step of each rule, to as many digits as TF32 has."""
    xp, cases = device_namespace(device), ops.cases()
    if not hasattr(getattr(xp, "_core", None), "set_compute_type"):
        return  # a library without CuPy's switch has no TF32
    use_tf32(xp, True)
    try:
        for kernel in ("conv2d", "conv2d_backward", "matmul", "matmul_dw"):
            some = cases[kernel][: 1 if quick else 6]
            made = [(c.name, lambda c=c: ops.gap(c, device, "float32")) for c in some]
            yield row("tf32", kernel, made, LOOSE, "its plain form on NumPy, float64")
        for name, trials in learners.single(device, quick):
            yield row("tf32", name, trials, LOOSE)
    finally:
        use_tf32(xp, False)


def heads(device: Any, quick: bool) -> Iterator[Result]:
    """Auxiliary networks: losses and gradients of GLL with each of them."""
    for name, dtype, trials in learners.heads(device, quick):
        yield row("heads", f"{name}, {dtype}", trials, learners.GRADIENTS[dtype])


def net_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Whole networks: logits, loss and gradients of BP."""
    for name, dtype, trials in learners.networks(device, quick):
        yield row("nets", f"{name}, {dtype}", trials, learners.GRADIENTS[dtype])


def rule_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Every rule: the weights after five steps in float64, and after one in float32."""
    for name, trials in learners.double(device, quick):
        yield row("rules", f"{name}, five steps", trials, learners.FIVE_STEPS)
    for name, trials in learners.single(device, quick):
        yield row("rules", f"{name}, float32", trials, learners.ONE_STEP)


def graph_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Steps recorded as CUDA graphs against steps run eagerly, on the device: equal to the last bit."""
    for name, trials in learners.graphs(device, quick):
        yield row("graphs", name, trials, 0.0, "eager steps on the device")


def state_rows(device: Any, quick: bool) -> Iterator[Result]:
    """A run that is saved on the device goes on on the host, and the other way round."""
    for name, trials in learners.carried(device, quick):
        yield row("state", name, trials, learners.FIVE_STEPS)


KINDS: dict[str, Callable[[Any, bool], Iterator[Result]]] = {
    "kernels": kernel_rows, "layers": layer_rows, "losses": loss_rows, "heads": heads, "nets": net_rows,
    "rules": rule_rows, "graphs": graph_rows, "state": state_rows, "data": data_rows, "tf32": tf32_rows,
}  # fmt: skip


def run(device: Any = "cuda", quick: bool = False, only: str | None = None) -> Iterator[Result]:
    """Every check, one row at a time; `quick` takes few cases of each, `only` names one kind.

    Raises: UserError for a kind or a device that is not known, and for a device that cannot be had.
    """
    if only is not None and only not in KINDS:
        raise unknown("kind of check", only, KINDS)
    device_namespace(device)
    for kind, rows in KINDS.items():
        if only in (None, kind):
            yield from rows(device, quick)


def rows(device: Any = "cuda", quick: bool = False, only: str | None = None, budget: float = math.inf) -> list[Result]:
    """The same as a list: what a worker is asked for. After `budget` seconds a last row says that more was to come."""
    found, began = [], time.perf_counter()
    for result in run(device, quick, only):
        found.append(result)
        if time.perf_counter() - began > budget:
            found.append(Result(f"device {only}", "what comes after", HOST, 0, math.inf, 0.0, "no time was left"))
            break
    return found
