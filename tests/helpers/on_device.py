"""An operation's form on the fake device, run in two orders of threads, without a wait and without a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fake import cuda_on_host
from tests.fake.device import counting, fake


def on_device(form: Callable[..., Any], *args: Any) -> Any:
    """The result of `form` for these host arrays, which are moved to the device, as host arrays.

    It runs twice, and the order in which threads run must not change a bit.
    """
    (one, kind), (other, _) = (_in_order(order, form, args) for order in ("forward", "reverse"))
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a, b, equal_nan=isinstance(a, np.ndarray)), "the order of threads shows"
    return tuple(one) if kind is tuple else one[0]


def _in_order(order: str, form: Callable[..., Any], args: tuple[Any, ...]) -> tuple[list[Any], type]:
    moved = [fake.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
    before, cuda_on_host.order = cuda_on_host.order, order
    try:
        with counting(collect=False) as counts:
            result = form(*moved)
    finally:
        cuda_on_host.order = before
    assert (counts.syncs, counts.uploads, counts.downloads) == (0, 0, 0)
    several = result if isinstance(result, tuple) else (result,)
    kind = tuple if isinstance(result, tuple) else type(result)
    return [a.get() if isinstance(a, fake.ndarray) else a for a in several], kind
