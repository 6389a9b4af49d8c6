"""minilocal's layers as `torch.nn` modules with the same parameter names, and the forward pass through them.

The arithmetic is what common PyTorch code for these networks writes: convolution, `batch_norm`, `+=`, ReLU in place.
Every parameter stands in `root` under minilocal's own name, so `root.state_dict()` has minilocal's names, and PyTorch's
counters `num_batches_tracked` beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatchmethod
from typing import Any

from minilocal import layers
from minilocal.errors import UserError

Tensor = Any
Forward = Callable[..., Tensor]


class TorchLayers:
    """`TorchLayers().build(layer)` is the layer's forward pass on tensors; its `torch.nn` modules stand in `root`."""

    def __init__(self) -> None:
        import torch

        self.torch, self.F, self.root = torch, torch.nn.functional, torch.nn.Module()

    @singledispatchmethod
    def build(self, layer: layers.Layer) -> Forward:
        """The layer as a function of a tensor, channels first, by its class.

        Raises: UserError for a layer class that has no PyTorch form here.
        """
        raise UserError(f"TorchLearner has no {type(layer).__name__}: measure another network or rule.")

    def _add(self, name: str, module: Any) -> Any:
        """`module`, put under its full name into `root`, with a container for each part of the name."""
        *path, last = name.split(".")
        container = self.root
        for part in path:
            if not hasattr(container, part):
                container.add_module(part, self.torch.nn.Module())
            container = getattr(container, part)
        container.add_module(last, module)
        return module

    @build.register
    def _conv(self, layer: layers.Conv) -> Forward:
        options = {"stride": layer.stride, "padding": layer.pad, "bias": layer.bias}
        return self._add(layer.name, self.torch.nn.Conv2d(layer.inputs, layer.outputs, layer.size, **options))

    @build.register
    def _linear(self, layer: layers.Linear) -> Forward:
        return self._add(layer.name, self.torch.nn.Linear(layer.inputs, layer.outputs, bias=layer.bias))

    @build.register
    def _batch_norm(self, layer: layers.BatchNorm) -> Forward:
        norm = self.torch.nn.BatchNorm2d(layer.channels, eps=layer.eps, momentum=layer.momentum)
        return self._add(layer.name, norm)

    @build.register
    def _batch_norm_relu(self, layer: layers.BatchNormReLU) -> Forward:
        norm = self._batch_norm(layer)

        def forward(x: Tensor, add: Tensor | None = None) -> Tensor:
            y = norm(x)
            if add is not None:
                y += add
            return self.F.relu(y, inplace=True)

        return forward

    @build.register
    def _relu(self, layer: layers.ReLU) -> Forward:
        return lambda x: self.F.relu(x, inplace=True)

    @build.register
    def _max_pool(self, layer: layers.MaxPool) -> Forward:
        return lambda x: self.F.max_pool2d(x, layer.size, layer.stride)

    @build.register
    def _global_average_pool(self, layer: layers.GlobalAveragePool) -> Forward:
        return lambda x: self.F.adaptive_avg_pool2d(x, 1)

    @build.register
    def _flatten(self, layer: layers.Flatten) -> Forward:
        return lambda x: self.torch.flatten(x, 1)

    @build.register
    def _dropout(self, layer: layers.Dropout) -> Forward:
        return lambda x: self.F.dropout(x, layer.rate, training=self.root.training)

    @build.register
    def _identity(self, layer: layers.Identity) -> Forward:
        return lambda x: x

    @build.register
    def _sequential(self, layer: layers.Sequential) -> Forward:
        parts = [self.build(part) for part in layer.layers]

        def forward(x: Tensor) -> Tensor:
            for part in parts:
                x = part(x)
            return x

        return forward

    @build.register
    def _residual(self, layer: layers.Residual) -> Forward:
        children = (layer.conv1, layer.norm1, layer.conv2, layer.norm2, layer.shortcut)
        conv1, norm1, conv2, norm2, shortcut = map(self.build, children)
        return lambda x: norm2(conv2(norm1(conv1(x))), shortcut(x))
