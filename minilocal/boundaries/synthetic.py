"""Synthetic gradients: a small network at each boundary predicts the error, so that a module need not wait for it.

Jaderberg, Czarnecki, Osindero, Vinyals, Graves, Silver and Kavukcuoglu, "Decoupled Neural Interfaces using Synthetic
Gradients". Synthesisers and their loss as in the code dni-pytorch, which the DGL paper compares with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from minilocal.array import Array, namespace
from minilocal.boundaries.base import Boundary, Recommended
from minilocal.errors import UserError, boolean, set_checked, whole
from minilocal.layers import Conv, Layer, Linear, PassContext, ReLU, Sequential
from minilocal.layers.base import Arrays, Shape
from minilocal.layers.norm import BatchNormReLU
from minilocal.objectives import Batch, ModuleContext


@dataclass(frozen=True)
class SyntheticGradient(Boundary):
    """Synthetic gradients: each module below the last learns from the error that its synthesiser predicts.

    Jaderberg et al., "Decoupled Neural Interfaces using Synthetic Gradients", 2017 (DNI). The synthesiser's target is
    the error at the input of the module above, which is used for nothing else. It comes from a synthetic gradient
    itself (bootstrapped) at every boundary but the last.

    `labels` gives the labels to the synthesisers too. `kernel` is the side of their windows, odd. `scaled` has them
    predict the error times the batch size, which plain SGD can learn. `zero_bias` starts the bias of their last layer
    at 0, as its weight.

    Raises: UserError for a kernel that is not odd, and switches that are neither true nor false.
    """

    labels: bool = False
    kernel: int = 5
    scaled: bool = False
    zero_bias: bool = False

    provides_error = True
    recommends = Recommended("adam", 1e-3)  # SGD diverges on convolutions at 0.1, 0.01 and 0.001, scaled or not

    def __post_init__(self) -> None:
        odd = "the side of a synthesiser's window, odd, 1 or more: a map keeps its size"
        set_checked(self, kernel=whole("kernel", self.kernel, give=odd))
        if self.kernel % 2 == 0:
            raise UserError(f"kernel = {self.kernel}: give {odd}.")
        for name in ("labels", "scaled", "zero_bias"):
            boolean(name, getattr(self, name))

    @property
    def uses_input_error(self) -> bool:
        """True: the error at a module's input trains the synthesiser below, though it enters no unit there."""
        return True

    def synthesiser(self, context: ModuleContext) -> Synthesiser:
        return Synthesiser(context, self)

    def describe(self) -> str:
        inputs = "h_k and the labels" if self.labels else "h_k"
        return f"trains a synthesiser of {inputs}, whose synthetic gradient replaces it"


class SynthesiserCache(NamedTuple):
    """The state of a synthesiser until the error arrives: its caches, the labels' cache, and s = Φ(h)."""

    first: Any
    label: Any
    rest: Any
    s: Array


class Synthesiser:
    """Φ_k predicts ∂L/∂h_k from h_k, a constant, and with `labels` from the label too ("cDNI").

        s = Φ(h)      ê = s, or s/B where scaled                                                (1)
        L_Φ = 1/B Σ_b ‖s_b - t_b‖²      ∂L_Φ/∂s = 2/B (s - t),      t = the error e, or B e     (2)

        images:  conv k×k → [+ W_y onehot(y)] → BN → ReLU → conv k×k → BN → ReLU → conv k×k,  C channels throughout
        vectors: linear → [+ W_y onehot(y)] → ReLU → linear,  F features throughout

    (2) sums over features and averages over the batch only. The last weight starts at 0; its bias keeps its small
    initial values, or starts at 0 with `zero_bias`. An error contains the 1/B of a mean loss, so it is tiny: Adam
    works, and with `scaled` SGD works too. Arrays are named synth.k.i, i as in torch.nn.Sequential, and synth.k.label.
    """

    def __init__(self, context: ModuleContext, spec: SyntheticGradient) -> None:
        name, initial, width, k = f"synth.{context.module}", context.initial, context.shape[-1], spec.kernel
        layers: list[Layer]
        if len(context.shape) == 3:
            layers = [
                Conv(width, width, k, initial, pad=k // 2, bias=True, name=f"{name}.0"),
                BatchNormReLU(width, initial, name=f"{name}.1"),
                Conv(width, width, k, initial, pad=k // 2, bias=True, name=f"{name}.3"),
                BatchNormReLU(width, initial, name=f"{name}.4"),
                Conv(width, width, k, initial, pad=k // 2, bias=True, name=f"{name}.6"),
            ]
        else:
            linear = [Linear(width, width, initial, name=f"{name}.{i}") for i in (0, 2)]
            layers = [linear[0], ReLU(f"{name}.1"), linear[1]]
        last = layers[-1]
        last.parameters[f"{last.name}.weight"][...] = 0
        if spec.zero_bias:
            last.parameters[f"{last.name}.bias"][...] = 0
        self.first, self.rest = layers[0], Sequential(layers[1:], name)
        self.label = Linear(context.classes, width, initial, name=f"{name}.label") if spec.labels else None
        self.classes, self.scaled = context.classes, spec.scaled
        parts = [part for part in (self.first, self.label, self.rest) if part is not None]
        self.parameters = {n: a for part in parts for n, a in part.parameters.items()}
        self.buffers = {n: a for part in parts for n, a in part.buffers.items()}

    def forward(
        self, h: Array, batch: Batch, ctx: PassContext, p: Arrays | None = None
    ) -> tuple[Array, SynthesiserCache]:
        """(ê_k of the shape of h_k, cache for `gradients`)."""
        z, first = self.first.forward(h, ctx, p)
        label = None
        if self.label is not None:
            shift, label = self.label.forward(_onehot(batch.y, self.classes, h), ctx, p)
            z = z + shift.reshape(z.shape[0], *(1,) * (z.ndim - 2), -1)
        s, rest = self.rest.forward(z, ctx, p)  # (1)
        return s * (1 / len(s)) if self.scaled else s, SynthesiserCache(first, label, rest, s)

    def gradients(self, cache: SynthesiserCache, error: Array | None, p: Arrays | None = None) -> dict[str, Array]:
        """The gradients of L_Φ, given the error."""
        assert error is not None
        B = len(cache.s)
        ds = cache.s - (error * B if self.scaled else error)
        ds *= 2 / B  # (2)
        dz, grads = self.rest.backward(ds, cache.rest, p)
        assert dz is not None
        grads |= self.first.backward(dz, cache.first, p, "weights")[1]
        if self.label is not None:
            places = tuple(range(1, dz.ndim - 1))
            grads |= self.label.backward(dz.sum(axis=places) if places else dz, cache.label, p, "weights")[1]
        return grads

    def update_running_stats(self, cache: SynthesiserCache, p: Arrays | None = None) -> None:
        """Update the running statistics of its batch norms; nothing reads them, but they are saved like any others."""
        self.rest.update_running_stats(cache.rest, p)

    def macs(self, shape: Shape) -> int:
        """The multiply-adds of a forward pass behind one h_k of this shape."""
        label = 0 if self.label is None else self.label.macs((self.classes,))
        return self.first.macs(shape) + label + self.rest.macs(self.first.out_shape(shape))


def _onehot(labels: Array, classes: int, like: Array) -> Array:
    """Labels (N,)  →  one-hot (N, classes), of the dtype and device of `like`."""
    xp = namespace(like)
    return (labels[:, None] == xp.arange(classes)[None]).astype(like.dtype)


__all__ = ["Synthesiser", "SynthesiserCache", "SyntheticGradient"]
