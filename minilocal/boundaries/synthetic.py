"""A guess crosses: a small network at each boundary foresees the error, so that a module need not wait for it.

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
from minilocal.layers.base import Arrays
from minilocal.layers.norm import BatchNormReLU
from minilocal.objectives import Batch, ModuleContext


@dataclass(frozen=True)
class SyntheticGradient(Boundary):
    """Each module below the last walks down the error that its synthesiser foresees.

    The error at the bottom of the module above is what that synthesiser should have said. It is used for nothing
    else, and made of a guess itself (bootstrapped) everywhere but under the last module.

    Raises: UserError for a kernel that is not odd.
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
        """The error at a module's bottom teaches, though it enters no unit below."""
        return True

    def synthesiser(self, context: ModuleContext) -> Synthesiser:
        return Synthesiser(context, self)

    def describe(self) -> str:
        seen = "its output and the labels" if self.labels else "its output"
        return f"a guess of the error, by a synthesiser that sees {seen}; the error from above teaches it"


class SynthesiserCache(NamedTuple):
    """What a synthesiser keeps until the error arrives: its caches, the labels' cache, and s = Φ(h)."""

    first: Any
    label: Any
    rest: Any
    s: Array


class Synthesiser:
    """Φ_k foresees ∂L/∂h_k from h_k, a constant to it, and from the label where asked ("cDNI").

        s = Φ(h)      ê = s, or s/B where scaled                                                (1)
        L_Φ = 1/B Σ_b ‖s_b - t_b‖²      ∂L_Φ/∂s = 2/B (s - t),      t = the error e, or B e     (2)

        images:  conv k×k → [+ W_y onehot(y)] → BN → ReLU → conv k×k → BN → ReLU → conv k×k,  C channels throughout
        vectors: linear → [+ W_y onehot(y)] → ReLU → linear,  F features throughout

    The sum in (2) runs over features, the mean over the batch only. The last weight starts at 0; its bias is left as
    drawn (small), or 0 with `zero_bias`. An error holds the 1/B of a mean loss, so it is tiny: Adam copes, and
    `scaled` lets SGD cope too. Named synth.k.i, i as in torch.nn.Sequential; the label's layer is synth.k.label.
    """

    def __init__(self, context: ModuleContext, recipe: SyntheticGradient) -> None:
        name, initial, width, k = f"synth.{context.module}", context.initial, context.shape[-1], recipe.kernel
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
        if recipe.zero_bias:
            last.parameters[f"{last.name}.bias"][...] = 0
        self.first, self.rest = layers[0], Sequential(layers[1:], name)
        self.label = Linear(context.classes, width, initial, name=f"{name}.label") if recipe.labels else None
        self.classes, self.scaled = context.classes, recipe.scaled
        owners = [o for o in (self.first, self.label, self.rest) if o is not None]
        self.parameters = {n: a for o in owners for n, a in o.parameters.items()}
        self.buffers = {n: a for o in owners for n, a in o.buffers.items()}

    def forward(
        self, h: Array, batch: Batch, ctx: PassContext, p: Arrays | None = None
    ) -> tuple[Array, SynthesiserCache]:
        """(ê_k like h_k, what `learn` needs)."""
        z, first = self.first.forward(h, ctx, p)
        label = None
        if self.label is not None:
            of_label, label = self.label.forward(_onehot(batch.y, self.classes, h), ctx, p)
            z = z + of_label.reshape(z.shape[0], *(1,) * (z.ndim - 2), -1)
        s, rest = self.rest.forward(z, ctx, p)  # (1)
        return s * (1 / len(s)) if self.scaled else s, SynthesiserCache(first, label, rest, s)

    def gradients(self, cache: SynthesiserCache, error: Array | None, p: Arrays | None = None) -> dict[str, Array]:
        """The gradients of L_Φ, once the error is there."""
        assert error is not None
        B = len(cache.s)
        ds = cache.s - (error * B if self.scaled else error)
        ds *= 2 / B  # (2)
        dz, grads = self.rest.backward(ds, cache.rest, p)
        grads |= self.first.backward(dz, cache.first, p, "weights")[1]
        if self.label is not None:
            assert dz is not None
            over = tuple(range(1, dz.ndim - 1))
            grads |= self.label.backward(dz.sum(axis=over) if over else dz, cache.label, p, "weights")[1]
        return grads

    def update_running_stats(self, cache: SynthesiserCache, p: Arrays | None = None) -> None:
        """Running statistics of its batch norms, which nothing reads: they are kept as any other's."""
        self.rest.update_running_stats(cache.rest, p)


def _onehot(labels: Array, classes: int, like: Array) -> Array:
    """(N,) whole numbers  →  (N, classes), of `like`'s type and home."""
    xp = namespace(like)
    return (labels[:, None] == xp.arange(classes)[None]).astype(like.dtype)


__all__ = ["Synthesiser", "SynthesiserCache", "SyntheticGradient"]
