"""The costs of a network's parts by counting: multiply-adds at a stated rate. Nothing is measured.

    forward            the multiply-adds of its convolutions and matrix products
    backward           twice those, of which the half is for the parameters, the half for the input
    update             two for each parameter: momentum, and the step

So the costs are a function of network, rule and batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import Any

from minilocal.engine import Module
from minilocal.errors import real, whole
from minilocal.layers.base import Shape
from minilocal.layers.with_context import encoded_bytes
from minilocal.nets import Net
from minilocal.objectives.behind import macs_behind
from minilocal.parallel.simulate.costs import ModuleCosts, PartCosts

FLOAT = 4  # bytes


class Counted:
    """Costs of a network's modules on batches of `images` images, where a device does `rate` multiply-adds a second.

    Bytes are those of float32. `kept` is the output alone, which is less than a real cache.

    Raises: UserError for fewer than one image, and a rate that is not above 0.
    """

    def __init__(self, net: Net, images: int, rate: float) -> None:
        self.net, self.images = net, whole("images", images)
        self.rate = real("rate", rate, 0, inf, "()", why="multiply-adds a second, above 0")

    def modules(self, modules: Sequence[Module]) -> tuple[ModuleCosts, ...]:
        """The costs of the modules of a Learner."""
        shape, nbytes = self.net.shape, self._nbytes(self.net.shape)
        costs = []
        for module in modules:
            units = []
            for unit in module.units:
                units.append(self._part(unit, unit.macs(shape), unit.out_shape(shape)))
                shape = unit.out_shape(shape)
            objective, synthesiser = (
                None if part is None else self._part(part, macs_behind(part, shape), shape)
                for part in (module.objective, module.synthesiser)
            )
            costs.append(
                ModuleCosts(tuple(units), objective, synthesiser, nbytes, encoded_bytes(module.units[0], nbytes))
            )
            nbytes = units[-1].output
        return tuple(costs)

    def _part(self, part: Any, macs: int, out: Shape) -> PartCosts:
        forward, weights = self.images * macs / self.rate, sum(w.size for w in part.parameters.values())
        return PartCosts(
            forward,
            2 * forward,
            forward,
            2 * weights / self.rate,
            self._nbytes(out),
            self._nbytes(out),
            FLOAT * weights,
            forward,
        )

    def _nbytes(self, shape: Shape) -> int:
        return FLOAT * self.images * prod(shape)
