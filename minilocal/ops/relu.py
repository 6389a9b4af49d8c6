"""ReLU and its backward."""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.ops.dispatch import op


@op
def relu(x: Array) -> Array:
    """a = max(x, 0), a new array.        x of any shape"""
    xp = namespace(x)
    return xp.maximum(x, xp.zeros_like(x))


@op
def relu_backward(dy: Array, a: Array) -> Array:
    """dx = dy where a > 0, else 0, a new array. `a` is the ReLU's output.        dy, a of any shape, the same"""
    return dy * (a > 0)
