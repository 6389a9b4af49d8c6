"""HPFF: two heads behind each module, and the second one's error goes through the module and the whole module below.

"HPFF: Hierarchical Locally Supervised Learning with Patch Feature Fusion", ECCV 2024 (arXiv 2407.05638), as its public
code has it.

    for k = 2 ... K
        L_k = w_own L_own,k(f_k(h_{k-1})) + w_cascade L_casc,k(f_k(f_{k-1}(h_{k-2})))        h_{k-1}, h_{k-2} constants
    module 1 has no loss;  both losses of module K are the network's own
    g_k = w_own ∂L_own,k + w_cascade (∂L_casc,k + ∂L_casc,k+1)         of module k's weights: three sums, one update

The heads are in `minilocal.objectives.hpff`. In its code the cascade runs modules k-1 and k once more, so each module
runs three times a batch, and a running statistic moves by 1 - 0.9³ = 0.271 of the way. Here a module runs once, both
heads see the same h_k, and a statistic moves by 0.1: gradients are the same, statistics are not.

Work: two backwards of module k, of both errors, and one from above. Memory: the caches of two modules, and one
module's gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def hpff(
    *,
    own: float = objectives.hpff.own,
    cascade: float = objectives.hpff.cascade,
    patches: int = objectives.hpff.patches,
    lambdas: str | Sequence[float] = objectives.hpff.lambdas,
    version: str = objectives.hpff.version,
    aux: str = objectives.hpff.aux,
    temperature: float = objectives.hpff.temperature,
    mean: float | Sequence[float] | None = objectives.hpff.mean,
    std: float | Sequence[float] | None = objectives.hpff.std,
    keep: str = Rule.keep,
) -> Rule:
    """HPFF: two heads a module; the second one's error also trains the whole module below.

    "HPFF: Hierarchical Locally Supervised Learning with Patch Feature Fusion", 2024.

    Args:
        own: weight of the own head, whose error ends in its module, 0 or more.
        cascade: weight of the cascade, whose error goes on into the module below, 0 or more.
        patches: the cascade's decoders reconstruct patches × patches parts of the image, 1 or more.
        lambdas: [ixx_1, ixy_1, ixx_2, ixy_2], the cascade's λ1 and λ2 at the first and at the last but one module, or
            the name of a set published for InfoPro, whose values depend on K.
        version: softmax (a classifier) or contrast (of classes).
        aux: the auxiliary network of both classifiers: 2c2f (convolutional), 0c1f (linear), and nine more.
        temperature: temperature of the contrast, above 0.
        mean: mean that the images were normalised with, a number or one for each channel; by default the data set's.
        std: standard deviation that they were normalised with, likewise; above 0.
        keep: what a module keeps until the error from above arrives: caches, or inputs (activation checkpointing).

    Raises: UserError for weights below 0 or both 0, patches below 1, lambdas of another count or an unknown name, and
    an unknown version or auxiliary network.
    """
    objective = objectives.hpff(lambdas, version, aux, temperature, mean, std, own, cascade, patches)
    return compose("HPFF", objective=objective, boundary=boundaries.cascade(), keep=keep)
