"""The convolution's CUDA kernels, run on the host, beside the plain forms; in two orders of threads, to the same bits.

A build takes a third of a second and belongs to a window, its channels and a tile; so most tests draw the images freely
and the rest from short lists, and let one tile serve images of all sizes, as it must be able to.
"""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minilocal import device
from minilocal.kernels.cuda import conv, conv_stats, im2col, implicit_gemm, weight_grad
from minilocal.kernels.cuda.conv import conv2d, conv2d_backward
from minilocal.ops.conv import conv_out_size
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake, fetch
from tests.helpers.conv_cases import draw_numbers, geometries, near
from tests.helpers.on_device import on_device
from tests.helpers.plain import plain
from tests.kernels import nvrtc

on_host = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))

WINDOWS = [  # k, stride, C, O: rows of four and odd ends, windows that overlap, touch and leave gaps
    (3, 1, 4, 8),
    (3, 1, 3, 17),
    (3, 2, 5, 20),
    (3, 3, 9, 2),
    (1, 1, 34, 5),
    (1, 2, 6, 12),
    (2, 3, 8, 3),
    (5, 2, 2, 4),
    (4, 1, 1, 6),
]


RESNET = [(32, 3, 16, 1), (32, 16, 16, 1), (16, 16, 32, 2), (16, 32, 32, 1), (8, 32, 64, 2), (8, 64, 64, 1)]


def convolutions(N, shapes=RESNET, char="f"):
    """What a ResNet for N images of 32x32 makes of the implicit GEMM, forward and back, with an error added and not."""
    size = np.dtype(char).itemsize
    for side, C, O, s in shapes:
        pixels, common = (
            (N, side, side),
            {"C": C, "O": O, "KW": 3, "THREADS": implicit_gemm.THREADS, "ADD": 0, "STATS": 0},
        )
        tile = implicit_gemm.plan(pixels, C, O, 3, s, 1, size)
        for stats in (0, 1):
            yield implicit_gemm.CONV, {**common, "K": 3, "S": s, "UP": 1, "TURN": 0, **tile, "STATS": stats}
        tile, k = implicit_gemm.plan(pixels, O, C, -(-3 // s), 1, s * s, size), -(-3 // s)
        for add in (0, 1) if C > 3 else ():
            turned = {"C": O, "O": C, "K": k, "S": 1, "UP": s, "TURN": 1, "ADD": add}
            yield implicit_gemm.CONV, {**common, **turned, **tile}


@st.composite
def images(draw):
    """The shapes of images for one of the windows, and a padding."""
    k, stride, C, O = draw(st.sampled_from(WINDOWS))
    pad = draw(st.integers(0, k + 1))
    side = st.integers(max(1, k - 2 * pad), 11)
    return (draw(st.integers(1, 4)), draw(side), draw(side), C), (k, k, C, O), stride, pad


@contextmanager
def tiles_for(pixels):
    """One tile for each window, whatever the images: the one that these images would get."""
    gemm, grad = implicit_gemm.plan, weight_grad.plan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(implicit_gemm, "plan", lambda _, *window: gemm(pixels, *window))
        patch.setattr(weight_grad, "plan", lambda _, *window: grad(pixels, *window))
        patch.setattr(implicit_gemm, "_launch", implicit_gemm._launch.__wrapped__)  # planned anew
        patch.setattr(weight_grad, "_launches", weight_grad._launches.__wrapped__)
        yield


def all_three(geometry, seed=0, dtype="float64"):
    """Our z, dx and dW on the device, the plain ones in float64, and how large the sums in them may have been."""
    _, _, stride, pad = geometry
    x, W, dz = (a.astype(dtype) for a in draw_numbers(geometry, seed))
    ours = on_device(conv2d, x, W, stride, pad), *on_device(conv2d_backward, dz, x, W, stride, pad)
    x, W, dz = (a.astype("float64") for a in (x, W, dz))
    theirs = plain.conv2d(x, W, stride, pad), *plain.conv2d_backward(dz, x, W, stride, pad)
    x, W, dz = np.abs(x), np.abs(W), np.abs(dz)
    return ours, theirs, (plain.conv2d(x, W, stride, pad), *plain.conv2d_backward(dz, x, W, stride, pad))


def is_plain(geometry, seed=0):
    ours, theirs, _ = all_three(geometry, seed)
    return all(near(a, b) and a.dtype == np.float64 for a, b in zip(ours, theirs, strict=True))


def is_rounded(geometry, seed=0):
    """A sum of n products in float32 is off by n roundings of half an eps, at most, of the sum of their sizes."""
    ours, theirs, sizes = all_three(geometry, seed, "float32")
    (N, H, B, C), (k, _, _, O), stride, pad = geometry
    terms = k * k * C, k * k * O, N * conv_out_size(H, k, stride, pad) * conv_out_size(B, k, stride, pad)
    rows = zip(ours, theirs, sizes, terms, strict=True)
    return all(a.dtype == np.float32 and (np.abs(a - b) <= n * 2.0**-24 * s).all() for a, b, s, n in rows)


# ------------------------------------------------------------------ equal to the plain forms


@on_host
@given(images(), st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=50)
@example(((1, 1, 1, 3), (3, 3, 3, 17), 1, 1), 0)
@example(((2, 3, 11, 9), (3, 3, 9, 2), 3, 4), 0)
def test_the_kernels_are_the_plain_forms(geometry, seed):
    with tiles_for((3, 5, 6)):
        assert is_plain(geometry, seed)


@on_host
@given(images(), st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=30)
def test_float32_is_off_by_its_own_rounding(geometry, seed):
    with tiles_for((3, 5, 6)):
        assert is_rounded(geometry, seed)


@on_host
@given(geometries(), st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=6)
def test_any_window_with_the_tile_made_for_it(geometry, seed):
    assert is_plain(geometry, seed)


@on_host
@pytest.mark.parametrize(
    "geometry",
    [
        ((2, 13, 11, 3), (11, 11, 3, 2), 1, 2),  # dW has no tile
        ((1, 22, 21, 2), (20, 20, 2, 3), 1, 0),  # nothing has
        ((3, 33, 34, 16), (3, 3, 16, 16), 1, 1),  # several tiles a side
        ((1, 5, 70, 36), (3, 3, 36, 70), 2, 1),  # two pieces of dW, and of z's channels
    ],
    ids=str,
)
def test_large_ones(geometry):
    assert is_rounded(geometry)
    assert geometry[1][0] < 20 or is_plain(geometry)


# ------------------------------------------------------------------ every tile

CONV_TILES = [  # LN, TN, TM, TQ, TP, G
    (2, 8, 8, 16, 32, 1),
    (4, 8, 8, 8, 8, 4),
    (8, 8, 8, 8, 4, 4),
    (8, 8, 4, 4, 16, 1),
    (2, 4, 4, 2, 4, 32),
    (4, 8, 4, 32, 4, 1),
    (2, 8, 4, 1, 32, 8),
]
DW_TILES = [  # TO, BC, BO, TQ, TP, G, GROUPS
    (8, 16, 16, 16, 8, 1, 4),
    (8, 32, 32, 4, 4, 1, 1),
    (4, 4, 8, 1, 2, 4, 8),
    (8, 8, 16, 4, 1, 16, 4),
    (4, 16, 4, 32, 2, 1, 2),
]


@on_host
@pytest.mark.parametrize("stride, pad, CK", [(1, 1, 8), (2, 0, 4)])
def test_every_tile_gives_the_same_bits(stride, pad, CK, monkeypatch):
    """The order of a sum is that of chunks, taps and channels: no bit of z or dx hangs on the tile."""
    geometry, first = ((2, 7, 9, 9), (3, 3, 9, 18), stride, pad), None
    for sides in CONV_TILES:
        tile = dict(zip(("LN", "TN", "TM", "TQ", "TP", "G"), sides, strict=True), CK=CK, DEEP=2)
        assert tile["G"] * tile["TP"] * tile["TQ"] == implicit_gemm.THREADS // tile["LN"] * tile["TM"]
        monkeypatch.setattr(implicit_gemm, "plan", lambda *_, tile=tile: tile)
        monkeypatch.setattr(weight_grad, "plan", lambda *_: {})
        assert first is not None or is_rounded(geometry)
        x, W, dz = (a.astype("float32") for a in draw_numbers(geometry, 0))
        ours = on_device(conv2d, x, W, stride, pad), on_device(conv2d_backward, dz, x, W, stride, pad, "input")[0]
        first = first or ours
        assert all(np.array_equal(a, b) for a, b in zip(ours, first, strict=True))


@on_host
@pytest.mark.parametrize("sides", DW_TILES, ids=str)
def test_every_piece_of_the_weight_gradient(sides, monkeypatch):
    tile = dict(zip(("TO", "BC", "BO", "TQ", "TP", "G", "GROUPS"), sides, strict=True))
    tile["THREADS"] = 3 * tile["BC"] // 4 * tile["BO"] // tile["TO"] * tile["GROUPS"]
    monkeypatch.setattr(weight_grad, "plan", lambda *_: tile)
    for stride, blocks in ((1, 512), (2, 3), (1, 1)):
        monkeypatch.setattr(weight_grad, "BLOCKS", blocks)
        x, W, dz = (a.astype("float32") for a in draw_numbers(((2, 7, 9, 21), (3, 3, 21, 18), stride, 1), 0))
        dW = on_device(weight_grad.weight_gradient, dz, x, 3, stride, 1)
        x, W, dz = (a.astype("float64") for a in (x, W, dz))
        exact, size = (plain.conv2d_backward(f(dz), f(x), W, stride, 1, "weights")[1] for f in (np.array, np.abs))
        assert dW.dtype == np.float32 and (np.abs(dW - exact) <= 126 * 2.0**-24 * size).all()


@pytest.mark.parametrize("window", [*WINDOWS, (3, 1, 64, 64)], ids=str)
def test_the_chunk_of_channels_hangs_on_the_window_alone(window):
    """And so the bits of z do: an image is the same in any batch, though the tiles are not."""
    k, stride, C, O = window
    tiles = [
        implicit_gemm.plan((N, side, side), C, O, k, stride, 1, 4) for N in (1, 40, 512) for side in (1, 8, 32, 100)
    ]
    assert len({tile["CK"] for tile in tiles}) == 1 and len({str(tile) for tile in tiles}) > 1


@pytest.mark.parametrize("N", [1, 80, 128, 512])
def test_four_blocks_lie_side_by_side_in_a_small_processor(N):
    """In 100 KB of shared memory, of which each takes 1 KB more than it asks for: the layers of stride 1."""
    for _, constants in convolutions(N):
        window = constants["K"], constants["S"], 4
        beside = (100 << 10) // (implicit_gemm.shared_bytes(constants, *window) + 1024)
        assert beside >= (4 if constants["S"] == 1 else 2), constants


@pytest.mark.parametrize("N", [1, 80, 128, 512])
def test_eight_threads_side_by_side_read_and_write_eight_different_banks(N):
    """A bank is here what sixteen bytes go through; equal addresses are one read."""
    for _, c in convolutions(N):
        V, E, LM = c["CK"] // 4, 32 // c["CK"], implicit_gemm.THREADS // c["LN"]
        rows, columns = ((c[side] - 1) * c["S"] + c["K"] for side in ("TP", "TQ"))
        plane = -(-(c["G"] * rows * columns - E) // 8) * 8 + E
        for first in range(0, implicit_gemm.THREADS, 8):
            threads = range(first, first + 8)
            pixels = {t // 2 % 2 + t // (2 * c["LN"]) * 2 for t in threads}
            reads = {
                (m // c["TQ"] // c["TP"] * rows + m // c["TQ"] % c["TP"] * c["S"]) * columns + m % c["TQ"] * c["S"]
                for m in pixels
            }
            assert max(pixels) < LM and len({at % 8 for at in reads}) == len(reads), c
            assert len({(t // V + t % V * plane) % 8 for t in threads}) == 8, c


@on_host
@pytest.mark.parametrize("number", range(8))
def test_the_shared_memory_that_a_plan_counts_is_what_the_kernel_has(number):
    kernel, constants = list(convolutions(512, RESNET[:3]))[number]
    library = cuda_on_host.RawKernel(kernel.text("f", constants), kernel.name)._library()
    image = library.host_kernel_image()
    assert image[1] - image[0] == implicit_gemm.shared_bytes(constants, constants["K"], constants["S"], 4)


# ------------------------------------------------------------------ what else is promised


@on_host
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_what_is_needed_changes_no_bit(window):
    k, stride, C, O = window
    x, W, dz = draw_numbers(((2, 8, 9, C), (k, k, C, O), stride, 1), 0)
    with tiles_for((3, 5, 6)):
        dx, dW = on_device(conv2d_backward, dz, x, W, stride, 1)
        only_dx, nothing = on_device(conv2d_backward, dz, x, W, stride, 1, "input")
        assert nothing is None and np.array_equal(only_dx, dx)
        nothing, only_dW = on_device(conv2d_backward, dz, x, W, stride, 1, "weights")
        assert nothing is None and np.array_equal(only_dW, dW)


@on_host
@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_an_error_that_is_added_is_one_more_addition(window, by_columns, monkeypatch):
    """To the bit; for pixels that no window holds as well, and wherever `add` begins in memory."""
    k, stride, C, O = window
    x, W, dz = (a.astype("float32") for a in draw_numbers(((2, 8, 9, C), (k, k, C, O), stride, 0), 0))
    add = draw_numbers(((2, 8, 9, C), (k, k, C, O), stride, 0), 1)[0].astype("float32")
    if by_columns:
        monkeypatch.setattr(conv, "WIDE", 0)
        monkeypatch.setattr(device, "_tf32", True)
    with tiles_for((3, 5, 6)):
        dx = on_device(conv2d_backward, dz, x, W, stride, 0, "input")[0]
        assert np.array_equal(on_device(conv2d_backward, dz, x, W, stride, 0, "input", add)[0], dx + add)
        odd, before = fake.asarray(np.append(np.float32(0), add))[1:].reshape(add.shape), add.copy()
        both = conv2d_backward(fake.asarray(dz), fake.asarray(x), fake.asarray(W), stride, 0, "both", odd)
        assert np.array_equal(fetch(both[0]), dx + add) and np.array_equal(fetch(odd), before)


@on_host
def test_an_error_that_is_added_takes_no_launch_and_no_memory():
    x, W, dz = (fake.asarray(a.astype("float32")) for a in draw_numbers(((4, 8, 8, 4), (3, 3, 4, 8), 1, 1), 0))
    took = []
    for add in (None, x):
        with counting() as counts:
            conv2d_backward(dz, x, W, 1, 1, "input", add)
        took.append((counts.launches, counts.peak))
    assert took[0] == took[1]


@on_host
def test_arrays_with_gaps_of_another_type_and_at_odd_addresses():
    x, W, dz = draw_numbers(((4, 6, 6, 4), (3, 3, 4, 8), 1, 1), 0)
    dW = plain.conv2d_backward(dz, x, W, 1, 1)[1]
    on = [fake.asarray(np.append(0, a).astype("float64")) for a in (x, W, dz)]
    odd = [a[1:].reshape(b.shape) for a, b in zip(on, (x, W, dz), strict=True)]
    gaps = [fake.asarray(np.ascontiguousarray(a.transpose(1, 0, 2, 3))).transpose(1, 0, 2, 3) for a in (x, W, dz)]
    for a, w, error in (odd, gaps, (fake.asarray(x), fake.asarray(W.astype("float32")), fake.asarray(dz))):
        w_used = w.get().astype("float64")
        assert near(fetch(conv2d(a, w, 1, 1)), plain.conv2d(x, w_used, 1, 1))
        ours = [fetch(b) for b in conv2d_backward(error, a, w, 1, 1)]
        assert near(ours[0], plain.conv2d_backward(dz, x, w_used, 1, 1)[0]) and near(ours[1], dW)


@on_host
def test_a_convolution_is_few_launches_and_no_wait():
    x, W, dz = (fake.asarray(a.astype("float32")) for a in draw_numbers(((4, 8, 8, 4), (3, 3, 4, 8), 1, 1), 0))
    with counting() as counts:
        conv2d(x, W, 1, 1)
        conv2d_backward(dz, x, W, 1, 1)
    assert counts.syncs == counts.uploads == counts.downloads == 0
    assert counts.launches <= 4 + 4  # kernels, and the arrays that they write


# ------------------------------------------------------------------ by columns


@on_host
@given(images(), st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=30)
def test_by_columns(geometry, seed):
    """In tiles of 300 bytes, so that there are several, and one may be a single row."""
    before = conv.WIDE, im2col.TILE
    conv.WIDE, im2col.TILE = 0, 300
    device._tf32 = True
    try:
        assert is_rounded(geometry, seed)
    finally:
        conv.WIDE, im2col.TILE = before
        device._tf32 = False


@on_host
def test_tf32_is_for_float32_with_many_channels_out(monkeypatch):
    ways = []
    by_columns = im2col.conv2d

    def noted(x, W, *window):
        ways.append((*W.shape, W.dtype.char))
        return by_columns(x, W, *window)

    monkeypatch.setattr(im2col, "conv2d", noted)
    for on in (False, True):
        monkeypatch.setattr(device, "_tf32", on)
        for O, dtype in ((64, "float32"), (68, "float32"), (68, "float64")):
            conv2d(*(fake.asarray(a.astype(dtype)) for a in draw_numbers(((1, 2, 2, 4), (1, 1, 4, O), 1, 0), 0)[:2]))
    assert ways == [(1, 1, 4, 68, "f")]


# ------------------------------------------------------------------ plans, and NVIDIA's compiler


def builds(N, char="f", shapes=RESNET):
    """What a ResNet for 32x32 images makes of the kernels, forward and back."""
    yield from convolutions(N, shapes, char)
    for side, C, O, s in shapes:
        plan = weight_grad.plan((N, side, side), C, O, 3, s, np.dtype(char).itemsize)
        yield weight_grad.WEIGHTS, {"C": C, "O": O, "K": 3, "S": s, "DEEP": 4, **plan}


@pytest.mark.parametrize("N", [1, 80, 128, 512])
@pytest.mark.parametrize("char", "fd")
def test_every_layer_of_a_resnet_has_a_tile(N, char):
    """A missing tile would be a missing key."""
    assert all(constants["G"] >= 1 for _, constants in builds(N, char))


WINDOW = {"C": 16, "K": 3, "S": 1, "THREADS": 256}
OTHERS = [
    (conv_stats.STATISTICS, {"WIDE": 1, "THREADS": 512}), (weight_grad.TOTAL, {}), (im2col.IM2COL, WINDOW),
    (im2col.COL2IM, WINDOW),
]  # fmt: skip


@pytest.mark.skipif(nvrtc.missing() is not None, reason=str(nvrtc.missing()))
@pytest.mark.parametrize("sm", [80, 90])
def test_nvrtc_takes_them_without_a_spill(sm):
    """In at most 168 registers, which is three blocks of 128 threads side by side, and 48 KB of shared memory."""
    for kernel, constants in [*builds(512), *OTHERS]:
        used = nvrtc.build(kernel, "f", constants, sm)
        assert used.stack == used.spilled == 0 and used.registers <= 168 and used.shared <= 48 << 10, (constants, used)
