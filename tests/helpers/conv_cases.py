"""Convolutions of any legal geometry, random arrays for them, and when two results are equal."""

import numpy as np
from hypothesis import strategies as st

from minilocal import streams
from minilocal.array import Array
from minilocal.ops.conv import conv_out_size
from tests.helpers.host import host

Geometry = tuple[tuple[int, ...], tuple[int, ...], int, int]


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """The shapes of images and of a window that fits them, a stride and a padding."""
    k, stride, pad = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(0, 5))
    side = st.integers(max(1, k - 2 * pad), 9)
    C, O = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    return (draw(st.integers(1, 18)), draw(side), draw(side), C), (k, k, C, O), stride, pad


def draw_numbers(geometry: Geometry, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    (N, H, B, C), (k, _, _, O), stride, pad = geometry
    rng = streams.rng(seed)
    dz = rng.standard_normal((N, conv_out_size(H, k, stride, pad), conv_out_size(B, k, stride, pad), O))
    return rng.standard_normal((N, H, B, C)), rng.standard_normal((k, k, C, O)), dz


def near(a: Array | float | None, b: Array | float | None) -> bool:
    ours, theirs = (np.asarray(v) if isinstance(v, float) else host(v) for v in (a, b))
    most = 1e-11 * (1 + np.abs(theirs).max(initial=0))
    return ours.shape == theirs.shape and np.abs(ours - theirs).max(initial=0) <= most


def conv2d_by_loops(x: np.ndarray, W: np.ndarray, stride: int = 1, pad: int = 0) -> np.ndarray:
    """The definition of the convolution, as loops over images, pixels and channels out."""
    (N, H, B, _), (k, _, _, O) = x.shape, W.shape
    P, Q = conv_out_size(H, k, stride, pad), conv_out_size(B, k, stride, pad)
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    z = np.zeros((N, P, Q, O), x.dtype)
    for n in range(N):
        for p in range(P):
            for q in range(Q):
                window = x[n, stride * p : stride * p + k, stride * q : stride * q + k]
                for o in range(O):
                    z[n, p, q, o] = (window * W[..., o]).sum()
    return z
