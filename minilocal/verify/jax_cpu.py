"""JAX on the CPU: the automatic differentiation that every gradient is compared with.

This is the only file of the package that imports JAX. Its switches are set inside a context, so the user's own JAX
settings do not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minilocal.errors import UserError

try:
    import jax
    import jax.numpy as jnp
    from jax import lax
except ImportError:
    raise UserError(
        "verifying needs JAX for its automatic differentiation: in the clone, pip install -e '.[verify]'."
    ) from None

__all__ = ["jax", "jax_on_cpu", "jnp", "lax"]

UNOPTIMISED = "jax_disable_most_optimizations"


@contextmanager
def jax_on_cpu(dtype: str = "float64", *, optimise: bool = False) -> Iterator[None]:
    """A context in which JAX computes on the CPU, in float64 if `dtype` is that.

    Without `optimise` JAX compiles fast and unoptimised code. Most references run once, on few numbers, so compiling
    is nearly all of their cost.
    """
    before = jax.config.values[UNOPTIMISED]
    jax.config.update(UNOPTIMISED, not optimise)
    try:
        with _x64(dtype == "float64"), jax.default_device(jax.devices("cpu")[0]):
            yield
    finally:
        jax.config.update(UNOPTIMISED, before)


def _x64(on: bool) -> Any:
    """JAX's 64-bit switch as a context; its module depends on the version of JAX."""
    module: Any = jax if hasattr(jax, "enable_x64") else __import__("jax.experimental", fromlist=["enable_x64"])
    return module.enable_x64(on)
