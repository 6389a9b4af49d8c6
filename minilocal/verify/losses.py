"""Every loss and its error against the derivative of its reference implementation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from minilocal import losses, streams
from minilocal.verify import reference
from minilocal.verify.compare import Result, errors
from minilocal.verify.jax_cpu import jax, jax_on_cpu

SHAPES = [(5, 4), (1, 3), (8, 10), (2, 100)]
SCALES = [1.0, 30.0]  # the second saturates the softmax


def cross_entropy(shape: tuple[int, int], scale: float, dtype: str = "float64") -> dict[str, float]:
    """Relative errors of the value and of dz."""
    rng = streams.rng(0)
    z = (scale * rng.standard_normal(shape)).astype(dtype)
    return _compare(losses.cross_entropy, reference.cross_entropy, z, rng.integers(shape[1], size=shape[0]))


def squared_error(shape: tuple[int, int], scale: float, dtype: str = "float64") -> dict[str, float]:
    """Relative errors of the value and of dz."""
    rng = streams.rng(0)
    z, target = scale * rng.standard_normal((2, *shape))
    return _compare(losses.squared_error, reference.squared_error, z.astype(dtype), target.astype(dtype))


def binary_cross_entropy(shape: tuple[int, int], scale: float, dtype: str = "float64") -> dict[str, float]:
    """Relative errors of the value and of da."""
    rng = streams.rng(0)
    a, target = (scale * rng.standard_normal(shape)).astype(dtype), rng.random(shape).astype(dtype)
    return _compare(losses.binary_cross_entropy, reference.binary_cross_entropy, a, target)


def similarity(shape: tuple[int, int], scale: float, dtype: str = "float64") -> dict[str, float]:
    """Relative errors of the value and of dU, for maps and for vectors."""
    rng, (N, C) = streams.rng(0), shape
    labels = rng.integers(3, size=N + 1)
    by_shape: dict[str, float] = {}
    for U in (rng.standard_normal((N + 1, 3, 2, C)), rng.standard_normal((N + 1, C))):
        engine, jax = partial(losses.similarity, classes=3), partial(reference.similarity, classes=3)
        errors = _compare(engine, jax, (scale * U).astype(dtype), labels)
        by_shape |= {f"{what}, {U.ndim} axes": e for what, e in errors.items()}
    return by_shape


def supervised_contrast(shape: tuple[int, int], scale: float, dtype: str = "float64") -> dict[str, float]:
    """Relative errors of the value and of dz."""
    rng, (N, F) = streams.rng(0), shape
    z = (scale * rng.standard_normal((N + 1, F))).astype(dtype)
    return _compare(losses.supervised_contrast, reference.supervised_contrast, z, rng.integers(3, size=N + 1))


CHECKS = {
    "cross entropy": cross_entropy,
    "squared error": squared_error,
    "binary cross entropy": binary_cross_entropy,
    "similarity": similarity,
    "supervised contrast": supervised_contrast,
}


def _compare(engine: Any, reference: Any, z: np.ndarray, target: np.ndarray) -> dict[str, float]:
    loss, dz = engine(z, target)
    with jax_on_cpu(str(z.dtype)):
        value, slope = jax.jit(jax.value_and_grad(reference))(z, target)
        return {**errors({"loss": loss}, {"loss": value}), **errors({"dz": dz}, {"dz": slope})}


def run(quick: bool = False) -> Iterator[Result]:
    """One row for each loss."""
    for name, check in CHECKS.items():
        cases = [(shape, scale) for shape in SHAPES for scale in SCALES]
        rows = [(e, f"{shape}: {what}") for shape, scale in cases for what, e in check(shape, scale).items()]
        error, worst = max(rows)
        yield Result("losses", name, "jax.grad of its reference", len(cases), error, worst=worst)
