"""DGL's auxiliary networks, from the code of Decoupled Greedy Learning. C channels, maps of H×W, s×t = ⌈H/4⌉×⌈W/4⌉:

    mlp-sr              mean to s×t, 3 × [1×1 convolution, BN, ReLU], mean to 2×2, 3 × [FC 4C → 4C, BN, ReLU], FC
    mlp-sr-auglocal     the same with 2 × [FC 4C → 4C without bias, BN, ReLU]
    mlp                 mean to s×t, mean to 2×2, 3 × [FC 4C → 4C, BN, ReLU], FC
    cnn                 2 × [3×3 convolution C → C, BN, ReLU], mean to 2×2, BN, FC

"sr" is the spatial reduction before the convolutions, by 4 a side. AugLocal's code runs the second form on CIFAR's
ResNets. Behind fully connected units all four are one FC layer (this project's choice; the code has no such case).
"""

from __future__ import annotations

from minilocal.layers import AdaptiveAveragePool, BatchNorm, Conv, Flatten, Layer, Linear, Sequential
from minilocal.layers.norm import BatchNormReLU
from minilocal.objectives.base import ModuleContext

PERCEPTRONS = {  # 1×1 convolutions, hidden layers, whether these have biases
    "mlp-sr": (3, 3, True),
    "mlp-sr-auglocal": (3, 2, False),
    "mlp": (0, 3, True),
}
NAMES = (*PERCEPTRONS, "cnn")


def network(aux: str, context: ModuleContext, name: str, outputs: int) -> Sequential:
    """The auxiliary network `aux`, from h_k to `outputs` numbers; its arrays are numbered as in torch.nn.Sequential."""
    if len(context.shape) == 1:
        return Sequential([Linear(context.shape[0], outputs, context.initial, name=f"{name}.0")], name)
    return _convolutional(context, name, outputs) if aux == "cnn" else _perceptron(aux, context, name, outputs)


def _perceptron(aux: str, context: ModuleContext, name: str, outputs: int) -> Sequential:
    convolutions, hidden, bias = PERCEPTRONS[aux]
    (H, W, C), initial = context.shape, context.initial
    layers: list[Layer] = [AdaptiveAveragePool(-(-H // 4), -(-W // 4), name=f"{name}.0")]
    index = 1
    for _ in range(convolutions):
        layers.append(Conv(C, C, 1, initial, name=f"{name}.{index}"))
        layers.append(BatchNormReLU(C, initial, name=f"{name}.{index + 1}"))
        index += 3
    layers += [AdaptiveAveragePool(2, name=f"{name}.{index}"), Flatten(f"{name}.{index + 1}")]
    index += 2
    for _ in range(hidden):
        layers.append(Linear(4 * C, 4 * C, initial, name=f"{name}.{index}", bias=bias))
        layers.append(BatchNormReLU(4 * C, initial, name=f"{name}.{index + 1}"))
        index += 3
    layers.append(Linear(4 * C, outputs, initial, name=f"{name}.{index}"))
    return Sequential(layers, name)


def _convolutional(context: ModuleContext, name: str, outputs: int) -> Sequential:
    C, initial = context.shape[2], context.initial
    layers: list[Layer] = []
    for index in (0, 3):
        layers.append(Conv(C, C, 3, initial, pad=1, name=f"{name}.{index}"))
        layers.append(BatchNormReLU(C, initial, name=f"{name}.{index + 1}"))
    layers += [
        AdaptiveAveragePool(2, name=f"{name}.6"),
        BatchNorm(C, initial, name=f"{name}.7"),
        Flatten(f"{name}.8"),
        Linear(4 * C, outputs, initial, name=f"{name}.9"),
    ]
    return Sequential(layers, name)
