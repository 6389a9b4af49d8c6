"""Stochastic gradient descent, in place, for several parameters in one call."""

from __future__ import annotations

from collections.abc import Sequence

from minilocal.array import Array
from minilocal.ops.dispatch import op_on

Updates = Sequence[tuple[Array, Array, Array | None]]  # (w, its gradient g, its velocity v), of one shape each


@op_on(lambda updates, *_: updates[0][:2] if updates else ())
def sgd(updates: Updates, lr: float | Array, momentum: float, weight_decay: float, nesterov: bool) -> None:
    """g ← g + λ w;  v ← μ v + g;  w ← w - η v, or w - η (g + μ v) with Nesterov.

    w, g and v have any shape, the same. g may be overwritten. Without momentum v is None. η is a number, or an array
    (1,) of w's type where w lives.
    """
    for w, g, v in updates:
        if weight_decay:
            g += weight_decay * w
        if v is not None:
            v *= momentum
            v += g
            g = g + momentum * v if nesterov else v
        w -= lr * g
