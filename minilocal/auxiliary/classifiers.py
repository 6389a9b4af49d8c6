"""Auxiliary classifiers: the family <c>c<f>f of c convolutions and f fully connected layers, from InfoPro's code.

The BackLink paper's linear classifier is 0c1f, its convolutional one 1c2f; AUX-ADAPT (Locally Supervised Learning
with Periodic Global Guidance) changes the member with depth. Convolutions on CIFAR's ResNet widths:

    16 → 32, stride 2        32 → 64, stride 2        64 → 64, stride 1

and at other widths C → min(2C, widest) with stride 2 while the map is larger than 8×8, then C → C with stride 1 (this
project's choice). Behind fully connected units the convolutions are left out. DGL's networks are in `decoupled`.
"""

from __future__ import annotations

from dataclasses import dataclass

from minilocal.auxiliary import decoupled
from minilocal.auxiliary.objective import Classifier, Place, Wants
from minilocal.errors import unknown
from minilocal.layers import Conv, Flatten, GlobalAveragePool, Layer, Linear, NormReLU, ReLU, Sequential

FAMILY = {"0c1f": (0, 1), "0c2f": (0, 2), "1c1f": (1, 1), "1c2f": (1, 2), "1c3f": (1, 3), "2c2f": (2, 2)}
NAMES = (*FAMILY, "aux-adapt", *decoupled.NAMES)
HIDDEN = 128  # features between fully connected layers
CIFAR = {16: (32, 2), 32: (64, 2), 64: (64, 1)}  # channels in: channels out, stride
ADAPT = ("2c2f", "1c3f", "1c2f")  # for 16, 32, 64 channels, or by thirds of the depth


@dataclass(frozen=True)
class Classification(Wants):
    """Every module but the last wants to classify, through the auxiliary network of this name."""

    aux: str

    def __post_init__(self) -> None:
        known(self.aux)

    def build(self, place: Place) -> Classifier:
        """The auxiliary classifier at this place, its arrays named aux.{k}.{i} as in torch.nn.Sequential."""
        return Classifier(classifier(self.aux, place))

    def describe(self) -> str:
        return f"a classifier ({self.aux})"


def known(aux: str) -> None:
    """Raises: UserError for a name that is none of `NAMES`."""
    if aux not in NAMES:
        raise unknown("auxiliary network", aux, NAMES)


def classifier(aux: str, place: Place, branch: str = "", outputs: int | None = None) -> Sequential:
    """The auxiliary network `aux` for this place: from h_k to one logit per class, or to `outputs` numbers.

    Its arrays are named aux.{k}.{i}, as one branch of several aux.{k}.{branch}.{i}.
    """
    name, outputs = f"aux.{place.module}" + f".{branch}" * bool(branch), outputs or place.classes
    if aux in decoupled.NAMES:
        return decoupled.network(aux, place, name, outputs)
    return _family(*FAMILY[_adapted(place) if aux == "aux-adapt" else aux], place, name, outputs)


def _family(convolutions: int, connected: int, place: Place, name: str, outputs: int) -> Sequential:
    initial, index, features = place.initial, 0, place.shape[-1]
    layers: list[Layer] = []
    if len(place.shape) == 3:
        for number in range(convolutions):
            wide, stride = _convolution(place) if number == 0 else (features, 1)
            layers.append(Conv(features, wide, 3, initial, stride=stride, pad=1, name=f"{name}.{index}"))
            layers.append(NormReLU(wide, initial, name=f"{name}.{index + 1}"))
            features, index = wide, index + 3
        layers += [GlobalAveragePool(name=f"{name}.{index}"), Flatten(f"{name}.{index + 1}")]
        index += 2
    for _ in range(connected - 1):
        layers += [Linear(features, HIDDEN, initial, name=f"{name}.{index}"), ReLU(f"{name}.{index + 1}")]
        features, index = HIDDEN, index + 2
    layers.append(Linear(features, outputs, initial, name=f"{name}.{index}"))
    return Sequential(layers, name)


def _convolution(place: Place) -> tuple[int, int]:
    """Output channels and stride of the first convolution."""
    side, _, C = place.shape
    if place.widest == 64 and C in CIFAR:
        return CIFAR[C]
    return (min(2 * C, place.widest), 2) if side > 8 else (C, 1)


def _adapted(place: Place) -> str:
    """AUX-ADAPT: by width in CIFAR's ResNets, elsewhere by thirds of the depth."""
    if place.widest == 64 and len(place.shape) == 3 and place.shape[2] in CIFAR:
        return ADAPT[list(CIFAR).index(place.shape[2])]
    return ADAPT[min(2, 3 * (place.unit - 1) // place.units)]
