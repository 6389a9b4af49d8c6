"""InfoPro, information propagation: a module keeps the information about the image while learning the label.

Wang, Ni, Song, Yang and Huang, "Revisiting Locally Supervised Learning: an Alternative to End-to-end Training".

    for k = 1 ... K-1
        h_k = f_k(h_{k-1}),  h_{k-1} a constant
        L_rec = BCE(decoder_k(h_k), image in [0, 1])
        L_task = CE(classifier_k(h_k), y), or the supervised contrast of classifier_k(h_k)
        L_k = λ1 L_rec + λ2 L_task                     λ1 from ixx_1 to ixx_2, λ2 from ixy_1 to ixy_2, linear in k
    L_K = CE(head(h_K), y)
    each module, its decoder and its classifier learn from L_k; no error passes a boundary

Minimising L_rec and L_task raises lower bounds of the mutual information of h_k with the image and with the label.
Every module needs the image of the batch. The decoder takes maps: a module below the last that ends with vectors is
refused. λ1 = 0, λ2 = 1 and cross entropy are GLL. For K = 2 ixx_2 and ixy_2 are unused. Published λ are those of the
contrast version; AugLocal's code uses those of K = 16 with cross entropy.
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
    """InfoPro: every module classifies, and reconstructs the image.

    Wang, Ni, Song, Yang and Huang, "Revisiting Locally Supervised Learning: an Alternative to End-to-end Training".

    Args:
        lambdas: [ixx_1, ixy_1, ixx_2, ixy_2], λ1 and λ2 of the first and of the last but one module, 0 or more; or
            the name of a published set, whose values depend on K.
        version: softmax (a classifier) or contrast (of classes).
        aux: the auxiliary network of that classifier: 0c1f (linear), 1c2f (convolutional), and nine more.
        temperature: temperature of the contrast, above 0.
        mean: mean that the images were normalised with, a number or one for each channel; by default the data set's.
        std: standard deviation that they were normalised with, likewise; above 0.

    Raises: UserError for lambdas of another count or an unknown name, and an unknown version or auxiliary network.
    """
    objective = objectives.infopro(lambdas, version, aux, temperature, mean, std)
    return compose("InfoPro", objective=objective, boundary=boundaries.closed())
