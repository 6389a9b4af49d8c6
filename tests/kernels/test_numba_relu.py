"""The compiled ReLU is the plain one, bit for bit: at zero, at NaN, and however an array lies."""

import numpy as np
import pytest

from minilocal import streams
from tests.helpers.plain import plain

pytest.importorskip("numba", reason="compiled by Numba: pip install 'minilocal[fast]'")

from minilocal.kernels.numba.relu import PART, relu, relu_backward

SPECIAL = (0.0, -0.0, np.nan, np.inf, -np.inf)


def numbers(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """A third of them are special."""
    rng = streams.rng(seed)
    return np.where(rng.random(shape) < 1 / 3, rng.choice(SPECIAL, shape), rng.standard_normal(shape)).astype(dtype)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """The signs of zeros too. Any two NaN are the same."""
    nan = np.isnan(a)
    return a.dtype == b.dtype and np.array_equal(nan, np.isnan(b)) and a[~nan].tobytes() == b[~nan].tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 0), (3, 7, 5, 20), (3, PART // 8)], ids=str)
@pytest.mark.filterwarnings("ignore:invalid value")  # plain: inf · 0
def test_the_bits_of_the_plain_code(shape, dtype):
    x, dy = numbers(shape, dtype, 0), numbers(shape, dtype, 1)
    for each in (x, x.T, x[..., ::2]) if x.ndim else (x,):
        assert same_bits(relu(each), plain.relu(each))
    assert same_bits(relu_backward(dy, x), plain.relu_backward(dy, x))
    assert same_bits(relu_backward(dy.T, x.T), plain.relu_backward(dy.T, x.T))


def test_arrays_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(4,\), \(3,\)"):
        relu_backward(np.zeros(4), np.zeros(3))
