"""What the parts of a network cost: seconds of each piece of work, and bytes.

A part is a unit, a module's objective, or its synthesiser. Costs are plain numbers: measured on this machine
(`measure`), read from a file, or written by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class PartCosts:
    """Seconds and bytes of one part on one batch.

    forward            seconds of a forward
    backward           of a backward for the parameters and for the input
    backward_weights   of a backward for the parameters alone
    backward_input     of a backward for the input alone
    update             of the optimiser's update
    output             bytes of its output
    kept               bytes from its forward until its backward: cache and output
    parameters         bytes of its parameters, and of their gradients
    """

    forward: float = 0.0
    backward: float = 0.0
    backward_weights: float = 0.0
    update: float = 0.0
    output: int = 0
    kept: int = 0
    parameters: int = 0
    backward_input: float = 0.0

    def scaled(self, factor: float) -> PartCosts:
        """The costs on a machine on which all work takes `factor` times as long."""
        return replace(
            self,
            forward=self.forward * factor,
            backward=self.backward * factor,
            backward_weights=self.backward_weights * factor,
            backward_input=self.backward_input * factor,
            update=self.update * factor,
        )


@dataclass(frozen=True)
class ModuleCosts:
    """The costs of one module: its units, bottom to top, its objective and its synthesiser.

    `input` is the bytes of the module's input, and `encoded` the same where a context of the module above encodes it,
    but for the images, which are everywhere. Methods take a range of units, counted from 0 inside the module.
    """

    units: tuple[PartCosts, ...]
    objective: PartCosts | None = None
    synthesiser: PartCosts | None = None
    input: int = 0
    encoded: int = 0

    @property
    def parts(self) -> list[PartCosts]:
        """Its units, then its objective and its synthesiser where it has them."""
        return [*self.units, *(part for part in (self.objective, self.synthesiser) if part is not None)]

    def forward(self, units: range) -> float:
        """Seconds of a forward of these units."""
        return sum(self.units[u].forward for u in units)

    def backward(self, units: range, passes_on: bool) -> float:
        """Seconds of a backward of these units; with `passes_on` for the input of the lowest one too."""
        return sum(
            self.units[u].backward if u > units.start or passes_on else self.units[u].backward_weights for u in units
        )

    def backward_input(self, units: range) -> float:
        """Seconds of a backward of these units for input errors alone."""
        return sum(self.units[u].backward_input for u in units)

    def update(self, units: range) -> float:
        """Seconds of the update of these units."""
        return sum(self.units[u].update for u in units)

    def kept(self, units: range) -> int:
        """Bytes that these units keep for their backward."""
        return sum(self.units[u].kept for u in units)

    def parameters(self, units: range) -> int:
        """Bytes of the parameters of these units."""
        return sum(self.units[u].parameters for u in units)

    def input_of(self, unit: int) -> int:
        """Bytes of the input of a unit; after the last one, of the module's output."""
        return self.units[unit - 1].output if unit else self.input

    @property
    def output(self) -> int:
        """Bytes of the module's output."""
        return self.units[-1].output

    def scaled(self, factor: float) -> ModuleCosts:
        """The costs where all work takes `factor` times as long."""
        objective = None if self.objective is None else self.objective.scaled(factor)
        synthesiser = None if self.synthesiser is None else self.synthesiser.scaled(factor)
        units = tuple(u.scaled(factor) for u in self.units)
        return replace(self, units=units, objective=objective, synthesiser=synthesiser)


Costs = Sequence[ModuleCosts]  # of all modules, bottom to top


def scaled(costs: Costs, factor: float) -> tuple[ModuleCosts, ...]:
    """The costs where all work takes `factor` times as long: 0.02 for a device that is 50 times as fast."""
    return tuple(module.scaled(factor) for module in costs)


def merged(costs: Costs) -> tuple[ModuleCosts, ...]:
    """The same units as one module, with the last one's objective."""
    units = tuple(unit for module in costs for unit in module.units)
    return (ModuleCosts(units, costs[-1].objective, None, costs[0].input),)


def seconds(costs: Iterable[ModuleCosts]) -> list[float]:
    """Seconds of each module in a step that its own loss passes through: the weights by which devices share modules."""
    return [sum(part.forward + part.backward + part.update for part in module.parts) for module in costs]
