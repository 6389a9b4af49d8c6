"""Reference implementations: what the engine computes, forward only, in `jax.numpy`; JAX differentiates it."""

from minilocal.verify.reference.layers import reference
from minilocal.verify.reference.losses import (
    binary_cross_entropy,
    cross_entropy,
    similarity,
    squared_error,
    supervised_contrast,
)

__all__ = ["binary_cross_entropy", "cross_entropy", "reference", "similarity", "squared_error", "supervised_contrast"]
