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


def difference(result: Any, expected: Any, names: Sequence[str], last_first: bool = False) -> str:
    """A sentence for the first difference of a result from the expected one, or "" where there is none.

    With `last_first` the results are gone through from the last to the first.
    """
    if result is None:
        return "it returned None. The stub is untouched, or a `return` is missing."
    wanted = expected if len(names) > 1 else (expected,)
    results = result if len(names) > 1 else (result,)
    if not isinstance(results, tuple | list) or len(results) != len(names):
        size = f" of {len(results)}" if isinstance(results, tuple | list) else ""
        apart = "" if size else ", kept apart"
        return f"it returned {_kind(result)}{size}, expected a tuple of {len(names)}: ({', '.join(names)}){apart}."
    order = range(len(names))[:: -1 if last_first else 1]
    texts = {names[n]: _one(names[n], results[n], np.asarray(wanted[n]), len(names) > 1) for n in order}
    first, *others = [name for name, text in texts.items() if text] or [""]
    return texts.get(first, "") + (f" Wrong too: {', '.join(others)}." if others else "")


def _one(name: str, result: Any, expected: np.ndarray, of_several: bool) -> str:
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
    bad, of = ~np.isfinite(array), f" of {name}" if of_several else ""
    if bad.any():
        place = _place(bad)
        right = _number(expected[place])
        return f"{name}{_index(place)} is {array[place]}, expected {right}{_count(bad, of, 'not finite')}."
    distance, largest = np.abs(array.astype("float64") - expected), float(np.abs(expected).max(initial=0))
    wrong = distance > TOLERANCE * largest
    if not wrong.any():
        return ""
    if (distance <= SINGLE * largest).all():
        rounded = f"has type {array.dtype}" if array.dtype.itemsize < 8 else "was rounded to float32 on the way"
        close = f"{distance.max() / largest:.0e}"
        return f"{name} is right to {close} only, and {rounded}. Compute in float64, the type of the inputs."
    place = _place(wrong)
    got, right = _pair(float(array[place]), float(expected[place]))
    return f"{name}{_index(place)} is {got}, expected {right}{_count(wrong, of, 'wrong')}."


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


def _number(value: float, digits: int = 6) -> str:
    """Six digits of a fraction, and a whole number whole; 0 has no sign."""
    return f"{value + 0.0:.{12 if float(value).is_integer() else digits}g}"


def _pair(got: float, right: float) -> tuple[str, str]:
    """Both numbers, with so many digits that they differ."""
    short, long = ((_number(got, digits), _number(right, digits)) for digits in (6, 12))
    return short if short[0] != short[1] else long


def _count(mask: np.ndarray, of: str, what: str) -> str:
    """`; 4 of 12 numbers of w[0] wrong`; nothing of a single number."""
    return f"; {mask.sum()} of {mask.size} number{'s' * (mask.size > 1)}{of} {what}" if mask.ndim else ""


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    name = type(value).__name__
    return f"a{'n' * (name[0] in 'aeiou')} {name}"
