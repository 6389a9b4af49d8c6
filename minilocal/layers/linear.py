"""The fully connected layer."""

from __future__ import annotations

from math import prod

import numpy as np

from minilocal.array import Array
from minilocal.errors import UserError, boolean
from minilocal.layers.base import Arrays, Layer, Need, PassContext, Shape, whole_sizes
from minilocal.layers.initial import Initializer
from minilocal.ops.matmul import matmul, matmul_dw, sum_rows


class Linear(Layer[Array]):
    """A fully connected layer: a weighted sum of its inputs, plus a bias.

        y  = x W + b                                                    (1)
        dW = xᵀ dy        db = Σₙ dy        dx = dy Wᵀ                  (2)

        x (N, I)   W (I, O)   b (O,)   y (N, O)

    Keeps x, which dW needs; the layer below has the same array as its output. Sizes below 1 raise UserError.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        rng: np.random.Generator | Initializer,
        *,
        name: str = "",
        bias: bool = True,
        last: bool = False,
    ) -> None:
        super().__init__(name)
        self.inputs, self.outputs = whole_sizes(self, inputs=inputs, outputs=outputs)
        initial, weight, self.bias = Initializer.of(rng), self._full("weight"), boolean(f"Linear {name!r}: bias", bias)
        self.parameters[weight] = initial.linear(weight, self.inputs, self.outputs, last)
        if self.bias:
            self.parameters[self._full("bias")] = initial.bias(self._full("bias"), self.inputs, self.outputs)

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Array]:
        y = matmul(x, self._get(p, "weight"))  # (1)
        if self.bias:
            y += self._get(p, "bias")
        return y, x

    def backward(
        self, dy: Array, cache: Array, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        grads: dict[str, Array] = {}
        if need != "input":
            grads[self._full("weight")] = matmul_dw(cache, dy)  # (2)
            if self.bias:
                grads[self._full("bias")] = sum_rows(dy)
        return None if need == "weights" else matmul(dy, self._get(p, "weight").T), grads

    def out_shape(self, shape: Shape) -> Shape:
        if shape != (self.inputs,):
            raise UserError(
                f"Linear({self.inputs} → {self.outputs}) {self.name!r} was given {shape} per sample: "
                f"build it as Linear({prod(shape)}, {self.outputs}, rng), after a Flatten where that is an image."
            )
        return (self.outputs,)
