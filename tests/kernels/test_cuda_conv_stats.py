"""conv2d_stats on the fake device: z to the bit, and the statistics of that z, however far from zero it lies."""

import numpy as np
import pytest

import minilocal as ml
from minilocal import device, ops, streams
from minilocal.kernels import cuda
from minilocal.kernels.cuda import batch_norm, conv, implicit_gemm
from minilocal.kernels.cuda.last_block import counters_of
from minilocal.kernels.cuda.launch import Kernel
from minilocal.layers import BatchNormReLU, Conv, Layer, PassContext, Residual, Sequential
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake, fetch
from tests.helpers.conv_cases import draw_numbers
from tests.helpers.host import host
from tests.helpers.on_device import on_device
from tests.helpers.plain import plain
from tests.kernels.test_cuda_conv import CONV_TILES, WINDOWS, tiles_for

pytestmark = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))

EPS = 1e-5
ADDED = 8 + 16 + 3  # in float32, one after another: a thread's pixels, a part of a channel's threads, the parts


def z_and_statistics(x, W, stride, pad):
    """(z, μ, σ², r) of our kernels, in two orders of threads."""

    def work(x, W):
        z, statistics = cuda.conv2d_stats(x, W, stride, pad, EPS)
        return z, *statistics[:3]

    return on_device(work, x, W)


def is_right(z, mean, variance, r):
    """A sum of d = z - z₀ is off by ADDED roundings, at most, of a number that is at most the range of z.

    Half an eps each; a result has one more. In float64 the sums over blocks count as well: there are fewer than ADDED.
    """
    rows = z.reshape(-1, z.shape[-1]).astype("float64")
    eps, width = np.finfo(z.dtype).eps, np.ptp(rows, axis=0)
    off = 2 * ADDED * eps
    assert (np.abs(mean - rows.mean(axis=0)) <= off * width + eps * np.abs(rows.mean(axis=0))).all()
    assert (np.abs(variance - rows.var(axis=0)) <= 2 * off * width**2).all()
    assert np.allclose(r, 1 / np.sqrt(variance + EPS), rtol=4 * eps, atol=0) and mean.dtype == variance.dtype == z.dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_z_is_conv2ds_and_the_statistics_are_zs(window, dtype):
    k, stride, C, O = window
    for shape, pad in (((3, 8, 9, C), k // 2), ((1, k, k, C), 0)):
        x, W, _ = (a.astype(dtype) for a in draw_numbers((shape, (k, k, C, O), stride, pad), 0))
        with tiles_for((3, 5, 6)):
            z, *statistics = z_and_statistics(x, W, stride, pad)
            assert np.array_equal(z, on_device(cuda.conv2d, x, W, stride, pad))
        is_right(z, *statistics)


@pytest.mark.parametrize("sides", CONV_TILES, ids=str)
def test_every_tile_adds_up_its_own_pixels_and_no_others(sides, monkeypatch):
    """Two images of 7 x 9 fill none of the tiles: what lies outside of them is not in a sum, nor counted."""
    tile = dict(zip(("LN", "TN", "TM", "TQ", "TP", "G"), sides, strict=True), CK=8, DEEP=2)
    monkeypatch.setattr(implicit_gemm, "plan", lambda *_: tile)
    x, W, _ = (a.astype("float32") for a in draw_numbers(((2, 7, 9, 9), (3, 3, 9, 18), 1, 1), 0))
    is_right(*z_and_statistics(x, W, 1, 1))


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("deviations", [1e2, 1e4])
def test_the_variance_is_right_far_from_zero(k, deviations):
    """float32 keeps 7 digits: of E[z²] - E[z]² nothing would be left at a mean of 1e4 deviations."""
    x = (streams.rng(0).standard_normal((16, 8, 8, 4)) + deviations).astype("float32")
    W = np.zeros((k, k, 4, 4), "float32")
    W[k // 2, k // 2] = np.eye(4)  # z is the inner part of x
    z, mean, variance, _ = z_and_statistics(x, W, 1, 0)
    truth = z.reshape(-1, 4).astype("float64")
    assert np.abs(variance / truth.var(axis=0) - 1).max() < 1e-5
    assert np.abs(mean / truth.mean(axis=0) - 1).max() < 1e-6


def test_first_pixels_far_from_the_others_cost_few_digits():
    """Each block's origin is its first pixel: at 30 deviations from the mean the squares are 900 times the variance."""
    x = streams.rng(0).standard_normal((64, 8, 8, 4)).astype("float32")
    x[:, 0, 0] = 30
    z, mean, variance, _ = z_and_statistics(x, np.eye(4, dtype="float32")[None, None], 1, 0)
    truth = z.reshape(-1, 4).astype("float64")
    assert np.abs(variance / truth.var(axis=0) - 1).max() < 1e-4 and np.abs(mean - truth.mean(axis=0)).max() < 1e-4


def test_by_columns_the_statistics_are_batch_norms(monkeypatch):
    monkeypatch.setattr(conv, "WIDE", 0)
    monkeypatch.setattr(device, "_tf32", True)
    x, W, _ = (a.astype("float32") for a in draw_numbers(((2, 5, 6, 4), (3, 3, 4, 8), 1, 1), 0))
    z, *statistics = z_and_statistics(x, W, 1, 1)
    assert np.array_equal(z, on_device(cuda.conv2d, x, W, 1, 1))
    assert all(map(np.array_equal, statistics, on_device(cuda.batch_norm_stats, z, EPS)[:3]))


def test_on_numpy_and_in_plain_code_it_is_the_two_operations():
    x, W, _ = (a.astype("float32") for a in draw_numbers(((4, 8, 8, 8), (3, 3, 8, 16), 1, 1), 0))
    for form, two in ((ops.conv2d_stats, ops), (plain.conv2d_stats, plain)):
        z, statistics = form(x, W, 1, 1, EPS)
        assert np.array_equal(host(z), host(two.conv2d(x, W, 1, 1)))
        assert all(map(np.array_equal, map(np.asarray, statistics), map(np.asarray, two.batch_norm_stats(z, EPS))))


def test_a_batch_norm_behind_a_convolution_reads_z_once(monkeypatch):
    """In a residual block, its shortcut and a Sequential; with a bias, and without a convolution, it reads z twice."""
    sums = []
    launch = Kernel.__call__

    def count(kernel, *args, **constants):
        sums.append(kernel is batch_norm.STATISTICS)
        return launch(kernel, *args, **constants)

    monkeypatch.setattr(Kernel, "__call__", count)
    x = fake.asarray(streams.rng(0).standard_normal((3, 6, 6, 4)).astype("float32"))
    rng = ml.rng(0)
    conv1, norm = Conv(4, 4, 3, rng, pad=1, name="conv"), BatchNormReLU(4, rng, name="norm")
    biased = Sequential([Conv(4, 4, 3, rng, pad=1, bias=True, name="conv"), norm])
    layers: list[Layer] = [
        Residual(4, 8, 2, rng, name="block"),
        Sequential([conv1, norm]),
        biased,
        Sequential([norm, conv1]),
    ]
    for layer, twice in zip(layers, (0, 0, 1, 1), strict=True):
        p = {name: fake.asarray(a) for name, a in layer.arrays.items()}
        sums.clear()
        y, _ = layer.forward(x, PassContext(), p)
        assert sum(sums) == twice
        expected, _ = layer.forward(fetch(x), PassContext())
        assert np.abs(fetch(y) - host(expected)).max() < 1e-5 * np.abs(host(expected)).max()
        layer.forward(x, PassContext(training=False), p)
        assert sum(sums) == twice


def test_it_takes_no_more_launches_and_little_memory():
    x, W = fake.asarray(np.ones((8, 16, 16, 4), "f4")), fake.asarray(np.ones((3, 3, 4, 8), "f4"))
    counters_of(fake)  # which a stream keeps
    with counting() as apart:
        z = cuda.conv2d(x, W, 1, 1)
        statistics = cuda.batch_norm_stats(z, EPS)
    del z, statistics
    with counting() as counts:
        both = cuda.conv2d_stats(x, W, 1, 1, EPS)
    assert counts.launches == apart.launches and counts.syncs == 0
    assert counts.peak <= apart.peak + 8 * 4 * 8 * 8 * len(both[0])
