"""Wide residual networks with pre-activation blocks.

Zagoruyko and Komodakis, "Wide Residual Networks", as in FDG's code: convolutions with bias, the stride in a block's
second convolution, and a last batch norm whose running statistics take 0.9 of each new batch.
"""

from __future__ import annotations

import numpy as np

from minilocal.errors import UserError, whole
from minilocal.layers import BatchNormReLU, Conv, Flatten, GlobalAveragePool, Layer, Linear, PreActivation, Sequential
from minilocal.layers.initial import Initializer
from minilocal.nets.net import Net, Size, image
from minilocal.nets.recipe import with_recipe


@with_recipe
def wrn(
    depth: int = 28,
    width: int = 10,
    *,
    classes: int = 10,
    rng: np.random.Generator | Initializer,
    channels: int = 3,
    size: Size = 32,
    init: str = "infopro",
) -> Net:
    """WRN-depth-width: a convolution, then three stages of (depth - 4) / 6 blocks of 16, 32, 64 times `width` channels.

    A unit is the first convolution or one block; the last norm and ReLU belong to the head. Zagoruyko and Komodakis,
    "Wide Residual Networks".

    Args:
        depth: 6m + 4: 10, 16, 22, 28, ...
        width: how many times as many channels as a ResNet, 1 or more.
        classes, rng, channels, size, init: as in `resnet`.

    Raises: UserError where the depth is not 6m + 4, the width is none, or as `resnet`.
    """
    m, width = blocks(depth, width), whole("wrn: the width", width)
    shape, classes, initial = image("wrn", size, channels), whole("wrn: classes", classes), Initializer.of(rng, init)
    units: list[Layer] = [Sequential([Conv(channels, 16, 3, initial, pad=1, bias=True, name="conv1")], "stem")]
    inputs = 16
    for stage in (1, 2, 3):
        outputs = width * 8 * 2**stage
        for block in range(m):
            stride = 2 if stage > 1 and block == 0 else 1
            units.append(PreActivation(inputs, outputs, stride, initial, name=f"layer{stage}.{block}"))
            inputs = outputs
    last = BatchNormReLU(inputs, initial, name="bn1", momentum=0.9)
    head = Sequential(
        [last, GlobalAveragePool(), Flatten(), Linear(inputs, classes, initial, name="fc", last=True)], "head"
    )
    return Net(f"wrn{depth}-{width}", units, head, classes, shape, initial)


def blocks(depth: int, width: int) -> int:
    """m, the blocks of a stage of WRN-depth-width. Raises: UserError where depth is not 6m + 4, or width is none."""
    m, rest = divmod(whole("wrn: the depth", depth) - 4, 6)
    width = whole("wrn: the width", width)
    if rest or m < 1:
        raise UserError(f"WRN-{depth}-{width}: the depth is 6m + 4 (10, 16, 22, 28, ...).")
    return m
