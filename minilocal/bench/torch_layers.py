"""Layers of the engine as `torch.nn` modules of the same names, and the way an image takes through them.

The arithmetic is what common PyTorch code for these networks writes: convolution, `batch_norm`, `+=`, ReLU in place.
Every parameter stands in `root` under the engine's own name, so `root.state_dict()` has the engine's names, and
PyTorch's counters `num_batches_tracked` beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minilocal.errors import UserError
from minilocal.layers import Layer

Tensor = Any
Way = Callable[..., Tensor]


class TorchLayers:
    """`Translator().way(layer)` is a function from tensors to tensors; its modules are kept in `root`."""

    def __init__(self) -> None:
        import torch

        self.torch, self.root = torch, torch.nn.Module()

    def way(self, layer: Layer) -> Way:
        """The layer as a function of a tensor, channels first.

        Raises: UserError for a layer that is not translated.
        """
        make = getattr(self, f"_{type(layer).__name__.lower()}", None)
        if make is None:
            raise UserError(f"the PyTorch peer has no {type(layer).__name__}: measure another network or rule.")
        way: Way = make(layer)
        return way

    def _keep(self, name: str, module: Any) -> Any:
        """Puts a module where its full name says, in containers made on the way."""
        *path, last = name.split(".")
        here = self.root
        for part in path:
            if not hasattr(here, part):
                here.add_module(part, self.torch.nn.Module())
            here = getattr(here, part)
        here.add_module(last, module)
        return module

    def _conv(self, layer: Any) -> Way:
        size, how = layer.size, {"stride": layer.stride, "padding": layer.pad, "bias": layer.bias}
        return self._keep(layer.name, self.torch.nn.Conv2d(layer.inputs, layer.outputs, size, **how))

    def _linear(self, layer: Any) -> Way:
        return self._keep(layer.name, self.torch.nn.Linear(layer.inputs, layer.outputs, bias=layer.bias))

    def _batchnorm(self, layer: Any) -> Way:
        norm = self.torch.nn.BatchNorm2d(layer.channels, eps=layer.eps, momentum=layer.momentum)
        return self._keep(layer.name, norm)

    def _normrelu(self, layer: Any) -> Way:
        norm, relu = self._batchnorm(layer), self.torch.nn.functional.relu

        def way(x: Tensor, add: Tensor | None = None) -> Tensor:
            y = norm(x)
            if add is not None:
                y += add
            return relu(y, inplace=True)

        return way

    def _relu(self, layer: Any) -> Way:
        return lambda x: self.torch.nn.functional.relu(x, inplace=True)

    def _maxpool(self, layer: Any) -> Way:
        return lambda x: self.torch.nn.functional.max_pool2d(x, layer.size, layer.stride)

    def _globalaveragepool(self, layer: Any) -> Way:
        return lambda x: self.torch.nn.functional.adaptive_avg_pool2d(x, 1)

    def _flatten(self, layer: Any) -> Way:
        return lambda x: self.torch.flatten(x, 1)

    def _dropout(self, layer: Any) -> Way:
        return lambda x: self.torch.nn.functional.dropout(x, layer.rate)

    def _identity(self, layer: Any) -> Way:
        return lambda x: x

    def _sequential(self, layer: Any) -> Way:
        ways = [self.way(part) for part in layer.layers]

        def way(x: Tensor) -> Tensor:
            for step in ways:
                x = step(x)
            return x

        return way

    def _residual(self, layer: Any) -> Way:
        parts = (layer.conv1, layer.norm1, layer.conv2, layer.norm2, layer.shortcut)
        conv1, norm1, conv2, norm2, shortcut = map(self.way, parts)
        return lambda x: norm2(conv2(norm1(conv1(x))), shortcut(x))
