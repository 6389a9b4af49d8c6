"""Losses: value and error together, since both need the same softmax or difference.

The value is a 0-d float64 array in the logits' library; the error has the logits' type. Labels and targets are not
checked here but once, on the host, when data enters. An exponential that underflows is 0, whatever `numpy.seterr` says.
"""

from __future__ import annotations

from minilocal import ops
from minilocal.array import Array, namespace
from minilocal.kernels.underflow import underflow_is_zero

__all__ = [
    "binary_cross_entropy", "cross_entropy", "similarity", "similarity_matrix", "squared_error", "supervised_contrast",
]  # fmt: skip

EPS = 1e-8  # of the similarity matching loss


def __dir__() -> list[str]:
    return sorted(__all__)


@underflow_is_zero()
def cross_entropy(z: Array, labels: Array) -> tuple[Array, Array]:
    """Mean of -log softmax(z) at the label.        z (N, C), labels (N,) int  →  loss (), dz (N, C)

    L = -1/N Σₙ log pₙ[yₙ]        dz = (p - onehot(y)) / N
    """
    return ops.cross_entropy(z, labels)


@underflow_is_zero()
def squared_error(z: Array, target: Array) -> tuple[Array, Array]:
    """Mean over the batch of half the squared distance to the target.        z, target (N, C)  →  loss (), dz (N, C)

    L = 1/(2N) Σₙ ‖zₙ - tₙ‖²        dz = (z - t) / N
    """
    xp = namespace(z, target)
    N, d = z.shape[0], z - target
    return (d * d).sum(dtype=xp.float64) * (0.5 / N), d * (1 / N)


@underflow_is_zero()
def binary_cross_entropy(a: Array, target: Array) -> tuple[Array, Array]:
    """Cross entropy of sigmoid(a) and a target t in [0, 1], the mean over all elements.        a, t  →  loss (), da

        L = mean( max(a, 0) - a t + log(1 + exp(-|a|)) )        da = (sigmoid(a) - t) / size

    a and t may have any shape. The same as -mean(t log s + (1-t) log(1-s)), s = sigmoid(a), but no exponent is
    positive, so nothing overflows.
    """
    xp = namespace(a, target)
    small = xp.exp(-xp.abs(a))
    each = xp.maximum(a, xp.zeros_like(a)) - a * target + xp.log1p(small)
    sigmoid = xp.where(a >= 0, xp.ones_like(a), small) / (1 + small)
    return each.mean(dtype=xp.float64), (sigmoid - target) * (1 / a.size)


@underflow_is_zero()
def similarity(U: Array, labels: Array, classes: int) -> tuple[Array, Array]:
    """The similarity matching loss: samples of one class alike.        U (N, H, W, C) or (N, F)  →  loss (), dU

        s_b  = deviation of U_bc over the H W positions, unbiased, where C > 3 and H > 1; else all of U_b, flat     (1)
        x̂_b  = s̃_b / (‖s̃_b‖ + 1e-8)      s̃_b = s_b - mean_c s_b                                                    (2)
        R    = clip(x̂ x̂ᵀ, -1, 1)         L = mean((R - R_y)²)                                                      (3)

        G    = 2/N² (R - R_y), 0 where the clip acts           dx̂ = 2 G x̂                                          (4)
        ds̃_b = dx̂_b / m_b - s̃_b ⟨s̃_b, dx̂_b⟩ / (m_b² n_b)      n_b = ‖s̃_b‖, m_b = n_b + 1e-8;  n_b = 0 → 0          (5)
        ds_b = ds̃_b - mean_c ds̃_b                                                                                  (6)
        dU_bchw = ds_bc (U_bchw - mean_hw U_bc) / ((H W - 1) s_bc)                             s_bc = 0 → 0          (7)

    (6) mends round-off only, since s̃ and x̂ have mean 0. R_y is the same R of the one-hot labels: 1 for two samples of
    a class and -1/(classes - 1) otherwise, but for ε. Nøkland and Eidnes, "Training Neural Networks with Local Error
    Signals".
    """
    xp, N = namespace(U, labels), U.shape[0]
    s, centred = _deviations(U)
    x, t, n, m = _directions(s)
    raw = ops.matmul(x, x.T)
    difference = xp.clip(raw, -1, 1) - _alike(labels, classes, EPS).astype(U.dtype)
    G = difference * (xp.abs(raw) <= 1) * (2 / N**2)
    dx = ops.matmul(G, x) * 2  # (4)
    along = (t * dx).sum(axis=1, keepdims=True)
    dt = dx / m - t * (along * _inverse(n) / (m * m))
    dt *= n > 0  # (5)
    ds = dt - dt.mean(axis=1, keepdims=True)  # (6)
    dU = ds.reshape(U.shape) if centred is None else _of_maps(centred, s, ds)
    return (difference * difference).mean(dtype=xp.float64), dU  # (3)


@underflow_is_zero()
def similarity_matrix(U: Array) -> Array:
    """R of `similarity`: the cosine between each two samples.        U (N, H, W, C) or (N, F)  →  (N, N), -1 to 1"""
    x, *_ = _directions(_deviations(U)[0])
    return namespace(U).clip(ops.matmul(x, x.T), -1, 1)  # (3)


def _deviations(U: Array) -> tuple[Array, Array | None]:
    """(s (N, C), U less its mean over positions) of maps; (U, flat, None) where `similarity` takes it as it is."""
    if U.ndim != 4 or U.shape[3] <= 3 or U.shape[1] == 1:
        return U.reshape(U.shape[0], -1), None
    centred = U - U.mean(axis=(1, 2), keepdims=True)
    return namespace(U).sqrt((centred * centred).sum(axis=(1, 2)) * (1 / _free(U))), centred  # (1)


def _of_maps(centred: Array, s: Array, ds: Array) -> Array:
    """The error of maps from that of their deviations."""
    return centred * (ds * _inverse(s) * (1 / _free(centred)))[:, None, None]  # (7)


def _directions(s: Array) -> tuple[Array, Array, Array, Array]:
    """x̂, s̃, and the lengths n and m of `similarity`."""
    t = s - s.mean(axis=1, keepdims=True)
    n = namespace(s).sqrt((t * t).sum(axis=1, keepdims=True))
    m = n + EPS
    return t / m, t, n, m  # (2)


def _free(U: Array) -> int:
    """H W - 1."""
    return int(U.shape[1] * U.shape[2] - 1)


def _alike(labels: Array, classes: int, eps: float) -> Array:
    """R_y in closed form: a one-hot vector less its mean has length n = √(1 - 1/classes), so R_bb = (n / (n + ε))²."""
    n = (1 - 1 / classes) ** 0.5
    same = (n / (n + eps)) ** 2
    equal = labels[:, None] == labels[None, :]
    return equal * (same + same / (classes - 1)) - same / (classes - 1)


def _inverse(a: Array) -> Array:
    """1/a, and 0 where a is 0."""
    xp = namespace(a)
    return (a > 0) / xp.where(a > 0, a, xp.ones_like(a))


@underflow_is_zero()
def supervised_contrast(z: Array, labels: Array, temperature: float = 0.07) -> tuple[Array, Array]:
    """The supervised contrastive loss: samples of one class close.        z (N, F), labels (N,)  →  loss (), dz (N, F)

        f_b = z_b / ‖z_b‖      S = f fᵀ / τ      P(i) = the others with i's label                                    (1)
        L = -1/N Σ_i 1/|P(i)| Σ_{j∈P(i)} ( S_ij - log Σ_{a≠i} exp S_ia );  an anchor without positives gives 0      (2)

        p_ij = softmax over j ≠ i of S_ij      q_ij = 1/|P(i)| for j in P(i)      c_i = 1 where P(i) is not empty
        D = (c p - q) / N, D_ii = 0      df = (D + Dᵀ) f / τ      dz_b = (df_b - f_b ⟨f_b, df_b⟩) / ‖z_b‖           (3)

    A z_b of length 1e-12 or less has no direction, and gets no error. Khosla and others, "Supervised Contrastive
    Learning", with one view of each image, as InfoPro uses it.
    """
    xp, N = namespace(z, labels), z.shape[0]
    length = xp.sqrt((z * z).sum(axis=1, keepdims=True))
    f = z / xp.maximum(length, xp.full_like(length, 1e-12))
    others = 1 - xp.eye(N, dtype=z.dtype)
    positives = (labels[:, None] == labels[None, :]) * others
    count = positives.sum(axis=1, keepdims=True)
    some = (count > 0).astype(z.dtype)
    S = ops.matmul(f, f.T) * (1 / temperature)  # (1)
    S -= xp.where(others > 0, S, xp.full_like(S, -2 / temperature)).max(axis=1, keepdims=True)
    p = xp.exp(S * others) * others
    total = xp.maximum(p.sum(axis=1, keepdims=True), xp.ones_like(count))  # 1 or more, but for a batch of one
    q = positives * _inverse(count)
    loss = (q * (xp.log(total) - S)).sum(dtype=xp.float64) * (1 / N)  # (2)
    D = (some * p / total - q) * (1 / N)
    df = ops.matmul(D + D.T, f) * (1 / temperature)
    return loss, (df - f * (f * df).sum(axis=1, keepdims=True)) * _inverse(length) * (length > 1e-12)  # (3)
