"""The other CUDA kernels, run on the host, beside their plain forms: pooling, losses, masks, crops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilocal import streams
from minilocal.kernels import cuda
from minilocal.streams import stream_key
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake, fetch
from tests.helpers.on_device import on_device
from tests.helpers.plain import plain
from tests.kernels.test_pool_kernel import NO_WINDOWS

pytestmark = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))
often = settings(deadline=None, derandomize=True, max_examples=25)
TYPES = st.sampled_from(["float32", "float64"])


def same(ours, theirs):
    return ours.dtype == theirs.dtype and np.array_equal(ours, theirs)


# ------------------------------------------------------------------ max pooling


@st.composite
def pools(draw):
    k, stride = draw(st.sampled_from([(2, 2), (3, 2), (3, 1), (2, 3)]))
    return (
        (draw(st.integers(1, 3)), draw(st.integers(k, 9)), draw(st.integers(k, 9)), draw(st.integers(1, 9))),
        k,
        stride,
    )


@given(pools(), st.integers(0, 99), TYPES)
@often
def test_max_pooling(geometry, seed, dtype):
    """Of few different numbers, so that the largest stands in several places: the first one counts."""
    (shape, k, stride), rng = geometry, streams.rng(seed)
    x = rng.integers(0, 4, shape).astype(dtype)
    y, argmax = on_device(cuda.max_pool, x, k, stride)
    expected = plain.max_pool(x, k, stride)
    assert same(y, expected[0]) and same(argmax, expected[1])
    dy = rng.standard_normal(y.shape).astype(dtype)
    dx = on_device(cuda.max_pool_backward, dy, argmax, shape, k, stride)
    assert same(dx, plain.max_pool_backward(dy, argmax, shape, k, stride))


@pytest.mark.parametrize("k", [16, 17])
def test_windows_of_more_places_than_a_byte_numbers(k):
    x = streams.rng(0).standard_normal((2, 18, 18, 3)).astype("float32")
    y, argmax = on_device(cuda.max_pool, x, k, 1)
    expected = plain.max_pool(x, k, 1)
    assert same(y, expected[0]) and same(argmax, expected[1]) and argmax.itemsize == (1 if k == 16 else 2)
    dx = on_device(cuda.max_pool_backward, y, argmax, x.shape, k, 1)
    assert same(dx, plain.max_pool_backward(y, argmax, x.shape, k, 1))


@pytest.mark.parametrize("shape, k, stride", NO_WINDOWS, ids=str)
def test_images_that_are_smaller_than_a_window_are_refused(shape, k, stride):
    x, one = np.ones(shape, "float32"), np.ones((1, 1, 1, 2), "float32")
    with pytest.raises(ValueError, match="met windows of"):
        on_device(cuda.max_pool, x, k, stride)
    with pytest.raises(ValueError, match="met windows of"):
        on_device(cuda.max_pool_backward, one, one.astype("uint8"), shape, k, stride)


def test_errors_of_other_windows_are_refused():
    """The kernel would read what lies beyond them."""
    dy, argmax = np.zeros((2, 3, 3, 4)), np.zeros((2, 3, 3, 4), "uint8")
    for shape, places in (((2, 5, 6, 4), argmax), ((1, 6, 6, 4), argmax), ((2, 6, 6, 4), argmax[:, 1:])):
        with pytest.raises(ValueError, match=r"dy \(2, 3, 3, 4\)"):
            on_device(cuda.max_pool_backward, dy, places, shape, 2, 2)


def test_a_number_that_is_none_comes_through_a_pool():
    x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    x[0, 0, 0] = x[0, 1, 2] = np.nan
    y, _ = on_device(cuda.max_pool, x, 2, 2)
    assert np.array_equal(y, plain.max_pool(x, 2, 2)[0], equal_nan=True) and np.isnan(y[0, 0]).all()


# ------------------------------------------------------------------ the mean of whole maps

EPS = {"float32": float(np.finfo("f4").eps), "float64": float(np.finfo("f8").eps)}


@given(st.tuples(*[st.integers(1, most) for most in (4, 9, 9, 70)]), st.integers(0, 99), TYPES)
@often
def test_the_mean_of_maps(shape, seed, dtype):
    """A thread adds P pixels at most, each time off by half an eps of what it has; then everything is in double."""
    rng, P = streams.rng(seed), shape[1] * shape[2]
    x, dy = rng.standard_normal(shape).astype(dtype), rng.standard_normal((shape[0], 1, 1, shape[3])).astype(dtype)
    y = on_device(cuda.global_average_pool, x)
    assert y.shape == dy.shape and y.dtype == x.dtype
    wide = x.astype("float64")
    off = (P + 1) * EPS[dtype] * np.abs(wide).mean(axis=(1, 2), keepdims=True)
    assert (np.abs(y - wide.mean(axis=(1, 2), keepdims=True)) <= off).all()
    dx = on_device(cuda.global_average_pool_backward, dy, shape)
    assert same(dx, plain.global_average_pool_backward(dy, shape))


def test_the_mean_of_a_map_whose_channels_take_several_blocks():
    x = streams.rng(0).standard_normal((2, 2, 3, 2100)).astype("float32")
    y = on_device(cuda.global_average_pool, x)
    assert np.abs(y - plain.global_average_pool(x.astype("float64"))).max() < 1e-6
    assert same(on_device(cuda.global_average_pool_backward, y, x.shape), np.broadcast_to(y * (1 / 6), x.shape))


# ------------------------------------------------------------------ products


@pytest.mark.parametrize("rows, I, O", [(5, 7, 3), (33, 40, 10), (2, 1, 6), (2, 6, 1)])
def test_a_product_by_a_transpose_copies_nothing(rows, I, O):
    rng = streams.rng(0)
    dy, W = rng.standard_normal((rows, O)), rng.standard_normal((I, O))
    dx = on_device(lambda dy, W: cuda.matmul(dy, W.T), dy, W)
    assert dx.shape == (rows, I) and np.abs(dx - dy @ W.T).max() < 1e-12
    ours, matrix = fake.asarray(dy), fake.asarray(W)
    with counting() as counts:
        cuda.matmul(ours, matrix.T)
    assert counts.launches == 2  # memory, and a kernel


# ------------------------------------------------------------------ softmax


@given(st.integers(1, 40), st.integers(1, 130), st.sampled_from(["uint8", "int32", "int64"]), st.integers(0, 99))
@often
def test_cross_entropy(rows, classes, labels, seed):
    rng = streams.rng(seed)
    z, y = rng.standard_normal((rows, classes)) * 10, rng.integers(0, classes, rows).astype(labels)
    loss, dz = on_device(cuda.cross_entropy, z, y)
    exact, error = plain.cross_entropy(z, y)
    assert loss.shape == () and loss.dtype == np.float64 and np.isclose(loss, exact, rtol=1e-13, atol=1e-14)
    assert dz.dtype == z.dtype and np.abs(dz - error).max() <= 1e-14


def test_cross_entropy_in_float32_is_off_by_its_own_rounding():
    """log p is off by half an eps of its parts and of each of the C numbers summed; p by as much, relatively."""
    rng, eps, (N, C) = streams.rng(0), np.finfo("f4").eps, (37, 100)
    z, y = rng.standard_normal((N, C), "float32") * 10, rng.integers(0, C, N)
    loss, dz = on_device(cuda.cross_entropy, z, y)
    exact, error = plain.cross_entropy(z.astype("float64"), y)
    off = (z.max(axis=1, keepdims=True) - z + C + 4) * eps
    assert loss.dtype == np.float64 and abs(loss - exact) <= off[np.arange(N), y].mean()
    assert dz.dtype == np.float32 and (np.abs(dz - error) <= (off * np.exp(z - z.max()) + 4 * eps) / N).all()


def test_logits_far_apart_and_a_class_that_is_none():
    z = np.array([[1e4, 0, -1e4], [0, 0, 0]], "float32")
    loss, dz = on_device(cuda.cross_entropy, z, np.array([0, 2]))
    assert np.isclose(loss, np.log(3) / 2) and np.isfinite(dz).all()
    assert np.isnan(on_device(cuda.cross_entropy, z, np.array([0, 3]))[0])


# ------------------------------------------------------------------ ReLU


@pytest.mark.parametrize("shape", [(1,), (3, 5, 5, 7), (1300,)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relu_and_its_mask(shape, dtype):
    rng = streams.rng(0)
    x, dy = rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape).astype(dtype)
    x.reshape(-1)[0] = 0
    a = on_device(cuda.relu, x)
    assert same(a, plain.relu(x)) and same(on_device(cuda.relu_backward, dy, a), plain.relu_backward(dy, a))


# ------------------------------------------------------------------ dropout

WORDS = st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1])


@given(
    st.tuples(WORDS, st.text("abc"), WORDS, WORDS, WORDS),
    st.one_of(st.tuples(st.integers(1, 70)), st.tuples(st.integers(1, 9), st.integers(1, 300))),
    st.sampled_from([0.1, 0.3, 0.5, 0.9]),
    TYPES,
)
@often
def test_a_dropout_mask_is_numpy_s_own_stream(words, shape, rate, dtype):
    name, x = stream_key(*words), np.empty(shape, dtype)
    theirs = plain.dropout_mask(x, rate, name)
    assert same(on_device(cuda.dropout_mask, x, rate, name), theirs)
    clock = np.array([name.epoch, name.step])
    elsewhere = name._replace(epoch=7, step=8)
    assert same(on_device(cuda.dropout_mask, x, rate, elsewhere, clock), theirs)


def test_a_long_mask_is_numpy_s_own_stream():
    x, name = np.empty(100_003, "float32"), stream_key(2**63 - 1, "dropout classifier.3", 12, 345, 6)
    assert same(on_device(cuda.dropout_mask, x, 0.5, name), plain.dropout_mask(x, 0.5, name))


def test_a_number_that_is_the_rate_itself_is_kept():
    name, x = stream_key(1, "dropout"), np.empty(9, "float32")
    rate = float(name.stream().random(9, dtype=np.float32)[5])
    mask = on_device(cuda.dropout_mask, x, rate, name)
    assert mask[5] > 0 and same(mask, plain.dropout_mask(x, rate, name))


# ------------------------------------------------------------------ crops


@given(
    st.tuples(*[st.integers(1, high) for high in (4, 8, 8, 4)]),
    st.integers(0, 9),
    st.sampled_from(["constant", "reflect"]),
    st.integers(0, 99),
    TYPES,
)
@often
def test_crops(shape, padding, mode, seed, dtype):
    """Padding may be wider than the image: reflections of reflections."""
    rng, N = streams.rng(seed), 5
    images, table = rng.integers(0, 256, shape, "uint8"), rng.standard_normal((256, shape[-1])).astype(dtype)
    places = [rng.integers(0, high, N) for high in (shape[0], 2 * padding + 1, 2 * padding + 1, 2)]
    operands = images, np.stack(places, axis=1).astype("int32"), table, padding, mode
    assert same(on_device(cuda.crop_flip_normalise, *operands), plain.crop_flip_normalise(*operands))


def test_picks_that_are_part_of_an_array():
    """`there[part]` of a longer table of picks, and columns that lie apart."""
    rng = streams.rng(0)
    images, table = rng.integers(0, 256, (9, 8, 8, 3), "uint8"), rng.standard_normal((256, 3))
    picks = np.stack([rng.integers(0, high, 20) for high in (9, 9, 9, 2)], axis=0).astype("int32")
    ours = cuda.crop_flip_normalise(fake.asarray(images), fake.asarray(picks).T[4:9], fake.asarray(table), 4, "reflect")
    assert same(fetch(ours), plain.crop_flip_normalise(images, picks.T[4:9], table, 4, "reflect"))
