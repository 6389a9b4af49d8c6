"""Assumption 1, measured: σ and the norm ratio of a Learner at the weights as they stand.

    E[g]   the mean over batches ξ of the gradient that the rule applies         g_{w_t}(ξ) of Eq. (8)
    ∇L     the mean over the same batches of BP's gradient of the last module's loss

Both are of the main parameters: units and head. L does not depend on auxiliary networks and synthesisers.

    for each batch ξ
        g_{w_t}(ξ)      see `applied`: for a rule with delays, at the older weights that it is computed with
        ∇L(w_t, ξ)      one forward and backward of the whole network
    σ_t = ⟨∇L, E[g]⟩ / ‖∇L‖²     ‖E[g]‖ / ‖∇L‖     E‖g‖²                          Eq. (9), (10), (12)

ξ is a batch with its crops, its batch statistics and its dropout masks; both gradients have the same. They are those
that the optimiser receives: without weight decay, momentum and learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minilocal import inputs, rules
from minilocal.array import Array
from minilocal.convergence.agreement import Agreement, MeanGradients
from minilocal.convergence.applied import SynchronousGradients, applied
from minilocal.convergence.copies import Batches
from minilocal.engine import Module, engine_for
from minilocal.engine.memory_advice import advising
from minilocal.errors import UserError, call_it, whole
from minilocal.kernels.threads import one_blas_thread
from minilocal.kernels.underflow import underflow_is_zero
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.objectives import Batch


@dataclass(frozen=True)
class Convergence:
    """The agreement of a rule's mean gradient with ∇L over `batches` batches.

    whole          over all main parameters; `sigma` is σ_t of Eq. (9), `norm_ratio` that of Eq. (10)
    modules        the same for the parameters of each module, first to last; the head is the last module's
    gradient_norm  ‖∇L‖
    second_moment  E‖g‖² of Eq. (12)
    """

    whole: Agreement
    modules: tuple[Agreement, ...]
    gradient_norm: float
    second_moment: float
    batches: int

    def to_json(self) -> dict[str, Any]:
        """The form that a row of `metrics.jsonl` holds."""
        names = ("sigma", "norm_ratio", "cosine")
        return {
            "batches": self.batches,
            **{name: getattr(self.whole, name) for name in names},
            "gradient_norm": self.gradient_norm,
            "second_moment": self.second_moment,
            "modules": {name: [getattr(module, name) for module in self.modules] for name in names},
        }


def measure(
    learner: Learner,
    images: Array,
    labels: Array,
    *,
    batch_size: int = 128,
    batches: int | None = None,
    lr: float | None = None,
) -> Convergence:
    """σ and the norm ratio of `learner` at its weights, and E‖g‖², over batches of these images in their order.

    images (N, H, W, C) float, normalised as for `step`; labels (N,). `batches` is how many of the batches are used, by
    default all; the last one may be smaller, and counts as the others. PGL is measured in the phase of `learner.epoch`.
    A rule with delays, and asynchronous modules, are trained further in a copy, at the rate `lr`, by default that of
    the last step; they are measured at the weights that this leads to.

    The Learner is the same afterwards, bit for bit.

    Raises: UserError for images and labels as `step`, for numbers out of range, and for a Learner of several ranks.
    """
    size, most = whole("batch_size", batch_size), None if batches is None else whole("batches", batches)
    check_learner(learner)
    images = inputs.images(images, learner.net, learner.dtype, _like(learner))
    labels = inputs.labels(labels, images, learner.net.classes)

    def cut() -> Iterable[tuple[Array, Array]]:
        starts = range(0, len(images), size)
        return ((images[i : i + size], labels[i : i + size]) for i in starts[:most])

    return over(learner, cut, lr=lr)


def over(
    learner: Learner, batches: Batches, *, lr: float | None = None, between: Callable[[], None] = lambda: None
) -> Convergence:
    """As `measure`, over the pairs of images and labels that `batches()` yields; `between` is called after each.

    Raises: UserError as `measure`, and where `batches` is no function that yields such pairs, at least one.
    """
    check_learner(learner)
    rate = learner.lr if lr is None else inputs.rate(lr)
    batches = checked(learner, batches)
    if next(iter(batches()), None) is None:
        raise UserError("convergence is measured over batches, and there is none: give at least one image.")
    with learner.on_device, one_blas_thread(), underflow_is_zero():
        rule = applied(learner, batches, rate)
        final = final_loss(learner, rule.arrays)
        groups = of_modules(learner)
        every = [name for group in groups for name in group]
        sums = MeanGradients(every, learner.parameters())
        for step, (x, y) in enumerate(batches()):
            batch = Batch(x, y)
            ctx = PassContext(True, learner.key, learner.epoch, step)
            with advising(final.engine, x, ctx.epoch):
                sums.add(rule.gradients(batch, ctx), final.gradients(batch, ctx))
            between()
        (network, *modules), second_moment = sums.products([every, *groups])
    by_module = tuple(Agreement.of(*products) for products in modules)
    return Convergence(Agreement.of(*network), by_module, math.sqrt(network[2]), second_moment, sums.batches)


def checked(learner: Learner, batches: Any) -> Batches:
    """The same batches, each one checked as by `step`."""
    if not callable(batches):
        raise UserError(f"batches came as a {type(batches).__name__}: give a function, as lambda: iter(pairs).")

    def each() -> Iterator[tuple[Array, Array]]:
        for pair in batches():
            if not isinstance(pair, Sequence) or len(pair) != 2:
                raise UserError(f"a batch came as a {type(pair).__name__}: give a pair, (images, labels).")
            x = inputs.images(pair[0], learner.net, learner.dtype, _like(learner))
            yield x, inputs.labels(pair[1], x, learner.net.classes)

    return each


def final_loss(learner: Learner, arrays: Mapping[str, Array]) -> SynchronousGradients:
    """∇L(w_t, ξ): BP of the last module's loss through the same units, at the weights in `arrays`."""
    *lower, last = learner.modules
    modules = [Module(module.units, module.first, None) for module in lower]
    modules.append(Module(last.units, last.first, last.objective))
    bp = rules.bp(accumulate=learner.rule.accumulate)  # a micro-batch has batch statistics of its own
    return SynchronousGradients(engine_for(modules, bp, arrays), arrays)


def of_modules(learner: Learner) -> list[list[str]]:
    """The names of each module's main parameters; those of the head are the last module's."""
    groups = [module.parameters() for module in learner.modules]
    of_units = {name for group in groups for name in group}
    groups[-1] = groups[-1] + [name for name in learner.net.parameters() if name not in of_units]
    return groups


def check_learner(learner: Any) -> None:
    """Check that this is a Learner whose modules are all trained in this process.

    Raises: UserError where it is not.
    """
    if not isinstance(learner, Learner):
        hint = call_it(learner) or ": give minilocal.Learner(net, rule, modules, rng=rng)"
        raise UserError(f"convergence was asked of a {type(learner).__name__}{hint}.")
    if len(learner.own_modules) < len(learner.modules):
        raise UserError(
            "convergence is measured in one process, and this Learner is trained by several: learner.save(path) there, "
            "and measure minilocal.load(path)."
        )


def _like(learner: Learner) -> Array:
    return next(iter(learner.parameters().values()))
