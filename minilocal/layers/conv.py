"""Convolution."""

from __future__ import annotations

import numpy as np

from minilocal.array import Array
from minilocal.errors import UserError, boolean, whole
from minilocal.layers.base import Arrays, Layer, Need, PassContext, Shape, whole_sizes
from minilocal.layers.initial import Initializer
from minilocal.ops.conv import conv2d, conv2d_backward, conv_out_size
from minilocal.ops.matmul import sum_rows


class Conv(Layer[Array]):
    """A k×k convolution; each window is one row of a matrix product.

        z  = im2col(x) W + b                                            (1)
        dW = im2col(x)ᵀ dz     db = Σ dz     dx = col2im(dz Wᵀ)         (2)

        x (N, H, W, C)   W (k, k, C, O)   b (O,)   z (N, P, Q, O),  P = ⌊(H + 2 pad - k) / stride⌋ + 1

    Keeps x, which the ReLU below keeps too, and not im2col(x): it is k² times as large, and cheap to recompute.
    Sizes below 1, and in `forward` and `out_shape` other channels or images smaller than a window, raise UserError.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        rng: np.random.Generator | Initializer,
        *,
        stride: int = 1,
        pad: int = 0,
        bias: bool = False,
        name: str = "",
    ) -> None:
        super().__init__(name)
        self.inputs, self.outputs, self.size = whole_sizes(self, inputs=inputs, outputs=outputs, size=size)
        (self.stride,), self.pad = whole_sizes(self, stride=stride), whole(f"Conv {name!r}: pad", pad, 0)
        self.bias = boolean(f"Conv {name!r}: bias", bias)
        initial, weight, window = Initializer.of(rng), self._full("weight"), self.size**2 * self.inputs
        self.parameters[weight] = initial.conv(weight, self.size, self.inputs, self.outputs)
        if self.bias:
            self.parameters[self._full("bias")] = initial.bias(self._full("bias"), window, self.outputs)

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Array]:
        self.out_shape(x.shape[1:])
        z = conv2d(x, self._get(p, "weight"), self.stride, self.pad)  # (1)
        if self.bias:
            z += self._get(p, "bias")
        return z, x

    def backward(
        self, dy: Array, cache: Array, p: Arrays | None = None, need: Need = "both", add: Array | None = None
    ) -> tuple[Array | None, dict[str, Array]]:
        """(dx, gradients); `add`, the error that another branch sends to x, is added to dx."""
        dx, dW = conv2d_backward(dy, cache, self._get(p, "weight"), self.stride, self.pad, need, add)  # (2)
        if need == "input":
            return dx, {}
        assert dW is not None
        grads = {self._full("weight"): dW}
        if self.bias:
            grads[self._full("bias")] = sum_rows(dy.reshape(-1, self.outputs))
        return dx, grads

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3 or shape[2] != self.inputs:
            raise UserError(
                f"Conv({self.inputs} → {self.outputs}) {self.name!r} was given {shape} per sample: "
                f"it takes images (H, W, {self.inputs})."
            )
        P, Q = (conv_out_size(side, self.size, self.stride, self.pad) for side in shape[:2])
        if min(P, Q) < 1:
            raise UserError(
                f"Conv {self.name!r}: a {self.size}×{self.size} window with padding {self.pad} does not fit an image "
                f"of {shape[0]}×{shape[1]}: use larger images or fewer poolings."
            )
        return P, Q, self.outputs
