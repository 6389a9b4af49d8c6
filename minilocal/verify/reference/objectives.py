"""The reference of every objective: L_k of h_k, forward only."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, singledispatch
from typing import Any

from minilocal.layers import Layer, PassContext
from minilocal.objectives.base import ClassifierLoss
from minilocal.objectives.behind import Behind
from minilocal.objectives.branches import Branches, Labels
from minilocal.objectives.hpff import PatchReconstruction
from minilocal.objectives.infopro import Contrast, Reconstruction
from minilocal.objectives.predsim import Similarity
from minilocal.objectives.two_heads import TwoHeads
from minilocal.verify.jax_cpu import jax, jnp
from minilocal.verify.reference import losses
from minilocal.verify.reference.layers import arrays_of, reference
from minilocal.verify.reference.missing import NoReference

Arrays = Mapping[str, Any]
THIS_FILE = "minilocal/verify/reference/objectives.py"


@singledispatch
def objective(objective: Any, p: Arrays, h: Any, x: Any, y: Any, ctx: PassContext) -> Any:
    """L_k of h_k, from the objective's networks and their arrays in p.

    Raises: NoReference for an objective without a reference.
    """
    raise NoReference(type(objective).__name__, THIS_FILE)


@objective.register
def classifier(objective: ClassifierLoss, p: Arrays, h: Any, x: Any, y: Any, ctx: PassContext) -> Any:
    return _branch(objective.network, Labels(), ctx)(arrays_of(objective.network, p), h, x, y)


@objective.register
def branches(objective: Branches, p: Arrays, h: Any, x: Any, y: Any, ctx: PassContext) -> Any:
    return sum(
        branch.weight * _branch(branch.network, branch.loss, ctx)(arrays_of(branch.network, p), h, x, y)
        for branch in objective.branches
    )


@objective.register
def two_heads(objective_: TwoHeads, p: Arrays, h: Any, x: Any, y: Any, ctx: PassContext) -> Any:
    return branches(objective_.own, p, h, x, y, ctx) + branches(objective_.cascade, p, h, x, y, ctx)


def leaving(objective: Any) -> Any:
    """The part of an objective whose error leaves its module."""
    return objective.cascade if isinstance(objective, TwoHeads) else objective


@objective.register
def behind(of: Behind, p: Arrays, h: Any, x: Any, y: Any, ctx: PassContext) -> Any:
    return objective(of.objective, p, _seen(of.layer, ctx)(arrays_of(of.layer, p), h), x, y, ctx)


@singledispatch
def loss(loss: Any, z: Any, x: Any, y: Any) -> Any:
    """A branch's loss of its network's output z, the images x and the labels y.

    Raises: NoReference for a loss without a reference.
    """
    name = getattr(loss, "__name__", type(loss).__name__)
    raise NoReference(name, THIS_FILE)


@loss.register
def labels(loss: Labels, z: Any, x: Any, y: Any) -> Any:
    return losses.cross_entropy(z, y)


@loss.register
def similarity(loss: Similarity, z: Any, x: Any, y: Any) -> Any:
    return losses.similarity(z, y, loss.classes)


@loss.register
def contrast(loss: Contrast, z: Any, x: Any, y: Any) -> Any:
    return losses.supervised_contrast(z, y, loss.temperature)


@loss.register
def reconstruction(loss: Reconstruction, z: Any, x: Any, y: Any) -> Any:
    """The target is the image before it was normalised."""
    image = jnp.clip(x * jnp.asarray(loss.std, x.dtype) + jnp.asarray(loss.mean, x.dtype), 0, 1)
    return losses.binary_cross_entropy(z, image)


@loss.register
def patch_reconstruction(loss: PatchReconstruction, z: Any, x: Any, y: Any) -> Any:
    return reconstruction(loss.image, z, reference(loss.patch, x, {}, PassContext()), y)


@lru_cache(maxsize=128)
def _seen(layer: Layer, ctx: PassContext) -> Any:
    """A layer's output, compiled once."""
    return jax.jit(lambda p, h: reference(layer, h, p, ctx))


@lru_cache(maxsize=128)
def _branch(network: Layer, of: Any, ctx: PassContext) -> Any:
    """The loss behind a network, compiled once for every rule that has this branch."""
    return jax.jit(lambda p, h, x, y: loss(of, reference(network, h, p, ctx), x, y))
