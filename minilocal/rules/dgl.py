"""DGL, decoupled greedy learning: greedy local learning, through auxiliary networks that shrink the map first.

Belilovsky, Eickenberg and Oyallon, "Decoupled Greedy Learning of CNNs", Algorithm 1; asynchronous, Algorithm 2.

    for k = 1 ... K
        h_k = f_k(h_{k-1}),  h_{k-1} a constant
        L_k = CE(A_k(h_k; γ_k), y)                     A_k: mlp-sr, mlp or cnn
        (w_k, γ_k) ← (w_k, γ_k) - η ∂L_k/∂(w_k, γ_k)

Each gradient is GLL's with that auxiliary network. h_k is computed before the update, so the result does not depend on
when in the step a module is updated. Asynchronous, with replay buffers, modules do not wait for each other:

    draw k                                             at random, one slowed worker 1 - noise as often as another
        (h_{k-1}, y) ← buffer k-1                      of its M batches the least used, of those the most recent
        as above, then buffer k ← (h_k, y)             over the oldest
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.errors import UserError
from minilocal.rules.compose import Rule, compose
from minilocal.rules.when import always, asynchronous


def dgl(
    *,
    aux: str = "mlp-sr",
    buffer: int | None = None,
    slowed: int | None = asynchronous.slowed,
    noise: float = asynchronous.noise,
) -> Rule:
    """Decoupled greedy learning; asynchronous where a `buffer` is given.

    Belilovsky, Eickenberg and Oyallon, "Decoupled Greedy Learning of CNNs".

    Args:
        aux: the auxiliary network of each module below the last: mlp-sr, mlp-sr-auglocal, mlp, cnn, or any other.
        buffer: M, batches in the replay buffer of each boundary, 1 or more; without it training is synchronous.
        slowed: the module, counted from 0, that is drawn less often than the others; with a buffer only.
        noise: how much less often, 0 to below 1: it is drawn 1 - noise as often.

    Raises: UserError as `when.asynchronous`, and for a slowed worker without a buffer.
    """
    if buffer is None and (slowed is not None or noise):
        options = f"slowed = {slowed}, noise = {noise}"
        raise UserError(f"{options}: only asynchronous workers can be slowed; give a buffer too, as buffer=1.")
    when = always() if buffer is None else asynchronous(buffer, slowed, noise)
    name = "DGL" if buffer is None else "asynchronous DGL"
    return compose(name, objective=objectives.classifier(aux), boundary=boundaries.closed(), when=when)
