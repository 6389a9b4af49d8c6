"""The costs of K modules, wherever they are cut, by one of three measures.

    flops     multiply-adds of a step for one image
    time      seconds of a step, measured on this machine
    memory    bytes of activations at their peak

A module costs what a process costs that owns it alone: its units, the contexts at its input, its auxiliary network or
synthesiser, and the copies of linked units below, through which it passes its error (BackLink).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from minilocal import inputs
from minilocal.balanced import balanced
from minilocal.costs.kept import kept_bytes
from minilocal.costs.parts import Parts
from minilocal.costs.passes import MultiplyAdds, Seconds, work
from minilocal.device import check_device_name, on_device
from minilocal.errors import UserError, unknown, whole
from minilocal.nets import Net
from minilocal.rules import Rule

MEASURES = ("time", "memory", "flops")


@dataclass(frozen=True)
class Costs:
    """The costs of `modules` modules, in the unit of measure of `by`.

    units     of each unit
    besides   besides(k, first, last, below) is the cost of module k, of units first to last - 1, besides its units';
              `below` is the number of units of the module below it, None where it is not known
    """

    by: str
    modules: int
    units: list[float]
    besides: Callable[[int, int, int, int | None], float]

    def of(self, sizes: Sequence[int]) -> list[float]:
        """The cost of each module of these numbers of units."""
        edges, below = [0, *accumulate(sizes)], [None, *sizes]
        return [
            math.fsum(self.units[first:last]) + self.besides(k, first, last, below[k])
            for k, (first, last) in enumerate(pairwise(edges))
        ]

    def cut(self) -> list[int]:
        """The numbers of units of the modules whose largest cost is least; see `split.balanced`.

        Raises: UserError for more modules than units, and for a cost that is no number, 0 or more.
        """

        def extra(k: int, first: int, last: int) -> float:
            try:
                return self.besides(k, first, last, None)
            except UserError:  # no objective is defined behind that unit
                return math.inf

        return balanced(self.units, self.modules, extra)


def measure(
    net: Net, rule: Rule, modules: int, by: str, *, images: int = 128, dtype: Any = "float32", device: Any = "cpu"
) -> Costs:
    """The costs of K = `modules` modules of `net` under `rule`, by "time", "memory" or "flops".

    Seconds and bytes are those of a step on `images` images of this dtype on this device.

    >>> import minilocal as ml
    >>> net = ml.nets.resnet(20, rng=ml.rng(0))
    >>> ml.costs.measure(net, ml.rules.gll(aux="1c2f"), 4, "memory").cut()
    [2, 1, 2, 5]

    Raises: UserError for an unknown measure or device, what is no network, rule or type, and bytes where a layer reads
    numbers.
    """
    if by not in MEASURES:
        raise unknown("balance", by, MEASURES)
    net, rule, dtype = inputs.network(net), inputs.training_rule(rule), inputs.precision(dtype)
    if isinstance(device, str):
        check_device_name(device)
    parts, images = Parts(net, rule, whole("modules", modules)), whole("images", images)
    if by == "memory":
        return Costs(by, modules, *kept_bytes(parts, images, dtype, device))
    if by == "flops":
        return Costs(by, modules, *work(parts, MultiplyAdds()))
    with on_device(device):
        return Costs(by, modules, *work(parts, Seconds(net, images, dtype, device)))
