"""Twins: what the engine computes by hand, said again in `jax.numpy`, forward only. JAX differentiates them."""

from minilocal.verify.reference.layers import reference
from minilocal.verify.reference.losses import (
    binary_cross_entropy,
    cross_entropy,
    similarity,
    squared_error,
    supervised_contrast,
)

__all__ = ["binary_cross_entropy", "cross_entropy", "reference", "similarity", "squared_error", "supervised_contrast"]
