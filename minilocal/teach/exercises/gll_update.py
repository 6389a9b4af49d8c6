"""3a: GLL's update of a module's last layer: its own classifier's error, and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from minilocal import equations as eq
from minilocal.teach.exercise import Case, Exercise, Mistake

Arrays = np.ndarray


def gll_update(
    w: Arrays, z: Arrays, x: Arrays, w_c: Arrays, delta_c: Arrays, w_next: Arrays, delta_next: Arrays, eta: float
) -> np.ndarray:
    """The new weights of the last layer of module k under GLL; a ReLU layer, z = w x + b.

    w (O, I), z (O, B), x (I, B). The module's own classifier: w_c (C, O), delta_c (C, B). The first layer of module
    k + 1: w_next (A, O), delta_next (A, B).  →  (O, I)
    """
    return w - eta * ((z > 0) * (w_c.T @ delta_c)) @ x.T


def reference(
    w: Arrays, z: Arrays, x: Arrays, w_c: Arrays, delta_c: Arrays, w_next: Arrays, delta_next: Arrays, eta: float
) -> np.ndarray:
    return np.asarray(eq.update_local(w, eq.backward(z, w_c, delta_c), x, eta))


def mixed(own: float, above: float, relu: bool = True) -> Callable[..., np.ndarray]:
    """The update by a sum of both errors."""

    def answer(
        w: Arrays, z: Arrays, x: Arrays, w_c: Arrays, delta_c: Arrays, w_next: Arrays, delta_next: Arrays, eta: float
    ) -> np.ndarray:
        e = own * (w_c.T @ delta_c) + above * (w_next.T @ delta_next)
        return w - eta * ((z > 0) * e if relu else e) @ x.T

    return answer


def not_transposed(
    w: Arrays, z: Arrays, x: Arrays, w_c: Arrays, delta_c: Arrays, w_next: Arrays, delta_next: Arrays, eta: float
) -> np.ndarray:
    return gll_update(w, z, x, w_c.T, delta_c, w_next, delta_next, eta)


def averaged(
    w: Arrays, z: Arrays, x: Arrays, w_c: Arrays, delta_c: Arrays, w_next: Arrays, delta_next: Arrays, eta: float
) -> np.ndarray:
    return gll_update(w, z, x, w_c, delta_c, w_next, delta_next, eta / z.shape[1])


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for (O, I, B), C, A, eta in (((4, 4, 4), 4, 4, 0.4), ((5, 3, 4), 3, 2, 0.2), ((3, 6, 2), 4, 5, 0.9)):
        shapes = (O, I), (O, B), (I, B), (C, O), (C, B), (A, O), (A, B)
        yield (*(rng.standard_normal(shape) for shape in shapes), eta)


EXERCISE = Exercise(
    id="3a",
    question="Write GLL's update of the last layer of a module: of the errors at hand it uses the module's own.",
    solution=gll_update,
    reference=reference,
    against="minilocal.equations.update_local",
    returns=("w",),
    cases=cases,
    mistakes=(
        Mistake("the error of the module above is added: in GLL none comes down", mixed(1, 1)),
        Mistake("the error comes from the module above alone: that is backpropagation", mixed(0, 1)),
        Mistake("half of each error: that is BackLink", mixed(0.5, 0.5)),
        Mistake("f'(z) is missing", mixed(1, 0, relu=False)),
        Mistake("w_c is not transposed", not_transposed),
        Mistake("1/B once more: δ_c has it already", averaged),
        Mistake("the step goes up: descent subtracts", mixed(-1, 0)),
    ),
)
