"""PGL, periodic global guidance: local learning, with a few epochs of backpropagation in every period.

Bhatti and Moon, "Locally Supervised Learning with Periodic Global Guidance".

    L_k = CE(A_k(f_k(h_{k-1}); γ_k), y)                                         Eq. (1)
    for epoch = 0, 1, 2 ...
        local, P-Q of every P epochs:   min over w_k, γ_k of L_k                Eq. (2)    as the local rule has it
        global, the last Q of every P:  min over w_1 ... w_K of L_K             Eq. (3)    backpropagation
                                        min over γ_k of L_k, k < K              Eq. (4)    h_k a constant

The paper's J, j, X_j, θ_j are K, k, h_k, w_k here, its L_local and L_global L_k and L_K. P is `period`, Q `duration`.
Q = 0 is the local rule, Q = P is BP on the main weights. Both kinds of epoch share optimiser state and running
statistics, and train the auxiliary networks. A global epoch needs the memory of BP; only the average over a period is
less.
"""

from __future__ import annotations

from minilocal.errors import UserError
from minilocal.rules import registry
from minilocal.rules.compose import Rule, compose
from minilocal.rules.when import always, periodic


def pgl(
    *,
    period: int = periodic.period,
    duration: int = periodic.duration,
    includes: bool = periodic.includes,
    around: str | Rule = "gll",
    aux: str | None = None,
) -> Rule:
    """Periodically guided local learning: a local rule, with epochs of the last loss in every period.

    Bhatti and Moon, "Locally Supervised Learning with Periodic Global Guidance".

    Args:
        period: P, the epochs of a cycle, 1 or more.
        duration: Q, the epochs at its end that learn from the last loss, 0 or more.
        includes: whether the P epochs include those Q; otherwise the Q come after them.
        around: the local rule: a name, "backlink:length=2,alpha=0.25", or in Python a Rule; one without delays.
        aux: the auxiliary network of a rule given by name; by default aux-adapt around gll, else that rule's own.

    Raises: UserError for Q > P where P includes Q, and around a rule with delays or without a loss of its own.
    """
    if not isinstance(around, Rule):
        aux = aux or ("aux-adapt" if around == "gll" else None)
        around = registry.parse("around", around, **({} if aux is None else {"aux": aux}))
    elif aux is not None:
        raise UserError(f"PGL around {around.name} has that rule's auxiliary networks: leave aux={aux!r} out.")
    if around.boundary.delayed or around.boundary.provides_error:
        raise UserError(
            f"PGL around {around.name}: it takes a rule without delays whose modules have a loss of their own: around "
            "= gll, backlink, dgl, predsim, infopro, interlocking, auglocal, hpff, man or contsup."
        )
    if around.when != always():
        raise UserError(f"PGL around {around.name}: that rule has a schedule of its own: give one with when=always.")
    return compose(
        "PGL" if around.name == "GLL" else f"PGL+{around.name}",
        objective=around.objective,
        boundary=around.boundary,
        when=periodic(period, duration, includes),
        keep=around.keep,
        accumulate=around.accumulate,
        context=around.context,
        recommends=around.recommends,
    )
