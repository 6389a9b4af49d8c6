"""The network in evaluation mode: the logits of its head, and of every module's own classifier.

Images pass a few hundred at a time, so that a test set of any size needs the memory of one such batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from minilocal.array import Array, namespace
from minilocal.engine.module import Module
from minilocal.engine.out_of_memory import OutOfMemory, reason_of
from minilocal.kernels.threads import one_blas_thread
from minilocal.kernels.underflow import underflow_is_zero
from minilocal.layers import Layer, PassContext
from minilocal.layers.module_input import entering

IMAGES = 256  # at a time

Logits = list[Array | None]


def logits(modules: Sequence[Module], head: Layer, x: Array, ctx: PassContext, p: Mapping[str, Array]) -> Array:
    """Logits (N, classes) of the network that these modules and this head are, without auxiliary networks."""

    def forward(h: Array) -> Logits:
        at = ctx
        for module in modules:
            h, at = output(module, h, at, p)
        return [head.forward(h, ctx, p)[0]]

    (z,) = _in_portions(x, forward)
    assert z is not None
    return z


def local_logits(modules: Sequence[Module], head: Layer, x: Array, ctx: PassContext, p: Mapping[str, Array]) -> Logits:
    """Logits (N, classes) of each module's own classifier, first to last; None for a module without one.

    The last module's classifier is the network's head.
    """

    def forward(h: Array) -> Logits:
        of_modules, at = Logits(), ctx
        for module in modules:
            h, at = output(module, h, at, p)
            of_modules.append(head.forward(h, ctx, p)[0] if module is modules[-1] else classified(module, h, ctx, p))
        return of_modules

    return _in_portions(x, forward)


def output(module: Module, h: Array, ctx: PassContext, p: Mapping[str, Array]) -> tuple[Array, PassContext]:
    """(output of a module's units in evaluation mode, context for the module above), from those of the module below."""
    ctx = entering(ctx, h, module.first)
    for unit in module.units:
        h = unit.forward(h, ctx, p)[0]
    return h, ctx


def classified(module: Module, h: Array, ctx: PassContext, p: Mapping[str, Array]) -> Array | None:
    """Logits of h by the module's own classifier; None where it has none."""
    logits = getattr(module.objective, "logits", None)  # an objective from outside the package may have none
    return None if logits is None else logits(h, ctx, p)


def _in_portions(x: Array, forward: Callable[[Array], Logits]) -> Logits:
    """`forward` of all of x, a portion at a time.

    Raises: OutOfMemory.
    """
    try:
        with one_blas_thread(), underflow_is_zero():
            return joined([forward(x[i : i + IMAGES]) for i in portions(x)])
    except MemoryError as error:
        images = f"{min(len(x), IMAGES)} of {tuple(x.shape)} images"
        raise OutOfMemory(
            f"out of memory in the evaluation of {images} ({reason_of(error)}): training leaves too little room; use a "
            "smaller batch, or free memory that other programs hold."
        ) from None


def portions(x: Array) -> range:
    """Where each portion of the images x begins."""
    return range(0, max(1, x.shape[0]), IMAGES)


def joined(portions: Sequence[Logits]) -> Logits:
    """The logits of all portions, one after the other; None stays None."""
    by_module = zip(*portions, strict=True)
    return [None if parts[0] is None else namespace(*parts).concatenate(parts) for parts in by_module]
