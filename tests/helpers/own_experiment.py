"""An experiment of a user's own, small enough to be trained in a test."""

OWN = """
title = "α of an MLP"
[recipe]
net.name = "mlp"
net.modules = 2
rule.name = "backlink"
data.name = "digits"
data.limit_train = 40
data.limit_test = 20
optim.batch_size = 16
optim.epochs = 1
optim.lr = 0.05
[grid]
rule.alpha = ALPHAS
"""


def own_experiment(alphas: list[float]) -> str:
    """The text of its file, a cell for each of these α."""
    return OWN.replace("ALPHAS", str(alphas))
