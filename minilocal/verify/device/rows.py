"""The engine on a device against the engine on the host, from the same numbers: one row of the table for each check.

    for result in verify.device.run("cuda"): print(result.name, result.error, result.passed)

The host's results are verified with JAX by the rest of this package. A device is a name, or an array library. A case
that raises an exception makes a failed row, which quotes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from minilocal import data, losses, streams
from minilocal.array import to_host
from minilocal.device import device_namespace, to_device, use_tf32
from minilocal.errors import unknown
from minilocal.layers import PassContext
from minilocal.ops import batch_norm_stats, dropout_mask
from minilocal.streams import stream_key
from minilocal.verify import layers as layer_checks
from minilocal.verify.compare import DOUBLE, SINGLE, Result, errors
from minilocal.verify.device import learners, ops
from minilocal.verify.device.single import OWN, OWN_TF32, float32_errors

DTYPES = {"float64": DOUBLE, "float32": SINGLE}
TF32 = 2.0**-8  # two factors cut to ten bits change a product by 2^-9; twice that, for the chance in a sum of them
FAR = 1e4  # deviations from 0: E[z²] - E[z]² fails there
HOST = "the same on NumPy"
OWN_ERROR = "times float32's own error on NumPy"
LIMITS = {"float64": (DOUBLE, HOST), "float32": (OWN, OWN_ERROR)}  # of networks and rules
Checks = Sequence[tuple[str, Callable[[], dict[str, float]]]]


def row(kind: str, name: str, checks: Checks, limit: float, against: str = HOST) -> Result:
    """The row of these checks, all of which run. `worst` names those that failed, or the one with the largest error."""
    worst, failed = (0.0, ""), []
    for label, check in checks:
        try:
            error, array = max(((e, name) for name, e in check().items()), default=(0.0, ""))
            what = f"{label}: {array}"
        except Exception as problem:  # one case must not hide the others
            error, what = math.inf, f"{label}: {type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
        worst = max(worst, (error, what))
        if not error <= limit:
            failed.append(f"{what} ({error:.1e})")
    more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
    return Result(
        f"device {kind}", name, against, len(checks), worst[0], limit, "; ".join(failed[:5]) + more or worst[1]
    )


def kernel_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Each operation against its plain code, in both types; and a variance far from 0."""
    for kernel, cases in ops.cases().items():
        cases = cases[:: max(1, len(cases) // 2)][:2] if quick else cases
        for dtype, limit in DTYPES.items():
            limit = 0.0 if kernel in ops.EXACT else limit
            checks: Checks = [(c.name, partial(ops.relative_errors, c, device, dtype)) for c in cases]
            yield row("kernels", f"{kernel}, {dtype}", checks, limit, "its plain code on NumPy, float64")
    yield row("kernels", "batch_norm_stats, far", [("float32", lambda: _far(device))], 1e-3, "NumPy, float64")


def _far(device: Any) -> dict[str, float]:
    z = (FAR + streams.rng(0).standard_normal((64, 16, 16, 16))).astype("float32")
    ours = batch_norm_stats(to_device(z, device), 1e-5)
    exact = z.astype("float64").var(axis=(0, 1, 2))
    return errors({"variance": to_host(ours.variance)}, {"variance": exact})


def layer_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Forward and backward of every layer case, in both types."""
    for kind in dict.fromkeys(case.kind for case in layer_checks.CASES):
        cases = [case for case in layer_checks.CASES if case.kind == kind]
        for dtype, limit in DTYPES.items():
            checks = [(c.name, partial(_layer, c, device, dtype)) for c in cases[: 1 if quick else None]]
            yield row("layers", f"{kind}, {dtype}", checks, limit)


def _layer(case: layer_checks.LayerCase, device: Any, dtype: str) -> dict[str, float]:
    def run(home: Any, kind: str) -> dict[str, np.ndarray]:
        case_inputs = layer_checks.inputs(case, dtype)

        def placed(a: Any) -> Any:
            return to_device(to_host(a).astype(kind), home)

        moved = replace(
            case_inputs,
            p={name: placed(a) for name, a in case_inputs.p.items()},
            x=placed(case_inputs.x),
            more={name: placed(a) for name, a in case_inputs.more.items()},
            dy=placed(case_inputs.dy),
        )
        return {name: to_host(a) for name, a in layer_checks.by_engine(moved).items() if a is not None}

    if dtype == "float32":
        return float32_errors(run, device)
    return ops.device_errors(run(device, dtype), run("cpu", dtype))


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
    for name, (loss, arguments) in cases.items():
        for dtype, limit in DTYPES.items():
            check = partial(_loss, loss, arguments, device, dtype)
            yield row("losses", f"{name}, {dtype}", [("12 samples", check)], limit)


def _loss(loss: Any, arguments: tuple[np.ndarray, ...], device: Any, dtype: str) -> dict[str, float]:
    on_host = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arguments]
    on_device = [to_device(a, device) for a in on_host]
    return errors(*({"value": to_host(v), "error": to_host(e)} for v, e in (loss(*on_device), loss(*on_host))))


def data_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Batches that are cut out on the device, and dropout masks: equal to the last bit."""
    digits = data.load("digits").reduced(limit_train=200, limit_test=70)
    options: dict[str, Any] = {"key": 3, "epoch": 2, "batch_size": 64}

    def batches(augment: bool) -> dict[str, float]:
        theirs = digits.batches(augment=augment, **options)
        ours = digits.batches(augment=augment, device=device, **options)
        return _same(ours, theirs)

    def evaluation() -> dict[str, float]:
        on_device = to_device(digits.test_x, device), to_device(digits.test_y, device)
        ours, theirs = (
            data.evaluation_batches(*on_device, digits, 64),
            data.evaluation_batches(digits.test_x, digits.test_y, digits, 64),
        )
        return _same(ours, theirs)

    def masks() -> dict[str, float]:
        a, run = np.zeros((33, 70), "float32"), PassContext(key=9, epoch=4, step=7, unit=3)
        names = [run.rng_key("dropout x"), stream_key(2**62, "y"), replace(run, part=2).rng_key("dropout x")]
        pairs = [(dropout_mask(to_device(a, device), 0.3, n), dropout_mask(a, 0.3, n)) for n in names]
        return errors(*({f"name {i}": to_host(pair[side]) for i, pair in enumerate(pairs)} for side in (0, 1)))

    checks: Checks = [("as they are", lambda: batches(False)), ("augmented", lambda: batches(True))]
    yield row("data", "training batches", checks, 0.0)
    yield row("data", "evaluation batches", [("70 images", evaluation)], 0.0)
    yield row("data", "dropout masks", [("three names", masks)], 0.0)


def _same(ours: Any, theirs: Any) -> dict[str, float]:
    sides = [{f"{part} {step}": to_host(a) for step, xy in enumerate(side) for part, a in zip("xy", xy, strict=True)}
             for side in (ours, theirs)]  # fmt: skip
    return errors(*sides)


def tf32_rows(device: Any, quick: bool) -> Iterator[Result]:
    """With TF32 allowed: the operations that go through it, and a step of each rule, to the digits of TF32."""
    xp = device_namespace(device)
    if not hasattr(getattr(xp, "_core", None), "set_compute_type"):
        return  # a library without CuPy's switch has no TF32
    use_tf32(xp, True)
    try:
        for kernel, cases in ops.tf32_cases().items():
            some = cases[:1] if quick else cases
            checks: Checks = [(c.name, partial(ops.relative_errors, c, device, "float32")) for c in some]
            yield row("tf32", kernel, checks, TF32, "its plain code on NumPy, float64")
        for name, checks in learners.tf32(device, quick):
            yield row("tf32", name, checks, OWN_TF32, OWN_ERROR)
    finally:
        use_tf32(xp, False)


def classifier_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Losses and gradients of GLL with each auxiliary network."""
    for name, dtype, checks in learners.classifiers(device, quick):
        yield row("heads", f"{name}, {dtype}", checks, *LIMITS[dtype])


def net_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Whole networks: logits, loss and gradients of BP."""
    for name, dtype, checks in learners.networks(device, quick):
        yield row("nets", f"{name}, {dtype}", checks, *LIMITS[dtype])


def rule_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Every rule: the weights after five steps in float64, and a step in float32."""
    for name, checks in learners.double(device, quick):
        yield row("rules", f"{name}, five steps", checks, learners.FIVE_STEPS)
    for name, checks in learners.single(device, quick):
        yield row("rules", f"{name}, float32", checks, *LIMITS["float32"])


def graph_rows(device: Any, quick: bool) -> Iterator[Result]:
    """Steps recorded as CUDA graphs against steps run eagerly, on the device: equal to the last bit."""
    for name, subjects in learners.subjects(quick).items():
        if recordable := [subject for subject in subjects if subject.single_step][:3]:
            checks = [(subject.name, partial(learners.recorded, subject, device)) for subject in recordable]
            result = row("graphs", name, checks, 0.0, "eager steps on the device")
            yield replace(result, note=learners.cuda_graph_status(recordable[0], device)) if result.passed else result


def state_rows(device: Any, quick: bool) -> Iterator[Result]:
    """A Learner saved on the device and restored on the host, and the other way round."""
    for name, checks in learners.restored(device, quick):
        yield row("state", name, checks, learners.FIVE_STEPS)


KINDS: dict[str, Callable[[Any, bool], Iterator[Result]]] = {
    "kernels": kernel_rows, "layers": layer_rows, "losses": loss_rows, "heads": classifier_rows, "nets": net_rows,
    "rules": rule_rows, "graphs": graph_rows, "state": state_rows, "data": data_rows, "tf32": tf32_rows,
}  # fmt: skip


def run(device: Any = "cuda", quick: bool = False, only: str | None = None) -> Iterator[Result]:
    """Every check, one row of the table at a time; `quick` takes few cases of each, `only` names one kind.

    Raises: UserError for an unknown kind or device, and for a device that cannot be used.
    """
    if only is not None and only not in KINDS:
        raise unknown("kind of check", only, KINDS)
    device_namespace(device)
    for kind, rows in KINDS.items():
        if only in (None, kind):
            yield from rows(device, quick)
