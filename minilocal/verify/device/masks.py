"""The ReLU masks and argmaxes of one run, recorded, and given to a second run in another precision.

A ReLU whose input lies within round-off of 0 may be open in one run and closed in the other, and one such flip among a
million changes float32 gradients by 1e-2, as much as a fault would. Given the masks of the first run, the second
computes the same smooth function: the two differ by round-off alone, times the condition of the network, while a wrong
factor, a missing term or a shifted window still differs by its own size. Where a given mask is not the run's own, its
input is compared instead, since a correct mask differs only within round-off of 0.

Every ReLU and max pooling of the engine is one of `ops.relu`, `ops.batch_norm_apply` and `ops.max_pool`. Both runs call
them in one order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minilocal.array import to_host
from minilocal.ops.dispatch import intercept
from minilocal.ops.pool import window_pixels

OPEN = np.finfo(np.float32).tiny  # what an open ReLU gives at least: its backward asks for a > 0
Masks = list[np.ndarray]


@contextmanager
def recorded_masks() -> Iterator[Masks]:
    """The masks of every ReLU, and the argmaxes of every max pooling, on the host, in the order of their calls."""
    masks: Masks = []

    def record(plain: Callable[..., Any], form: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = form(*args, **kwargs)
        if _has_relu(plain, args, kwargs):
            masks.append(to_host(result) > 0)
        elif plain.__name__ == "max_pool":
            masks.append(to_host(result[1]))
        return result

    with intercept(record):
        yield masks


@contextmanager
def given_masks(masks: Masks) -> Iterator[list[float]]:
    """Run with these masks instead of its own, on the host.

    Yields how far each call's masks are from its own: the largest |input| of a ReLU that the mask opens or closes
    against the sign, or the largest difference between a window's maximum and what the argmax takes, as a fraction of
    the largest |input| of the call.

    Raises: ValueError where the run has another number of ReLUs, or of another shape.
    """
    left, distances = iter(masks), list[float]()

    def impose(plain: Callable[..., Any], form: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if _has_relu(plain, args, kwargs):
            x = args[0] if plain.__name__ == "relu" else form(*_without_relu(plain, args, kwargs))
            mask = _next(left, x.shape)
            distances.append(_fraction(np.abs(x[mask != (x > 0)]), x))
            return np.where(mask, np.maximum(x, OPEN), 0).astype(x.dtype)
        if plain.__name__ == "max_pool":
            y, argmax = form(*args, **kwargs)
            mask = _next(left, argmax.shape).astype(argmax.dtype)
            taken = np.take_along_axis(np.stack(window_pixels(*args)), mask[None].astype(int), 0)[0]
            distances.append(_fraction(y - taken, args[0]))
            return taken, mask
        return form(*args, **kwargs)

    with intercept(impose):
        yield distances
    if next(left, None) is not None:
        raise ValueError("the second run has fewer ReLUs than the first.")


def _has_relu(plain: Callable[..., Any], args: Any, kwargs: Any) -> bool:
    if plain.__name__ == "batch_norm_apply":
        return bool(inspect.signature(plain).bind(*args, **kwargs).arguments.get("relu"))
    return plain.__name__ == "relu"


def _without_relu(plain: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, ...]:
    arguments = inspect.signature(plain).bind(*args, **kwargs).arguments
    return tuple((arguments | {"relu": False}).values())


def _next(left: Iterator[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    mask = next(left, None)
    if mask is None or mask.shape != shape:
        other = "none" if mask is None else str(mask.shape)
        raise ValueError(f"the second run has a ReLU or max pooling of {shape}, the first one {other}.")
    return mask


def _fraction(differences: np.ndarray, x: np.ndarray) -> float:
    return float(np.abs(differences).max(initial=0.0) / (np.abs(x).max(initial=0.0) or 1.0))
