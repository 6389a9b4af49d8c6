"""Max pooling's fast form beside the plain one: the same bits, places too."""

import numpy as np
import pytest

from minilocal import streams
from minilocal.kernels import cpu
from tests.helpers.plain import plain

WINDOWS = [
    ((3, 8, 8, 5), 2, 2),
    ((3, 7, 9, 5), 2, 2),
    ((2, 9, 9, 3), 3, 2),
    ((2, 9, 9, 3), 3, 3),
    ((2, 9, 9, 3), 2, 3),
    ((1, 5, 5, 1), 5, 1),
    ((2, 19, 17, 3), 16, 1),
    ((2, 19, 18, 3), 17, 1),
    ((70, 16, 16, 40), 2, 2),
]


@pytest.mark.parametrize("shape, k, stride", WINDOWS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_fast_form_is_the_plain_one(shape, k, stride, dtype):
    rng = streams.rng(0)
    x = np.round(2 * rng.standard_normal(shape)).astype(dtype)  # many equals: the first of them counts
    y, argmax = cpu.max_pool(x, k, stride)
    plain_y, plain_place = plain.max_pool(x, k, stride)
    assert argmax.dtype == plain_place.dtype == (np.uint8 if k <= 16 else np.uint16) and y.dtype == dtype
    assert np.array_equal(y, plain_y) and np.array_equal(argmax, plain_place)
    dy = rng.standard_normal(y.shape).astype(dtype)
    dx = cpu.max_pool_backward(dy, argmax, shape, k, stride)
    assert dx.dtype == dtype and np.array_equal(dx, plain.max_pool_backward(dy, argmax, shape, k, stride))


NO_WINDOWS = [
    ((1, 3, 3, 2), 6, 1),
    ((1, 3, 9, 2), 4, 3),
    ((1, 9, 3, 2), 4, 1),
    ((1, 3, 3, 2), 0, 1),
    ((1, 3, 3, 2), 2, 0),
]


@pytest.mark.parametrize("shape, k, stride", NO_WINDOWS, ids=str)
@pytest.mark.parametrize("forms", [plain, cpu], ids=["plain", "cpu"])
def test_images_that_are_smaller_than_a_window_are_refused(forms, shape, k, stride):
    """A count of windows below 0 would be one from the end, to a slice."""
    x, one = np.ones(shape, "float32"), np.ones((1, 1, 1, 2), "float32")
    with pytest.raises(ValueError, match="met windows of"):
        forms.max_pool(x, k, stride)
    with pytest.raises(ValueError, match="met windows of"):
        forms.max_pool_backward(one, one.astype("uint8"), shape, k, stride)
