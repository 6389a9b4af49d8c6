"""The twin of every objective: L_k of h_k, forward only, found by the classes of its branches' losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from minilocal.layers import Layer, PassContext
from minilocal.objectives.branches import Labels
from minilocal.objectives.infopro import Contrast, Reconstruction
from minilocal.objectives.predsim import Similarity
from minilocal.verify.jax_cpu import jax, jnp
from minilocal.verify.reference import losses
from minilocal.verify.reference.layers import reference

TWINS: dict[type, Callable[..., Any]] = {
    Labels: lambda loss, z, x, y: losses.cross_entropy(z, y),
    Similarity: lambda loss, z, x, y: losses.similarity(z, y, loss.classes),
    Contrast: lambda loss, z, x, y: losses.supervised_contrast(z, y, loss.temperature),
    Reconstruction: lambda loss, z, x, y: losses.binary_cross_entropy(z, _image(loss, x)),
}


def objective(wanted: Any, p: Mapping[str, Any], h: Any, x: Any, y: Any, run: PassContext) -> Any:
    """L_k, from the objective's networks and weights."""
    if hasattr(wanted, "network"):
        return _branch(wanted.network, Labels(), run)(_of(wanted.network, p), h, x, y)
    return sum(b.weight * _branch(b.network, b.loss, run)(_of(b.network, p), h, x, y) for b in wanted.branches)


def _of(layer: Layer, p: Mapping[str, Any]) -> dict[str, Any]:
    return {name: p[name] for name in layer.arrays}


@lru_cache(maxsize=128)
def _branch(network: Layer, loss: Any, run: PassContext) -> Any:
    return jax.jit(lambda p, h, x, y: TWINS[type(loss)](loss, reference(network, h, p, run), x, y))


def _image(loss: Any, x: Any) -> Any:
    """What x was before it was normalised."""
    return jnp.clip(x * jnp.asarray(loss.std, x.dtype) + jnp.asarray(loss.mean, x.dtype), 0, 1)
