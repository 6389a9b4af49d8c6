"""MAN, the momentum auxiliary network: a local loss behind an average of the next module's first unit.

Su, Cai, Zhu, He, Xu, Guan and Si, "Momentum Auxiliary Network for Supervised Local Learning", ECCV 2024, and its code.

    for k = 1 ... K-1, u the first unit of module k+1
        h_k = f_k(h_{k-1}),  h_{k-1} a constant
        y_k = M_k(h_k) + B_k(h_k)                               M_k: a unit like u, that no gradient trains; B_k learns
        L_k = λ1 BCE(decoder_k(y_k), image) + λ2 CE(classifier_k(y_k), y)                        InfoPro's, at u's width
        w_k, B_k, decoder and classifier take their gradients from L_k
        θ(M_k) ← m θ(M_k) + (1-m) θ(u)                          parameters alone; u as it is before this step's updates
    L_K = CE(head(h_K), y)

No error passes a boundary, but weights do, downward and one step late. M_k is no parameter of the optimiser. It is
saved with the running statistics, of which M_k and B_k have their own; they move once a step, as any.

Where paper and code differ, both are options, and the defaults are: `bias`, a whole unit, as in the code; `start`, the
next unit's own weights, which the paper's average is of (the code draws new ones); λ from module to module, as in the
paper (the code counts stages). The code's λ end at 0, and by module the last local loss would be 0 too, so the default
keeps its first values throughout. m = 1 is a fixed head, m = 0 the next unit's last weights, K = 1 is BP. Memory: one
module's caches, those of M_k and B_k, and of the heads.
"""

from __future__ import annotations

from collections.abc import Sequence

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose

LAMBDAS = (5.0, 0.5, 5.0, 0.5)  # of its code: 5, 0.5 in the first module


def man(
    *,
    momentum: float = boundaries.weights.momentum,
    bias: str = boundaries.weights.bias,
    start: str = boundaries.weights.start,
    every: int = boundaries.weights.every,
    lambdas: str | Sequence[float] = LAMBDAS,
    interpolate: str = objectives.infopro.interpolate,
    version: str = objectives.infopro.version,
    aux: str = "2c2f",
    temperature: float = objectives.infopro.temperature,
    mean: float | Sequence[float] | None = objectives.infopro.mean,
    std: float | Sequence[float] | None = objectives.infopro.std,
) -> Rule:
    """MAN: a local loss behind an average of the next module's first unit.

    Su, Cai, Zhu, He, Xu, Guan and Si, "Momentum Auxiliary Network for Supervised Local Learning", 2024.

    Args:
        momentum: m of the average, 0 (the next unit's last weights) to 1 (a head that stays as it is).
        bias: what is added to the average's output: unit (another unit, that learns), channel (a number each), none.
        start: what the average starts from: copy (the next unit's initial weights) or random (weights of its own).
        every: steps from one crossing of the weights to the next, 1 or more.
        lambdas: [ixx_1, ixy_1, ixx_2, ixy_2], λ1 and λ2 of the first and of the last but one module, 0 or more; or
            the name of one of InfoPro's published sets.
        interpolate: what λ runs along: module, from the first to the last but one; stage, as in the code.
        version: softmax (a classifier) or contrast (of classes).
        aux: the auxiliary network of that classifier: 2c2f (convolutional), 0c1f (linear), and nine more.
        temperature: temperature of the contrast, above 0.
        mean: mean that the images were normalised with, a number or one for each channel; by default the data set's.
        std: standard deviation that they were normalised with, likewise; above 0.

    Raises: UserError for a momentum outside [0, 1], an `every` below 1, an unknown bias, start or interpolation, and as
    for `infopro`.
    """
    objective = objectives.infopro(lambdas, version, aux, temperature, mean, std, interpolate)
    return compose("MAN", objective=objective, boundary=boundaries.weights(momentum, bias, start, every))
