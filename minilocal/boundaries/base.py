"""Boundaries: which errors pass from the first unit of a module into the last units of the module below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

from minilocal.array import Array
from minilocal.boundaries.averaged_unit import Averages
from minilocal.errors import real, set_checked
from minilocal.layers.base import Arrays, PassContext
from minilocal.objectives import Batch, ModuleContext


@dataclass(frozen=True)
class Recommended:
    """An optimiser, "sgd" or "adam", and a learning rate under which modules are known to learn.

    Raises: UserError for a rate that is not above 0 and finite.
    """

    optimizer: str
    lr: float

    def __post_init__(self) -> None:
        at = f"{self.optimizer} is recommended at lr"
        set_checked(self, lr=real(at, self.lr, 0, inf, "()", why="give a rate above 0"))

    @property
    def title(self) -> str:
        """The optimiser's name in prose: SGD, Adam."""
        return {"sgd": "SGD"}.get(self.optimizer, self.optimizer.capitalize())

    def describe(self) -> str:
        """As "SGD at 0.03"."""
        return f"{self.title} at {self.lr:g}"


class ErrorModel(Protocol):
    """A model that predicts the error at a module's top from h_k, and learns from the true error when it arrives."""

    parameters: dict[str, Array]
    buffers: dict[str, Array]

    def forward(self, h: Array, batch: Batch, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Any]:
        """(ê_k, cache)."""

    def gradients(self, cache: Any, error: Array | None, p: Arrays | None = None) -> dict[str, Array]:
        """The gradients of the model's own parameters, given the true error."""

    def update_running_stats(self, cache: Any, p: Arrays | None = None) -> None:
        """Update the running statistics of the model's own batch norms."""


class Boundary:
    """The closed boundary: no error passes, so modules are gradient-isolated (GLL). Other boundaries override it."""

    can_checkpoint = False  # keep="inputs" is allowed: units wait for an error from above within the step
    passes_on = False  # an error that has passed through a whole module enters the module below
    provides_error = False  # modules need no local loss: an error reaches each of them anyway (BP, DDG, FDG, DNI)
    beta: float = 1.0  # the factor of a delayed error at each boundary (FDG, Eq. 7)
    backward_weights: str | None = None  # the weights that a delayed error meets; without delays a step has one set
    recommends: Recommended | None = None  # an optimiser and rate under which its modules are known to learn
    averages: Averages | None = None  # of the next module's first unit, where its weights cross (MAN)

    def __repr__(self) -> str:
        return "ClosedBoundary()" if type(self) is Boundary else f"{type(self).__name__}()"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def linked_units(self, units: int) -> int:
        """The number of units that an error from above enters, counted from the top of a module of `units` units."""
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
        """(a, b): a module of `units` units sends a e_loc + b e_glb into the module below.

        e_loc is the error of its own loss and e_glb the error from above, each at the input of the module's first unit.
        """
        return 1.0, 1.0 if self.passes_on else 0.0

    def weights(self, j: int) -> tuple[float, float]:
        """(a, b): the gradient of the unit j steps below the top is a g_loc + b g_glb where it has both."""
        return 1.0, 1.0

    def synthesiser(self, context: ModuleContext) -> ErrorModel | None:
        """The model of the synthetic gradient at the top of this module; None where there is none."""
        return None

    def least_batches(self, modules: int) -> int:
        """The number of batches after which an error has reached each of `modules` modules."""
        return 1

    def learns_from(self, k: int, last: int) -> int | None:
        """The one module whose loss module k's weights learn from, where errors pass through whole modules.

        `last` is the number of the last module, from 0. None: `linked_units`, `weights` and `sends` say it all.
        """
        return None

    @property
    def one_loss(self) -> bool:
        """Whether each module's weights learn from one loss alone, as `learns_from` says."""
        return self.learns_from(0, 0) is not None

    def lowest_learner(self, j: int, last: int) -> int | None:
        """The lowest module that learns from the loss of module j alone; None where none does."""
        return next((k for k in range(j + 1) if self.learns_from(k, last) == j), None)

    def warnings(self, sizes: Sequence[int]) -> list[str]:
        """One line for each surprise in modules of these sizes."""
        return []

    def describe(self) -> str:
        """The error from above, in a few words."""
        return "none"


class OpenBoundary(Boundary):
    """The open boundary of backpropagation: the error of the last loss enters every unit of every module."""

    can_checkpoint = True
    passes_on = True
    provides_error = True

    def linked_units(self, units: int) -> int:
        return units

    def describe(self) -> str:
        return "the error of the last loss, through every module"
