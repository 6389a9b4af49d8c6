"""Residual networks: CIFAR's ResNet-n with n = 6m + 2, and ResNet-18 with CIFAR's stem.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition". A unit is the stem (convolution, norm, ReLU)
or one residual block.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minilocal.errors import UserError, whole
from minilocal.layers import BatchNormReLU, Conv, Flatten, GlobalAveragePool, Layer, Linear, Residual, Sequential
from minilocal.layers.initial import Initializer
from minilocal.nets.net import Net, Size, image
from minilocal.nets.recipe import with_recipe


@with_recipe
def resnet(
    n: int,
    *,
    classes: int = 10,
    rng: np.random.Generator | Initializer,
    channels: int = 3,
    size: Size = 32,
    shortcut: str = "B",
    init: str = "infopro",
) -> Net:
    """ResNet-n for images of any size: a stem and three stages of m blocks of 16, 32 and 64 channels, n = 6m + 2.

    Args:
        n: layers, 6m + 2: 8, 14, 20, 26, 32, ...
        classes: 2 or more.
        rng: a generator, as minilocal.rng(0): one key is drawn from it, and all initial weights are named by that.
        channels: of an image, 1 or more.
        size: the side of an image, in pixels, or (height, width).
        shortcut: where a block changes the shape: B (1×1 convolution and norm), A-both or A-end (zeros).
        init: how weights begin, one of minilocal.layers.SCHEMES. An Initializer as `rng` has its own scheme.

    He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition".

    Raises: UserError where n is not 6m + 2, the shortcut or initialisation is not known, or classes, channels or size
    are none.
    """
    m, initial = blocks(n), Initializer.of(rng, init)
    return _stages(f"resnet{n}", (16, 32, 64), m, classes, channels, size, shortcut, initial)


def blocks(n: int) -> int:
    """m, the blocks of a stage of ResNet-n. Raises: UserError where n is not 6m + 2."""
    m, rest = divmod(whole("resnet: the depth n", n) - 2, 6)
    if rest or m < 1:
        near = max(8, 6 * round((n - 2) / 6) + 2)
        hint = " ResNet-18 is nets.resnet18." if n == 18 else ""
        raise UserError(f"ResNet-{n} is none of CIFAR's: the depth is 6m + 2, the nearest is ResNet-{near}.{hint}")
    return m


@with_recipe
def resnet18(
    *,
    classes: int = 10,
    rng: np.random.Generator | Initializer,
    channels: int = 3,
    size: Size = 32,
    shortcut: str = "B",
    init: str = "infopro",
) -> Net:
    """ResNet-18 with a 3×3 stem: four stages of two blocks of 64, 128, 256 and 512 channels. Options as in `resnet`.

    Raises: UserError as `resnet`.
    """
    return _stages("resnet18", (64, 128, 256, 512), 2, classes, channels, size, shortcut, Initializer.of(rng, init))


def _stages(
    name: str,
    widths: Sequence[int],
    m: int,
    classes: int,
    channels: int,
    size: Size,
    shortcut: str,
    initial: Initializer,
) -> Net:
    shape, classes, width = image(name, size, channels), whole(f"{name}: classes", classes), widths[0]
    stem: list[Layer] = [
        Conv(channels, width, 3, initial, pad=1, name="conv1"),
        BatchNormReLU(width, initial, name="bn1"),
    ]
    units: list[Layer] = [Sequential(stem, "stem")]
    for stage, outputs in enumerate(widths, 1):
        for block in range(m):
            stride = 2 if stage > 1 and block == 0 else 1
            units.append(Residual(width, outputs, stride, initial, option=shortcut, name=f"layer{stage}.{block}"))
            width = outputs
    head = Sequential([GlobalAveragePool(), Flatten(), Linear(width, classes, initial, name="fc", last=True)], "head")
    return Net(name, units, head, classes, shape, initial)
