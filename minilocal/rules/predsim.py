"""PredSim, local error signals: similarity matching within a class, beside prediction.

Nøkland and Eidnes, "Training Neural Networks with Local Error Signals".

    for k = 1 ... K-1
        h_k = f_k(h_{k-1}),  h_{k-1} a constant
        U = sim_k(h_k)                                 a 3×3 convolution, or a linear layer; no bias
        L_sim = mean((R(U) - R(onehot(y)))²)           R: cosines between samples, of the deviations of their channels
        L_pred = CE(pred_k(h_k), y)                    block means and a linear layer
        L_k = (1-β) L_pred + β L_sim
    L_K = CE(head(h_K), y), times 1-β in the paper's code
    each module, its sim_k and pred_k learn from L_k; no error passes a boundary

In the paper every layer is a module, as here with as many modules as units (a residual block has one loss, as in
AugLocal's port; the paper's code gives it two). The output layer's weight matters with SGD: 1-β makes its learning
rate a hundredth. The paper trains with Adam and LeakyReLU, which these networks do not have.
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def predsim(
    *,
    beta: float = objectives.predsim.beta,
    dim_in_decoder: int = objectives.predsim.dim_in_decoder,
    zero: bool = objectives.predsim.zero,
    final_weight: float | str = objectives.predsim.final_weight,
) -> Rule:
    """PredSim: similarity matching beside prediction.

    Nøkland and Eidnes, "Training Neural Networks with Local Error Signals".

    Args:
        beta: β, the weight of similarity matching, 0 to 1; prediction has 1-β.
        dim_in_decoder: the most features that the predictor gets of a module, 1 or more.
        zero: whether the predictors start from weight 0.
        final_weight: the weight of the last module's loss: a number above 0, or "1-beta".

    Raises: UserError for a β outside [0, 1], fewer than one feature, and a final weight that is neither.
    """
    objective = objectives.predsim(beta, dim_in_decoder, zero, final_weight)
    return compose("PredSim", objective=objective, boundary=boundaries.closed())
