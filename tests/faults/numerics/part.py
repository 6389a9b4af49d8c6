"""Numbers: extreme images and rates, Winograd's round-off beside im2col's, and where a NaN goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from unittest.mock import patch

import numpy as np

from minilocal import inputs, learner, losses
from minilocal.kernels.cpu import winograd
from minilocal.layers import Initializer, ReLU
from minilocal.layers.base import Arrays, PassContext
from minilocal.ops.kinds import using
from minilocal.rules import NAMES
from minilocal.train import fit
from tests.faults.measured import Broken, Figure, Measured
from tests.faults.numerics import convolutions, layer_range, nan, rates, steps, tables
from tests.faults.numerics.extremes import NETS, Images, images
from tests.helpers.host import host

TITLE = "Numbers"
ABOUT = """
Every layer is given extreme inputs, and every rule extreme images, on networks with batch norm, without, with it in
front and with dropout: 2^-130 to 2^40 times normal ones, 1e15 (the door's bound), constant ones, equal ones, one
alone, one class. Everything stays finite, or a loss says that it does not. `numpy.seterr(all="raise")` changes no
bit, or raises where a number overflows. Rates of 1 to 10^6 end `fit` with weights that are finite, or in a line. Each
number of a float32 convolution has an error below a bound that is derived for its form. A NaN goes where the plain
code puts it, or where the table says.
"""
MINUTES = 4.0


class Run:
    """Figures and failures, as they come."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self.failures: list[str] = []

    def count(self, what: str, collected: Iterator[tuple[str, str]], remark: str = "") -> None:
        """Count the cases, each (its name, what went wrong or "")."""
        cases = list(collected)
        wrong = [f"{what}: {name}: {fault}" for name, fault in cases if fault]
        self.figures.append(Figure(what, len(cases), len(cases) - len(wrong), remark))
        self.failures += wrong


def run(minutes: float) -> Measured:
    """All of it; the cases have an end."""
    collected = Run()
    kinds = ("numpy", "numba") if find_spec("numba") else ("numpy",)
    for kind in kinds:
        with using(kind):
            collected.count(f"layers alone, {kind} kernels", layers())
            collected.count(f"extreme images, {kind} kernels", extreme_images())
            collected.count(f'numpy.seterr(all="raise"), {kind} kernels', seterr())
            collected.count(f"rates of 1 to 10^6 in `fit`, {kind} kernels", high_rates())
    measured = tables.measure(who=("im2col", *kinds))
    collected.count(
        "errors below their bound", below_bound(measured), "each result of each convolution, form and kind of input"
    )
    collected.count("one NaN or infinity", one_number(kinds))
    collected.count("one NaN or infinity in cross entropy", of_cross_entropy())
    text = (tables.winograd(measured) if len(kinds) == 2 else "") + tables.nan()
    return Measured(collected.figures, broken(), collected.failures, text)


def layers() -> Iterator[tuple[str, str]]:
    for case, factor in layer_range.cases():
        yield f"{case} times {factor:g}", layer_range.wrong(case, factor)


def batches(nets: tuple[str, ...], rules: tuple[str, ...]) -> Iterator[tuple[str, str, str, Images]]:
    for net, rule in steps.combinations(nets, rules):
        for name, batch in steps.cases(net).items():
            yield net, rule, name, batch


def extreme_images(nets: tuple[str, ...] = tuple(NETS), rules: tuple[str, ...] = NAMES) -> Iterator[tuple[str, str]]:
    for net, rule, name, batch in batches(nets, rules):
        yield f"{net} by {rule}, {name}", steps.silent(net, rule, batch)


def seterr(nets: tuple[str, ...] = tuple(NETS), rules: tuple[str, ...] = NAMES) -> Iterator[tuple[str, str]]:
    for net, rule, name, batch in batches(nets, rules):
        yield f"{net} by {rule}, {name}", steps.changed_by_seterr(net, rule, batch)


def high_rates(
    nets: tuple[str, ...] = ("resnet8", "mlp", "wrn10-1"), rules: tuple[str, ...] = NAMES
) -> Iterator[tuple[str, str]]:
    for net, rule in steps.combinations(nets, rules):
        for optimiser in rates.OPTIMISERS:
            for lr in rates.RATES:
                ended = rates.fitted(net, rule, optimiser, lr)
                yield f"{net} by {rule}, {optimiser}, lr {lr:g}", "" if ended in ("finite", "stopped") else ended


def below_bound(measured: tables.Errors) -> Iterator[tuple[str, str]]:
    for (shape, kind, who), results in measured.items():
        for result, error in results.items():
            over = "" if error.of_bound <= 1 else f"{error.of_bound:.3g} of its bound"
            yield f"{shape}, {kind}, {who}: {result}", over


def one_number(kinds: tuple[str, ...], names: tuple[str, ...] = tuple(nan.LAYERS)) -> Iterator[tuple[str, str]]:
    for name in names:
        layer = nan.LAYERS[name](Initializer(0))
        for number in (np.nan, np.inf):
            plain = nan.after_one(layer, number, "reference")
            for kind in kinds:
                yield (
                    f"{number} in {name}, {kind}",
                    ", ".join(nan.beyond(name, nan.after_one(layer, number, kind), plain)),
                )


def of_cross_entropy() -> Iterator[tuple[str, str]]:
    for number in (np.nan, np.inf):
        with np.errstate(all="ignore"):
            loss, dz = losses.cross_entropy(np.array([[0, 1], [number, 2], [3, 1]], "float32"), np.array([0, 1, 1]))
        rows = np.isfinite(host(dz)).all(axis=1).tolist()
        yield f"{number} in a logit", "" if rows == [True, False, True] and np.isnan(host(loss)) else f"errors {rows}"


# ------------------------------------------------------------------ the same checks, with what they rely on taken out


def broken() -> list[Broken]:
    """Each check, where it must find something."""
    collected = []
    with patch.object(inputs, "_within_range", lambda *_: None):
        beyond = images()["one image"][0] * np.float32(1e30), images()["one image"][1]
        cases = [steps.silent("resnet8", rule, beyond) for rule in ("bp", "gll")]
        collected.append(Broken("the bound of images: ±1e30 instead", len(cases), sum(map(bool, cases))))
    with patch.object(learner, "underflow_is_zero", nullcontext):
        cases = [fault for _, fault in seterr(("mlp",), ("gll",))]
        collected.append(Broken("underflow that is 0, within a step", len(cases), sum(map(bool, cases))))
    with patch.object(fit, "_check_finite", lambda *_: None):
        cases = [fault for _, fault in high_rates(("resnet8",), ("ddg", "infopro"))]
        collected.append(Broken("the look at the state after an epoch", len(cases), sum(map(bool, cases))))
    with coarse_points():
        measured = tables.measure(convolutions.SHAPES[1:4], ("normal",), ("numpy",))
        cases = [fault for _, fault in below_bound(measured)]
        collected.append(Broken("Winograd's constants in float32: float16 instead", len(cases), sum(map(bool, cases))))
    plain = nan.after_one(ReLU(), np.nan, "reference")
    lost = nan.beyond("ReLU", nan.after_one(Dropping(), np.nan, "numpy"), plain)
    collected.append(Broken("ReLU's NaN: max(NaN, 0) = 0", len(plain.all()), len(lost)))
    return collected


@contextmanager
def coarse_points() -> Iterator[None]:
    """Winograd's constants in float16. The bound is that of the right ones."""
    right = winograd.transforms

    def coarse(x: np.ndarray) -> tuple[int, int, np.ndarray, np.ndarray, np.ndarray]:
        m, T, A, G, Bt = right(x)
        A, G, Bt = (a.astype("float16").astype(a.dtype) for a in (A, G, Bt))
        return m, T, A, G, Bt

    with patch.object(winograd, "transforms", coarse):
        yield


class Dropping(ReLU):
    """ReLU that makes 0 of NaN."""

    def forward(self, x: np.ndarray, ctx: PassContext, p: Arrays | None = None) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[override]
        y = np.fmax(x, 0)
        return y, y
