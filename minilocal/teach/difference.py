"""What is wrong with a result: its type, its shape, a number that is none, or the first number that differs.

A number differs where |answer - expected| > 1e-10 × the largest |expected| of its array.

The bound has two sides. Rounding: a sum of n products in float64, added in any order, is within n · 2⁻⁵³ of the sum of
their magnitudes. No case adds more than a few hundred, so right answers differ by some 1e-14 to 1e-13. Mistakes: one
float32 on the way is off by some 1e-8, and every known wrong answer by more than 1e-3. 1e-10 stands between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

TOLERANCE = 1e-10
NUMBERS = "fiub"  # NumPy's letters for floats, integers and truth values
SINGLE = 1e-5  # of the largest: results that agree to this, and not to TOLERANCE, were rounded to float32


def difference(result: Any, expected: Any, names: Sequence[str]) -> str:
    """A sentence for the first difference of a result from the expected one, or "" where there is none."""
    if result is None:
        return "it returned None. The stub is untouched, or a `return` is missing."
    wanted = expected if len(names) > 1 else (expected,)
    results = result if len(names) > 1 else (result,)
    if not isinstance(results, tuple | list) or len(results) != len(names):
        size = f" of {len(results)}" if isinstance(results, tuple | list) else ""
        return f"it returned {_kind(result)}{size}, expected a tuple of {len(names)}: ({', '.join(names)})."
    for name, one, right in zip(names, results, wanted, strict=True):
        if text := _one(name, one, np.asarray(right)):
            return text
    return ""


def _one(name: str, result: Any, expected: np.ndarray) -> str:
    if result is None:
        return f"{name} is None."
    try:
        array = np.array(result)
    except Exception:  # a ragged list; an array that refuses to leave its device
        return f"{name} is {_kind(result)} that is no array of numbers."
    if array.dtype.kind not in NUMBERS:
        return f"{name} is {_kind(result)}, expected {'an array of numbers' if expected.ndim else 'a number'}."
    if array.shape != expected.shape:
        turned = ", its transpose" if array.ndim > 1 and array.T.shape == expected.shape else ""
        return f"{name} has shape {array.shape}, expected {expected.shape}{turned}."
    bad = ~np.isfinite(array)
    if bad.any():
        place = _place(bad)
        right = _number(expected[place])
        return f"{name}{_index(place)} is {array[place]}, expected {right}; {_count(bad)} not finite."
    distance, largest = np.abs(array.astype("float64") - expected), float(np.abs(expected).max(initial=0))
    wrong = distance > TOLERANCE * largest
    if not wrong.any():
        return ""
    if (distance <= SINGLE * largest).all():
        rounded = f"has type {array.dtype}" if array.dtype.itemsize < 8 else "was rounded to float32 on the way"
        close = f"{distance.max() / largest:.0e}"
        return f"{name} is right to {close} only, and {rounded}. Compute in float64, the type of the inputs."
    place = _place(wrong)
    got, right = _number(array[place]), _number(expected[place])
    return f"{name}{_index(place)} is {got}, expected {right}; {_count(wrong)} wrong."


def equal(result: Any, other: Any, names: Sequence[str]) -> bool:
    """Whether a result is that of a known mistake: the same shapes and numbers, NaN for NaN."""
    ours, theirs = ((r,) if len(names) == 1 else r for r in (result, other))
    if not isinstance(ours, tuple | list) or len(ours) != len(theirs):
        return False
    for a, b in zip(ours, theirs, strict=True):
        try:
            one, two = np.asarray(a), np.asarray(b)
        except Exception:  # a ragged list
            return False
        if one.dtype.kind not in NUMBERS:
            return False
        near = TOLERANCE * float(np.abs(two[np.isfinite(two)]).max(initial=0))
        if one.shape != two.shape or not np.isclose(one, two, rtol=0, atol=near, equal_nan=True).all():
            return False
    return True


def _place(mask: np.ndarray) -> tuple[int, ...]:
    """The index of the first True, in the order of memory."""
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape)) if mask.ndim else ()


def _index(place: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, place))}]" if place else ""


def _number(value: Any) -> str:
    return f"{float(value):.12g}"


def _count(mask: np.ndarray) -> str:
    return f"{mask.sum()} of {mask.size} number{'s' * (mask.size > 1)}" if mask.ndim else "the only number"


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    name = type(value).__name__
    return f"a{'n' * (name[0] in 'aeiou')} {name}"
