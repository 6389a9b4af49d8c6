"""Convolution and the statistics of its result, for a batch norm behind it.

Who makes z has it at hand, and can add it up before it is written: on a GPU the batch norm then reads z once less. The
fast form there is `kernels/cuda/conv_stats.py`; on NumPy it is the two operations, one after the other.
"""

from __future__ import annotations

from minilocal.array import Array
from minilocal.ops.batch_norm import Statistics, batch_norm_stats
from minilocal.ops.conv import im2col
from minilocal.ops.dispatch import op, plain


@op
def conv2d_stats(x: Array, W: Array, stride: int = 1, pad: int = 0, eps: float = 1e-5) -> tuple[Array, Statistics]:
    """z = im2col(x) W, as `conv2d`, and its μ, σ² and r, as `batch_norm_stats`.

    x (N, H, W, C), W (k, k, C, O)  →  z (N, P, Q, O), μ, σ² and r (O,) each
    """
    k, _, C, O = W.shape
    cols = im2col(x, k, stride, pad)
    z = (cols.reshape(-1, k * k * C) @ W.reshape(-1, O)).reshape(*cols.shape[:3], O)
    return z, plain(batch_norm_stats)(z, eps)
