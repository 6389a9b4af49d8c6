"""The reference of every loss."""

from __future__ import annotations

from typing import Any

from minilocal.verify.jax_cpu import jax, jnp, lax


def cross_entropy(z: Any, labels: Any) -> Any:
    """-log softmax(z) at the label, averaged."""
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(z) * jax.nn.one_hot(labels, z.shape[1], dtype=z.dtype), axis=1))


def squared_error(z: Any, target: Any) -> Any:
    """Half the squared distance to the target, averaged over the batch."""
    return jnp.mean(jnp.sum(jnp.square(z - target), axis=1)) / 2


def binary_cross_entropy(a: Any, target: Any) -> Any:
    """Minus the log likelihood of the target under sigmoid(a), averaged over every number."""
    return -jnp.mean(target * jax.nn.log_sigmoid(a) + (1 - target) * jax.nn.log_sigmoid(-a))


def similarity(U: Any, labels: Any, classes: int) -> Any:
    """The mean square of R(U) - R(onehot(y))."""
    if U.ndim == 4 and U.shape[3] > 3 and U.shape[1] > 1:
        s = _root(jnp.var(U, axis=(1, 2), ddof=1))
    else:
        s = jnp.reshape(U, (U.shape[0], -1))
    target = _cosines(jax.nn.one_hot(labels, classes, dtype=U.dtype))
    return jnp.mean(jnp.square(_cosines(s) - lax.stop_gradient(target)))


def _cosines(s: Any) -> Any:
    """R: the cosine of every two rows, each less its mean."""
    s = s - jnp.mean(s, axis=1, keepdims=True)
    s = s / (_root(jnp.sum(s * s, axis=1, keepdims=True)) + 1e-8)
    raw = jnp.matmul(s, s.T, precision="highest")
    return jnp.where(raw > 1, 1, jnp.where(raw < -1, -1, raw))  # slope 1 at the bounds, where jnp.clip's is 1/2


def _root(a: Any) -> Any:
    """The square root, with slope 0 at 0."""
    return jnp.where(a > 0, jnp.sqrt(jnp.where(a > 0, a, 1)), 0)


def supervised_contrast(z: Any, labels: Any, temperature: float = 0.07) -> Any:
    """The mean over anchors of the mean over their positives of -log softmax over all others."""
    f = z / jnp.linalg.norm(z, axis=1, keepdims=True)
    N = len(z)
    logits = jnp.where(jnp.eye(N, dtype=bool), -jnp.inf, jnp.matmul(f, f.T, precision="highest") / temperature)
    positive = (labels[:, None] == labels[None, :]) & ~jnp.eye(N, dtype=bool)
    log_p = jnp.where(positive, jax.nn.log_softmax(logits, axis=1), 0)
    return -jnp.mean(jnp.sum(log_p, axis=1) / jnp.maximum(jnp.sum(positive, axis=1), 1))
