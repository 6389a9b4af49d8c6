"""Option A to the letter: which pixels, and where the zeros go."""

import numpy as np
import pytest

from minilocal import streams
from minilocal.errors import UserError
from minilocal.layers import Initializer, PadShortcut, PassContext, Residual
from tests.helpers.host import host


@pytest.mark.parametrize("side, before", [("A-both", 4), ("A-end", 0)])
def test_every_second_pixel_and_zeros_around_the_old_channels(side, before):
    x = streams.rng(0).standard_normal((2, 5, 6, 8))
    y = host(PadShortcut(8, 16, 2, side).forward(x, PassContext())[0])
    assert y.shape == (2, 3, 3, 16)
    assert np.array_equal(y[..., before : before + 8], x[:, ::2, ::2])
    assert not y[..., :before].any() and not y[..., before + 8 :].any()


def test_an_unknown_shortcut_and_one_that_cannot_be():
    with pytest.raises(UserError, match="shortcut 'C' is not known"):
        Residual(4, 8, 2, Initializer(0), option="C")
    with pytest.raises(UserError, match="from 8 to 4: use B"):
        Residual(8, 4, 2, Initializer(0), option="A-end")


@pytest.mark.parametrize("option", ["A-both", "A-end", "B"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_shapes_of_blocks_and_shortcuts_are_known_before(option, stride):
    """Sides that the stride does not divide are rounded up."""
    x = streams.rng(0).standard_normal((2, 5, 7, 8), dtype="float32")
    shortcut = PadShortcut(8, 16, stride, "A-end")
    assert shortcut.out_shape((5, 7, 8)) == shortcut.forward(x, PassContext())[0].shape[1:]
    block = Residual(8, 16, stride, Initializer(0), option=option)
    assert block.out_shape((5, 7, 8)) == block.forward(x, PassContext())[0].shape[1:]
