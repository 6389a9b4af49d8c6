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
