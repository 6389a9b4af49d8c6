"""Adam (Kingma and Ba, "Adam: a method for stochastic optimization", 2015), in place, for several parameters in one call."""

from __future__ import annotations

from collections.abc import Sequence

from minilocal.array import Array, namespace
from minilocal.ops.dispatch import op_on

Updates = Sequence[tuple[Array, Array, Array, Array, int]]  # (w, its gradient g, its means m and s, its update t)


@op_on(lambda updates, *_: updates[0][:2] if updates else ())
def adam(updates: Updates, lr: float | Array, beta1: float, beta2: float, eps: float, weight_decay: float) -> None:
    """g ← g + λ w;  m ← β₁ m + (1-β₁) g;  s ← β₂ s + (1-β₂) g²;  w ← w - η m / (1-β₁ᵗ) / (√(s / (1-β₂ᵗ)) + ε).

    w, g, m and s have any shape, the same; t is 1 at a parameter's first update. g may be overwritten. η is a number,
    or an array (1,) of w's type where w lives.
    """
    for w, g, m, s, t in updates:
        if weight_decay:
            g += weight_decay * w
        m *= beta1
        m += (1 - beta1) * g
        s *= beta2
        s += (1 - beta2) * (g * g)
        root = namespace(w).sqrt(s * (1 / (1 - beta2**t)))
        root += eps
        change = (lr / (1 - beta1**t)) * m
        change /= root
        w -= change
