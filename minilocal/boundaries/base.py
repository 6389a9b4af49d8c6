"""Boundaries: which errors pass from the first unit of a module into the last units of the module below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

from minilocal.array import Array
from minilocal.errors import UserError
from minilocal.layers.base import Arrays, PassContext
from minilocal.objectives import Batch, ModuleContext


@dataclass(frozen=True)
class Recommended:
    """What modules are known to learn under: an optimiser, "sgd" or "adam", and a learning rate.

    Raises: UserError for a rate that is not above 0 and finite.
    """

    optimizer: str
    lr: float

    def __post_init__(self) -> None:
        if not 0 < self.lr < inf:
            raise UserError(f"{self.optimizer} is recommended at lr {self.lr}: give a rate above 0.")

    @property
    def title(self) -> str:
        """The optimiser as people write it: SGD, Adam."""
        return {"sgd": "SGD"}.get(self.optimizer, self.optimizer.capitalize())

    def describe(self) -> str:
        return f"{self.title} at {self.lr:g}"


class ErrorModel(Protocol):
    """A guess of the error at a module's top, made from h_k at once, and taught when the module above answers."""

    parameters: dict[str, Array]
    buffers: dict[str, Array]

    def forward(self, h: Array, batch: Batch, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Any]:
        """(ê_k, cache)."""

    def gradients(self, cache: Any, error: Array | None, p: Arrays | None = None) -> dict[str, Array]:
        """The guess's own gradients, once the error that it tried to foresee has arrived."""

    def update_running_stats(self, cache: Any, p: Arrays | None = None) -> None:
        """Running statistics of its own batch norms."""


class Boundary:
    """The closed boundary: no error passes, so modules are gradient-isolated (GLL). Other boundaries override it."""

    can_checkpoint = False  # `keep="inputs"` may be asked for: units keep something until an error from above comes
    passes_on = False  # an error that has passed a whole module goes on into the one below
    provides_error = False  # modules need no local loss: an error reaches each of them anyway (BP, DDG, FDG, DNI)
    backward_weights: str | None = None  # the weights that a delayed error meets; without delays a step has one set
    recommends: Recommended | None = None  # the optimiser and rate that its modules are known to learn under

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def linked_units(self, units: int) -> int:
        """How many units, counted from its top, of a module of `units` units an error from above may enter."""
        return 0

    @property
    def uses_input_error(self) -> bool:
        """Whether the error at a module's input is computed at all."""
        return self.linked_units(1) > 0

    @property
    def lags(self) -> tuple[int, int]:
        """(activations, errors): how many iterations later than it was computed each arrives in the next module."""
        return 0, 0

    @property
    def delayed(self) -> bool:
        """Whether activations or errors arrive in a later iteration than the one that computed them."""
        return any(self.lags)

    def sends(self, units: int) -> tuple[float, float]:
        """(a, b): the error that a module of `units` units below the last sends into the module below is a times its
        own loss's error plus b times the error from above, each as it arrives at the module's first unit.
        """
        return 1.0, 1.0 if self.passes_on else 0.0

    def weights(self, j: int) -> tuple[float, float]:
        """(a, b): the unit j steps below the top takes a g_loc + b g_glb where it has both."""
        return 1.0, 1.0

    def synthesiser(self, context: ModuleContext) -> ErrorModel | None:
        """What stands in for the error from above at this place, if anything."""
        return None

    def least_batches(self, modules: int) -> int:
        """The number of batches after which an error has reached each of `modules` modules."""
        return 1

    def warnings(self, sizes: Sequence[int]) -> list[str]:
        """What a user should know about modules of these sizes."""
        return []

    def describe(self) -> str:
        """In a few words: what crosses downward. Upward it is always h_k."""
        return "nothing"


class OpenBoundary(Boundary):
    """Backpropagation: the error of the last loss enters every unit and passes on into the module below."""

    can_checkpoint = True
    passes_on = True
    provides_error = True

    def linked_units(self, units: int) -> int:
        return units

    def describe(self) -> str:
        return "the error of the last loss, all the way"
