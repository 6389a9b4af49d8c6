"""DNI, decoupled neural interfaces: a module learns from a synthetic gradient, which the error from above trains.

Jaderberg, Czarnecki, Osindero, Vinyals, Graves, Silver and Kavukcuoglu, "Decoupled Neural Interfaces using Synthetic
Gradients", 2017; its backward interface. Synthesisers and loss as in the code dni-pytorch.

    for k = 1 ... K-1
        h_k = F_k(h_{k-1});   ê_k = Φ_k(h_k [, y])
        (g_k, t_{k-1}) = backward of module k, of ê_k                  w_k learns from the synthetic gradient only
        k ≥ 2: Φ_{k-1} learns towards t_{k-1}                          a target that is itself synthetic
    (g_K, t_{K-1}) = backward of module K, of the loss's error;        Φ_{K-1} learns towards t_{K-1}, a true error
    L_Φ = 1/B Σ_b ‖ê_b - t_b‖²                                         h_k and t constants

The true error never enters module k < K: it takes K-1 updates of one synthesiser after the other to reach the bottom.

The published code is synchronous too: one Adam step over all weights ends a batch. It evaluates each synthesiser twice
on one input, here once. L_Φ sums over features and averages over the batch only. The last weight starts at 0, its bias
does not (`zero_bias` makes it). t contains the 1/B of the mean loss, so it is tiny: Adam trains and is recommended, at
0.001; SGD diverges at 0.1, 0.01 and 0.001. With `scaled` the synthesiser predicts B t, and its output is divided by B:
then SGD trains a small perceptron, and still diverges on convolutions.

A synthesiser has the map's channels and k×k windows: 3 k² C² weights at each boundary. With exact synthetic gradients
this is BP, as it is at K = 1.
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def dni(
    *,
    labels: bool = boundaries.synthetic_gradient.labels,
    kernel: int = boundaries.synthetic_gradient.kernel,
    scaled: bool = boundaries.synthetic_gradient.scaled,
    zero_bias: bool = boundaries.synthetic_gradient.zero_bias,
) -> Rule:
    """Decoupled neural interfaces: synthetic gradients.

    Jaderberg et al., "Decoupled Neural Interfaces using Synthetic Gradients", 2017.

    Args:
        labels: whether the synthesisers get the labels too ("cDNI").
        kernel: the side of the windows of their convolutions, odd, 1 or more.
        scaled: whether they predict the error times the batch size, which plain SGD can learn.
        zero_bias: whether the bias of their last layer starts at 0, as its weight does.

    Raises: UserError for an even kernel.
    """
    return compose(
        "DNI", objective=objectives.none(), boundary=boundaries.synthetic_gradient(labels, kernel, scaled, zero_bias)
    )
