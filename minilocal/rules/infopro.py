"""InfoPro, information propagation: a module is to keep what tells the image, while it learns to tell the label.

Wang, Ni, Song, Yang and Huang, "Revisiting Locally Supervised Learning: an Alternative to End-to-end Training".

    for k = 1 ... K-1
        h_k = f_k(h_{k-1}),  h_{k-1} a constant
        L_rec = BCE(decoder_k(h_k), image in [0, 1])
        L_task = CE(classifier_k(h_k), y), or the supervised contrast of classifier_k(h_k)
        L_k = λ1 L_rec + λ2 L_task                     λ1 from ixx_1 to ixx_2, λ2 from ixy_1 to ixy_2, linear in k
    L_K = CE(head(h_K), y)
    each module, its decoder and its classifier learn from L_k; nothing crosses downward

The image of the batch crosses upward, to every module. Only maps can be rebuilt from: a module below the last that ends
with vectors is refused. λ1 = 0, λ2 = 1 and cross entropy are GLL. For K = 2 ixx_2 and ixy_2 are unused. Published λ are
the contrast version's; AugLocal's code uses those of K = 16 with cross entropy.
"""

from __future__ import annotations

from collections.abc import Sequence

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def infopro(
    *,
    lambdas: str | Sequence[float] = objectives.infopro.lambdas,
    version: str = objectives.infopro.version,
    aux: str = objectives.infopro.aux,
    temperature: float = objectives.infopro.temperature,
    mean: float | Sequence[float] | None = objectives.infopro.mean,
    std: float | Sequence[float] | None = objectives.infopro.std,
) -> Rule:
    """InfoPro: a module is to rebuild the image too.

    Wang, Ni, Song, Yang and Huang, "Revisiting Locally Supervised Learning: an Alternative to End-to-end Training".

    Args:
        lambdas: [ixx_1, ixy_1, ixx_2, ixy_2], λ1 and λ2 at the first and the last but one module, 0 or more; or the
            name of a published set, which depends on K.
        version: softmax (a classifier) or contrast (of classes).
        aux: the auxiliary network of that classifier: 0c1f (linear), 1c2f (convolutional), and nine more.
        temperature: of the contrast, above 0.
        mean: that the images were normalised with, a number or one for each channel; by default the data set's own.
        std: their standard deviation, likewise; above 0.

    Raises: UserError for lambdas of another count or an unknown name, and an unknown version or auxiliary network.
    """
    objective = objectives.infopro(lambdas, version, aux, temperature, mean, std)
    return compose("InfoPro", objective=objective, boundary=boundaries.closed())
