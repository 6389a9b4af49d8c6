"""VGG16 and AlexNet as adapted to 32×32 images: every convolution and every fully connected layer is a unit.

The BackLink paper states the units; channel counts of AlexNet, poolings and widths of the fully connected layers are
this project's choice (docs/design.md), since the paper does not state them. A pool belongs to the convolution
before it; the output layer is the last unit, so the head is empty. That paper also says "ReLU, before which batch
normalization was applied": `fc_norm` has it in the hidden fully connected layers too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minilocal.errors import UserError, whole
from minilocal.layers import BatchNormReLU, Conv, Dropout, Flatten, Layer, Linear, MaxPool, ReLU, Sequential
from minilocal.layers.initial import Initializer
from minilocal.nets.net import Net, Size, image
from minilocal.nets.recipe import with_recipe

POOL = "M"
VGG16 = (64, 64, POOL, 128, 128, POOL, 256, 256, 256, POOL, 512, 512, 512, POOL, 512, 512, 512, POOL)
ALEXNET = (64, POOL, 192, POOL, 384, 256, 256, POOL)


@with_recipe
def vgg16(
    *,
    classes: int = 10,
    rng: np.random.Generator | Initializer,
    channels: int = 3,
    size: Size = 32,
    init: str = "infopro",
    hidden: int = 512,
    fc_norm: bool = False,
) -> Net:
    """VGG16 with batch norm: 13 convolutions and 3 fully connected layers, 16 units. Images of 32×32 or more.

    Options as in `resnet`; `hidden` is the width of the two hidden fully connected layers, `fc_norm` their batch norm.

    Raises: UserError as `resnet`, for smaller images, and a width that is none.
    """
    return _network("vgg16", VGG16, True, classes, channels, size, Initializer.of(rng, init), hidden, fc_norm)


@with_recipe
def alexnet(
    *,
    classes: int = 10,
    rng: np.random.Generator | Initializer,
    channels: int = 3,
    size: Size = 32,
    init: str = "infopro",
    hidden: int = 1024,
    fc_norm: bool = False,
) -> Net:
    """AlexNet with 3×3 convolutions and batch norm: 5 convolutions and 3 fully connected layers, 8 units.

    Options as in `resnet`; `hidden` is the width of the two hidden fully connected layers, `fc_norm` their batch norm.
    Images of 32×32 or more.

    Raises: UserError as `resnet`, for smaller images, and a width that is none.
    """
    return _network("alexnet", ALEXNET, False, classes, channels, size, Initializer.of(rng, init), hidden, fc_norm)


def _network(
    name: str,
    plan: Sequence[int | str],
    bias: bool,
    classes: int,
    channels: int,
    size: Size,
    initial: Initializer,
    hidden: int,
    fc_norm: bool,
) -> Net:
    shape, classes = image(name, size, channels), whole(f"{name}: classes", classes)
    hidden = whole(f"{name}: hidden", hidden)
    height, width, channels = shape
    if min(height, width) < 32:
        raise UserError(
            f"{name} was given images of {height}×{width}: it needs 32×32 or more. Use a ResNet or the MLP."
        )
    units: list[Layer] = []
    index, inputs = 0, channels
    for place, outputs in enumerate(plan):
        if outputs == POOL:
            continue
        outputs = int(outputs)
        layers: list[Layer] = [
            Conv(inputs, outputs, 3, initial, pad=1, bias=bias, name=f"features.{index}"),
            BatchNormReLU(outputs, initial, name=f"features.{index + 1}"),
        ]
        index, inputs = index + 3, outputs  # convolution, norm and ReLU count, as in torch.nn.Sequential
        if plan[place + 1 : place + 2] == (POOL,):
            layers.append(MaxPool(2, name=f"features.{index}"))
            index, height, width = index + 1, height // 2, width // 2
        units.append(Sequential(layers, layers[0].name))
    features = inputs * height * width
    second, third = (4, 8) if fc_norm else (3, 6)  # dropout, linear, norm and ReLU count
    last = f"classifier.{third}"
    units += [
        _fully_connected(0, features, hidden, initial, fc_norm, Flatten()),
        _fully_connected(second, hidden, hidden, initial, fc_norm),
        Sequential([Linear(hidden, classes, initial, name=last, last=True)], last),
    ]
    return Net(name, units, Sequential([], "head"), classes, shape, initial)


def _fully_connected(index: int, inputs: int, outputs: int, initial: Initializer, norm: bool, *first: Layer) -> Layer:
    """A unit of the classifier: dropout on its input, then linear, batch norm where asked for, ReLU."""
    drop = Dropout(0.5, name=f"classifier.{index}")
    linear = Linear(inputs, outputs, initial, name=f"classifier.{index + 1}")
    name = f"classifier.{index + 2}"
    relu = BatchNormReLU(outputs, initial, name=name) if norm else ReLU(name)
    return Sequential([*first, drop, linear, relu], linear.name)
