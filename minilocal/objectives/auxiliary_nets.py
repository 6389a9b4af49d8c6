"""Auxiliary networks: the family <c>c<f>f of c convolutions and f fully connected layers, from InfoPro's code.

The BackLink paper's linear classifier is 0c1f, its convolutional one 1c2f; AUX-ADAPT (Locally Supervised Learning
with Periodic Global Guidance) changes the member with depth. Convolutions on CIFAR's ResNet widths:

    16 → 32, stride 2        32 → 64, stride 2        64 → 64, stride 1

and at other widths C → min(2C, widest) with stride 2 while the map is larger than 8×8, then C → C with stride 1 (this
project's choice). Behind fully connected units the convolutions are left out. DGL's networks are in `dgl_nets`.

The names take options for other readings of the BackLink paper, as 1c2f+bn+dropout: +flat each member and aux-adapt,
+bn and +dropout those of them with a hidden fully connected layer.

    +bn         batch norm before the ReLU of each hidden fully connected layer
    +dropout    dropout 0.5 behind that ReLU
    +flat       the whole map goes into the fully connected layers, instead of one mean per channel
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from minilocal.errors import UserError, unknown
from minilocal.layers import Conv, Dropout, Flatten, GlobalAveragePool, Layer, Linear, ReLU, Sequential
from minilocal.layers.base import Shape
from minilocal.layers.norm import BatchNormReLU
from minilocal.objectives import dgl_nets
from minilocal.objectives.base import ClassifierLoss, ModuleContext, ObjectiveSpec

FAMILY = {"0c1f": (0, 1), "0c2f": (0, 2), "1c1f": (1, 1), "1c2f": (1, 2), "1c3f": (1, 3), "2c2f": (2, 2)}
NAMES = (*FAMILY, "aux-adapt", *dgl_nets.NAMES)
OPTIONS = ("bn", "dropout", "flat")
TAKES_OPTIONS = (*FAMILY, "aux-adapt")
MORE = f"{', '.join(f'+{option}' for option in OPTIONS)} behind {', '.join(TAKES_OPTIONS)}"
HIDDEN = 128  # features between fully connected layers
CIFAR = {16: (32, 2), 32: (64, 2), 64: (64, 1)}  # channels in: channels out, stride
ADAPT = ("2c2f", "1c3f", "1c2f")  # for 16, 32, 64 channels, or by thirds of the depth


@dataclass(frozen=True)
class ClassifierSpec(ObjectiveSpec):
    """The cross entropy of an auxiliary classifier, in every module below the last.

    `aux` is the network's name, one of `minilocal.objectives.NAMES`.

    Raises: UserError for an unknown name.
    """

    aux: str = "0c1f"

    def __post_init__(self) -> None:
        check_name(self.aux)

    def build(self, context: ModuleContext) -> ClassifierLoss:
        """The auxiliary classifier of this module, its arrays named aux.{k}.{i} as in torch.nn.Sequential."""
        return ClassifierLoss(auxiliary_network(self.aux, context))

    def describe(self) -> str:
        return f"a classifier ({self.aux})"

    def warnings(self, shapes: Sequence[Shape]) -> list[str]:
        name, vectors = self.aux.partition("+")[0], [k + 1 for k, shape in enumerate(shapes) if len(shape) == 1]
        if not vectors or FAMILY.get(name, (1, 0))[0] == 0:
            return []
        is_dgls, numbers = name in dgl_nets.NAMES, ", ".join(map(str, vectors))
        where = f"modules {numbers} end with" if len(vectors) > 1 else f"module {numbers} ends with"
        effect = "is one linear layer, as 0c1f is" if is_dgls else "has no convolutions"
        so = ": this is greedy local learning through 0c1f" * (is_dgls and len(vectors) == len(shapes))
        return [f"{self.aux} behind the fully connected units that {where} {effect}{so}."]


def check_name(aux: str) -> None:
    """Check the name of an auxiliary network, options included.

    Raises: UserError for a name that is none of `NAMES`, and for options that it does not take.
    """
    name, *options = aux.split("+") if isinstance(aux, str) else [aux]
    if name not in NAMES:
        raise unknown("auxiliary network", name, NAMES, more=f"with {MORE}")
    for option in options:
        if option not in OPTIONS:
            raise unknown(f"auxiliary network {aux!r}: option", option, OPTIONS)
    if options and name not in TAKES_OPTIONS:
        raise UserError(f"auxiliary network {aux!r}: {name} has no options. There are {MORE}.")
    if len(set(options)) < len(options):
        raise UserError(f"auxiliary network {aux!r} names an option twice: once is enough.")
    hidden = [option for option in options if option != "flat"]
    if hidden and FAMILY.get(name, (0, 2))[1] < 2:
        raise UserError(
            f"auxiliary network {aux!r}: {hidden[0]} is for hidden fully connected layers, and {name} has none; give "
            f"{name.replace('1f', '2f')}+{hidden[0]}."
        )


def auxiliary_network(aux: str, context: ModuleContext, branch: str = "", outputs: int | None = None) -> Sequential:
    """The auxiliary network `aux` for this module: from h_k to one logit per class, or to `outputs` numbers.

    Its arrays are named aux.{k}.{i}, as one branch of several aux.{k}.{branch}.{i}.
    """
    name, outputs = f"aux.{context.module}" + f".{branch}" * bool(branch), outputs or context.classes
    if aux in dgl_nets.NAMES:
        return dgl_nets.network(aux, context, name, outputs)
    member, *options = aux.split("+")
    return _family(FAMILY[_aux_adapt(context) if member == "aux-adapt" else member], options, context, name, outputs)


def _family(
    member: tuple[int, int], options: Collection[str], context: ModuleContext, name: str, outputs: int
) -> Sequential:
    (convolutions, connected), initial, index, features = member, context.initial, 0, context.shape[-1]
    layers: list[Layer] = []
    if len(context.shape) == 3:
        for number in range(convolutions):
            wide, stride = _convolution(context) if number == 0 else (features, 1)
            layers.append(Conv(features, wide, 3, initial, stride=stride, pad=1, name=f"{name}.{index}"))
            layers.append(BatchNormReLU(wide, initial, name=f"{name}.{index + 1}"))
            features, index = wide, index + 3
        if "flat" not in options:
            layers.append(GlobalAveragePool(name=f"{name}.{index}"))
            index += 1
        layers.append(Flatten(f"{name}.{index}"))
        index, features = index + 1, Sequential(layers).out_shape(context.shape)[0]
    for _ in range(connected - 1):
        layers.append(Linear(features, HIDDEN, initial, name=f"{name}.{index}"))
        if "bn" in options:
            layers.append(BatchNormReLU(HIDDEN, initial, name=f"{name}.{index + 1}"))
        else:
            layers.append(ReLU(f"{name}.{index + 1}"))
        features, index = HIDDEN, index + (3 if "bn" in options else 2)
        if "dropout" in options:
            layers.append(Dropout(0.5, name=f"{name}.{index}"))
            index += 1
    layers.append(Linear(features, outputs, initial, name=f"{name}.{index}"))
    return Sequential(layers, name)


def _convolution(context: ModuleContext) -> tuple[int, int]:
    """(output channels, stride) of the first convolution."""
    H, W, C = context.shape
    if context.widest == 64 and C in CIFAR:
        return CIFAR[C]
    return (min(2 * C, context.widest), 2) if min(H, W) > 8 else (C, 1)


def _aux_adapt(context: ModuleContext) -> str:
    """AUX-ADAPT's member of the family: by width in CIFAR's ResNets, elsewhere by thirds of the depth."""
    if context.widest == 64 and len(context.shape) == 3 and context.shape[2] in CIFAR:
        return ADAPT[list(CIFAR).index(context.shape[2])]
    return ADAPT[min(2, 3 * (context.unit - 1) // context.units)]
