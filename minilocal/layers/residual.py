"""Residual blocks and their shortcuts."""

from __future__ import annotations

from typing import Any, NamedTuple

from minilocal.array import Array, namespace
from minilocal.errors import UserError, unknown
from minilocal.layers.base import Arrays, Layer, Need, PassContext, Shape, whole_sizes
from minilocal.layers.conv import Conv
from minilocal.layers.conv_norm import conv_norm
from minilocal.layers.initial import Initializer
from minilocal.layers.norm import BatchNorm, BatchNormReLU, NormCache
from minilocal.layers.sequential import Composite, Sequential
from minilocal.ops.batch_norm import batch_norm_update_running

SHORTCUTS = ("A-both", "A-end", "B")


class Identity(Layer[None]):
    """s = x."""

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, None]:
        return x, None

    def backward(
        self, dy: Array, cache: None, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        return None if need == "weights" else dy, {}


class PadShortcut(Layer[Shape]):
    """Option A: every `stride`-th pixel, with zero channels added, half on each side ("A-both") or all at the end.

    x (N, H, W, C)  →  (N, ⌈H / stride⌉, ⌈W / stride⌉, O)

    Keeps the shape of x. The backward puts the error of the old channels at those pixels, and 0 elsewhere.

    Raises: UserError for sizes that are no whole numbers of 1 or more, another `side`, or fewer channels than before.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, side: str, *, name: str = "") -> None:
        super().__init__(name)
        self.inputs, self.outputs, self.stride = whole_sizes(self, inputs=inputs, outputs=outputs, stride=stride)
        if side not in SHORTCUTS[:2]:
            raise unknown("shortcut", side, SHORTCUTS[:2])
        check_channels_are_added(side, self.inputs, self.outputs, name)
        self.before = (outputs - inputs) // 2 if side == "A-both" else 0

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Shape]:
        s = x[:, :: self.stride, :: self.stride]
        y = namespace(x).zeros((*s.shape[:3], self.outputs), x.dtype)
        y[..., self.before : self.before + self.inputs] = s
        return y, x.shape

    def backward(
        self, dy: Array, cache: Shape, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        if need == "weights":
            return None, {}
        dx = namespace(dy).zeros(cache, dy.dtype)
        dx[:, :: self.stride, :: self.stride] = dy[..., self.before : self.before + self.inputs]
        return dx, {}

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3 or shape[2] != self.inputs:
            raise UserError(
                f"PadShortcut({self.inputs} → {self.outputs}) {self.name!r} was given {shape} per sample: "
                f"it takes images (H, W, {self.inputs})."
            )
        return -(-shape[0] // self.stride), -(-shape[1] // self.stride), self.outputs


def check_channels_are_added(option: str, inputs: int, outputs: int, name: str) -> None:
    """Raises: UserError where there are fewer channels than before."""
    if outputs < inputs:
        raise UserError(
            f"shortcut {option} {name!r} adds zero channels and cannot go from {inputs} to {outputs}: use B."
        )


def shortcut(option: str, inputs: int, outputs: int, stride: int, initial: Initializer, name: str) -> Layer:
    """The shortcut of a block: x where the shape stays, else option A-both, A-end, or B (1×1 convolution + BN).

    Raises: UserError for an unknown option, and for option A where channels are not added.
    """
    if option not in SHORTCUTS:
        raise unknown("shortcut", option, SHORTCUTS)
    if stride == 1 and inputs == outputs:
        return Identity(name)
    if option == "B":
        prefix = f"{name}.downsample" if name else "downsample"
        conv = Conv(inputs, outputs, 1, initial, stride=stride, name=f"{prefix}.0")
        return Sequential([conv, BatchNorm(outputs, initial, name=f"{prefix}.1")])
    return PadShortcut(inputs, outputs, stride, option, name=name)


class ResidualCache(NamedTuple):
    """The caches of the layers of a block."""

    conv1: Array
    norm1: NormCache
    conv2: Array
    norm2: NormCache
    shortcut: Any


class Residual(Composite[ResidualCache]):
    """Two convolutions with a shortcut around them (He, Zhang, Ren and Sun, "Deep Residual Learning").

        z₁ = conv₁ x      a₁ = ReLU(BN₁ z₁)      z₂ = conv₂ a₁      y = ReLU(BN₂ z₂ + s(x))       (1)

        backward: e ← dy where y > 0; dx is the sum of the errors from both branches               (2)

    x (N, H, W, C)  →  y (N, ⌈H / stride⌉, ⌈W / stride⌉, O)

    Keeps x, z₁, a₁, z₂ and y. ReLU's backward needs a₁ and y only; y is the next block's x.

    Raises: UserError for an unknown shortcut, and for option A where channels are not added.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, rng: Any, *, option: str = "B", name: str = "") -> None:
        initial, at = Initializer.of(rng), f"{name}." if name else ""
        self.conv1 = Conv(inputs, outputs, 3, initial, stride=stride, pad=1, name=f"{at}conv1")
        self.norm1 = BatchNormReLU(outputs, initial, name=f"{at}bn1")
        self.conv2 = Conv(outputs, outputs, 3, initial, pad=1, name=f"{at}conv2")
        self.norm2 = BatchNormReLU(outputs, initial, name=f"{at}bn2")
        self.shortcut = shortcut(option, inputs, outputs, stride, initial, name)
        super().__init__([self.conv1, self.norm1, self.conv2, self.norm2, self.shortcut], name)

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, ResidualCache]:
        s, of_shortcut = self.shortcut.forward(x, ctx, p)
        a1, of_conv1, of_norm1 = conv_norm(self.conv1, self.norm1, x, ctx, p)
        y, of_conv2, of_norm2 = conv_norm(self.conv2, self.norm2, a1, ctx, p, add=s)  # (1)
        return y, ResidualCache(of_conv1, of_norm1, of_conv2, of_norm2, of_shortcut)

    def backward(
        self, dy: Array, cache: ResidualCache, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        inner: Need = "input" if need == "input" else "both"
        dz2, e, norm2_grads = self.norm2.backward_both(dy, cache.norm2, p, inner)
        assert dz2 is not None and e is not None
        da1, conv2_grads = self.conv2.backward(dz2, cache.conv2, p, inner)
        del dz2
        assert da1 is not None
        dz1, norm1_grads = self.norm1.backward(da1, cache.norm1, p, inner)
        del da1
        assert dz1 is not None
        ds, shortcut_grads = self.shortcut.backward(e, cache.shortcut, p, need)
        del e
        dx, conv1_grads = self.conv1.backward(dz1, cache.conv1, p, need, add=ds)  # (2): ds and its own
        return dx, norm2_grads | conv2_grads | norm1_grads | conv1_grads | shortcut_grads

    def update_running_stats(self, cache: ResidualCache, p: Arrays | None = None) -> None:
        updates = self.norm1.running_updates(cache.norm1, p) + self.norm2.running_updates(cache.norm2, p)
        batch_norm_update_running(updates)
        self.shortcut.update_running_stats(cache.shortcut, p)

    def out_shape(self, shape: Shape) -> Shape:
        inner = self.conv1.out_shape(shape)
        self.shortcut.out_shape(shape)
        return self.conv2.out_shape(inner)

    def macs(self, shape: Shape) -> int:
        return self.conv1.macs(shape) + self.conv2.macs(self.conv1.out_shape(shape)) + self.shortcut.macs(shape)


class PreActivationCache(NamedTuple):
    """The caches of the two paths of a block."""

    main: list[Any]
    shortcut: Any


class PreActivation(Composite[PreActivationCache]):
    """The wide ResNet's block: batch norm and ReLU before each convolution, the stride in the second convolution.

        a₁ = ReLU(BN₁ x)   z₁ = conv₁ a₁   a₂ = ReLU(BN₂ z₁)   y = conv₂ a₂ + s(x)      (1)

    The shortcut takes the raw x: identity, or a 1×1 convolution with bias and without BN where the shape changes.
    x (N, H, W, C)  →  y (N, ⌈H / stride⌉, ⌈W / stride⌉, O). Keeps x, a₁, z₁, a₂.

    Raises: UserError for sizes that are no whole numbers of 1 or more.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, rng: Any, *, name: str = "") -> None:
        initial, at = Initializer.of(rng), f"{name}." if name else ""
        self.norm1 = BatchNormReLU(inputs, initial, name=f"{at}bn1")
        self.conv1 = Conv(inputs, outputs, 3, initial, pad=1, bias=True, name=f"{at}conv1")
        self.norm2 = BatchNormReLU(outputs, initial, name=f"{at}bn2")
        self.conv2 = Conv(outputs, outputs, 3, initial, stride=stride, pad=1, bias=True, name=f"{at}conv2")
        self.shortcut: Layer = Identity(name)
        if stride != 1 or inputs != outputs:
            self.shortcut = Conv(inputs, outputs, 1, initial, stride=stride, bias=True, name=f"{at}shortcut.0")
        self.main = Sequential([self.norm1, self.conv1, self.norm2, self.conv2])
        super().__init__([self.main, self.shortcut], name)

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, PreActivationCache]:
        y, of_main = self.main.forward(x, ctx, p)
        s, of_shortcut = self.shortcut.forward(x, ctx, p)
        y += s  # (1): y is a new array, conv₂'s output
        return y, PreActivationCache(of_main, of_shortcut)

    def backward(
        self, dy: Array, cache: PreActivationCache, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        dx, main_grads = self.main.backward(dy, cache.main, p, need)
        ds, shortcut_grads = self.shortcut.backward(dy, cache.shortcut, p, need)
        if dx is not None:
            dx += ds
        return dx, main_grads | shortcut_grads

    def update_running_stats(self, cache: PreActivationCache, p: Arrays | None = None) -> None:
        self.main.update_running_stats(cache.main, p)

    def out_shape(self, shape: Shape) -> Shape:
        return self.main.out_shape(shape)

    def macs(self, shape: Shape) -> int:
        return self.main.macs(shape) + self.shortcut.macs(shape)
