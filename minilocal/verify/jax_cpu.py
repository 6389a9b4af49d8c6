"""JAX, the referee: an automatic differentiation that knows nothing of this engine.

It is imported here and nowhere else in the package, and only by who verifies. It always judges on the CPU, and its
switches are thrown inside a context, so that nobody's own JAX settings change.
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
        "verifying needs JAX, whose automatic differentiation is the referee: in the clone, pip install -e '.[verify]'."
    ) from None

__all__ = ["jax", "jax_on_cpu", "jnp", "lax"]

HASTE = "jax_disable_most_optimizations"


@contextmanager
def jax_on_cpu(dtype: str = "float64", *, hasty: bool = True) -> Iterator[None]:
    """Inside the block JAX computes on the CPU, and in 64 bits where `dtype` says so.

    In haste it compiles without optimising: most twins run once, on a few numbers, and compiling is all they cost.
    """
    before = jax.config.values[HASTE]
    jax.config.update(HASTE, hasty)
    try:
        with _x64(dtype == "float64"), jax.default_device(jax.devices("cpu")[0]):
            yield
    finally:
        jax.config.update(HASTE, before)


def _x64(on: bool) -> Any:
    """JAX's 64-bit switch as a context; it has moved between versions."""
    where: Any = jax if hasattr(jax, "enable_x64") else __import__("jax.experimental", fromlist=["enable_x64"])
    return where.enable_x64(on)
