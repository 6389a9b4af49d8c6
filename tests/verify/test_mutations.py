"""A suite is worth what it catches: each test here breaks one thing on purpose, and the check that guards it is red.

The checks are the suite's own (`minilocal.verify`, and the remembered losses). Every one is seen green before the
mutation and red after it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from minilocal import layers as ml
from minilocal import losses, ops
from minilocal.boundaries.link import BackwardLink
from minilocal.engine import synchronous
from minilocal.kernels.cpu import conv as conv_kernel
from minilocal.layers import dropout, linear, norm, pool
from minilocal.layers.base import PassContext
from minilocal.optim import SGD
from minilocal.verify import losses as loss_checks
from minilocal.verify.compare import DOUBLE, errors
from minilocal.verify.layers import CASES, LayerCase, by_engine, by_jax, inputs
from minilocal.verify.synchronous import named, relative_errors
from tests.helpers import toy
from tests.rules.remembered import REMEMBERED, TOLERANCE

SQUARE = LayerCase("Linear", "5 → 5", lambda i: ml.Linear(5, 5, i, name="fc"), (4, 5))


def layer(case: LayerCase) -> Callable[[], float]:
    def check() -> float:
        t = inputs(case)
        return max(errors(by_engine(t), by_jax(t)).values()) / DOUBLE

    return check


def case_of(kind: str, name: str) -> LayerCase:
    return next(case for case in CASES if case.kind == kind and name in case.name)


def rule(modules: int = 2, **options: Any) -> Callable[[], float]:
    case = named("backlink", "mlp", modules, **options)
    return lambda: max(relative_errors(case).values()) / DOUBLE


def remembered() -> float:
    ours = toy.by_engine("backlink, l=1")
    return float(np.abs(ours - REMEMBERED["backlink, l=1"]).max() / TOLERANCE)


@dataclass(frozen=True)
class Mutation:
    """What is broken, how, and the check that must notice: a ratio of error to limit, above 1 is red."""

    name: str
    patch: Callable[[pytest.MonkeyPatch], None]
    check: Callable[[], float]


def in_norm(change: Callable[..., Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """Batch norm's backward with dz changed; `change(dz, γ r, n, dγ, dβ, M)`."""
    right = ops.batch_norm_backward

    def wrong(dy: Any, z: Any, mean: Any, r: Any, gamma: Any, a: Any = None, both: bool = True) -> Any:
        dz, dgamma, dbeta, dadd = right(dy, z, mean, r, gamma, a, both)
        return change(dz, gamma * r, (z - mean) * r, dgamma, dbeta, z.size // z.shape[-1]), dgamma, dbeta, dadd

    return lambda m: m.setattr(norm, "batch_norm_backward", wrong)


def transposed(m: pytest.MonkeyPatch) -> None:
    right = ops.matmul
    m.setattr(linear, "matmul", lambda x, W: right(x, W if W.flags.c_contiguous else W.T))


def stale_mask(m: pytest.MonkeyPatch) -> None:
    right = dropout.Dropout.forward

    def wrong(self: Any, x: Any, run: PassContext, p: Any = None) -> Any:
        stale = PassContext(run.training, run.key, run.epoch, run.step - 1, run.unit)
        return right(self, x, run, p)[0], right(self, x, stale, p)[1]

    m.setattr(dropout.Dropout, "forward", wrong)


def swapped_weights(m: pytest.MonkeyPatch) -> None:
    right = BackwardLink.weights
    m.setattr(BackwardLink, "weights", lambda self, j: right(self, j)[::-1])


def compounding(m: pytest.MonkeyPatch) -> None:
    m.setattr(BackwardLink, "weights", lambda self, j: (self.alpha, 1 - self.alpha))


def leak(m: pytest.MonkeyPatch) -> None:
    """The global error goes on below the range, where units learn from their own module only."""
    weights, length = BackwardLink.weights, 1
    m.setattr(BackwardLink, "linked_units", lambda self, units: units)
    m.setattr(
        BackwardLink, "weights", lambda self, j: weights(self, j) if j < length else (1.0, weights(self, length - 1)[1])
    )


def shrunk_below(m: pytest.MonkeyPatch) -> None:
    """α is applied to the error where it enters, as if both errors were one sum, instead of to the gradient."""
    right = synchronous.SynchronousEngine._backward_own_loss

    def wrong(self: Any, boundary: Any, pending: Any, caches: Any, error_slot: Any, on_gradients: Any) -> Any:
        if pending.lowest < len(pending.module.units):
            error_slot[0] = error_slot[0] * boundary.weights(0)[0]
        return right(self, boundary, pending, caches, error_slot, on_gradients)

    m.setattr(synchronous.SynchronousEngine, "_backward_own_loss", wrong)


def own_for_total(m: pytest.MonkeyPatch) -> None:
    m.setattr(BackwardLink, "sends", lambda self, units: (1.0, 0.0))


def total_of_raw_errors(m: pytest.MonkeyPatch) -> None:
    """E_k + E_gl is sent down, without the factors of (4) and (5)."""
    right = BackwardLink.sends
    m.setattr(BackwardLink, "sends", lambda self, units: (1.0, 1.0) if right(self, units)[1] else right(self, units))


def forgotten_mean(m: pytest.MonkeyPatch) -> None:
    right = losses.cross_entropy

    def wrong(z: Any, labels: Any) -> Any:
        loss, dz = right(z, labels)
        return loss, dz * len(z)

    m.setattr(losses, "cross_entropy", wrong)


def wrong_stride(m: pytest.MonkeyPatch) -> None:
    right = conv_kernel._col2im_of_product
    m.setattr(conv_kernel, "_col2im_of_product", lambda dz, x, W, stride, pad: right(dz, x, W, 1, pad))


def unflipped_kernel(m: pytest.MonkeyPatch) -> None:
    right = conv_kernel._backward_flipped

    def wrong(dz: Any, x: Any, W: Any, *rest: Any) -> Any:
        dx, dW = right(dz, x, W, *rest)
        return right(dz, x, np.ascontiguousarray(W[::-1, ::-1]), *rest)[0] if dx is not None else dx, dW

    m.setattr(conv_kernel, "_backward_flipped", wrong)


def undivided_pool(m: pytest.MonkeyPatch) -> None:
    right = pool.AveragePool.backward

    def wrong(self: Any, dy: Any, cache: Any, p: Any = None, need: Any = "both") -> Any:
        dx, grads = right(self, dy, cache, p, need)
        return dx * self.size**2, grads

    m.setattr(pool.AveragePool, "backward", wrong)


def momentum_sign(m: pytest.MonkeyPatch) -> None:
    right = SGD.update

    def wrong(self: Any, moves: Any, lr: float) -> None:
        for _, _, state in moves:
            if "v" in state:
                state["v"] *= -1
        right(self, moves, lr)

    m.setattr(SGD, "update", wrong)


def doubled_decay(m: pytest.MonkeyPatch) -> None:
    right = SGD.update

    def wrong(self: Any, moves: Any, lr: float) -> None:
        right(self, [(w, g + self.weight_decay * w, state) for w, g, state in moves], lr)

    m.setattr(SGD, "update", wrong)


def updated_twice(m: pytest.MonkeyPatch) -> None:
    right = SGD.update

    def wrong(self: Any, moves: Any, lr: float) -> None:
        right(self, [(w, g.copy(), state) for w, g, state in moves], lr)
        right(self, moves, lr)

    m.setattr(SGD, "update", wrong)


IMAGES = case_of("BatchNorm", "images")
MUTATIONS = [
    Mutation("a missing factor γ in batch norm", in_norm(lambda dz, s, n, dg, db, M: dz / s), layer(IMAGES)),
    Mutation("batch norm without its mean term", in_norm(lambda dz, s, n, dg, db, M: dz + s * db / M), layer(IMAGES)),
    Mutation(
        "batch norm without its last term", in_norm(lambda dz, s, n, dg, db, M: dz + s * n * dg / M), layer(IMAGES)
    ),
    Mutation("a transposed weight", transposed, layer(SQUARE)),
    Mutation("a stale mask", stale_mask, layer(case_of("Dropout", "rate 0.5"))),
    Mutation("α for 1-α", swapped_weights, rule(length=1, alpha=0.25)),
    Mutation("α once where it compounds", compounding, rule(length=2, alpha=0.25, weighting="literal")),
    Mutation("the global error leaks below the range", leak, rule(length=1, alpha=0.25)),
    Mutation("the local error is shrunk below the range", shrunk_below, rule(length=1, alpha=0.25)),
    Mutation("the own error for the scaled one", own_for_total, rule(5, length=1, alpha=0.25, error="own-scaled")),
    Mutation("the own error for the total one", own_for_total, rule(5, length=1, alpha=0.25, error="total")),
    Mutation("a total error without α", total_of_raw_errors, rule(5, length=1, alpha=0.25, error="total")),
    Mutation("a forgotten 1/N", forgotten_mean, lambda: max(loss_checks.cross_entropy((5, 4), 1.0).values()) / DOUBLE),
    Mutation("a wrong stride in col2im", wrong_stride, layer(case_of("Conv", "odd and even side"))),
    Mutation("a kernel that is not turned round", unflipped_kernel, layer(case_of("Conv", "batch of one"))),
    Mutation("an average that is a sum", undivided_pool, layer(case_of("AveragePool", "2×2"))),
    Mutation("the sign of the momentum", momentum_sign, remembered),
    Mutation("weight decay twice", doubled_decay, remembered),
    Mutation("an update twice", updated_twice, remembered),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_gradient_is_caught(mutation, monkeypatch):
    assert mutation.check() <= 1, "green as it stands"
    mutation.patch(monkeypatch)
    assert mutation.check() > 1000, "red when broken, and not by a hair"
