"""Linear probes: the error of a linear classifier on each module's output, in a network that stays as it is.

    z = x̂ W + b        x̂ = (pool(h_k) - mean) / deviation, of each feature over the training images

The loss is convex in W and b, so its minimum is the same from any start. The rate is no choice either: it is 1/L, where
no direction of the loss curves more than L.

    L = ½ max(1, the largest eigenvalue of the mean of x̂ᵀ x̂) + λ        softmax's own curvature is ½ at most

Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minilocal import streams
from minilocal.array import Array, namespace, to_host
from minilocal.data import DataSet, evaluation_batches
from minilocal.device import to_device
from minilocal.engine import evaluation
from minilocal.errors import UserError, whole
from minilocal.kernels.threads import one_blas_thread
from minilocal.kernels.underflow import underflow_is_zero
from minilocal.layers import Linear, PassContext
from minilocal.learner import Learner
from minilocal.losses import cross_entropy
from minilocal.ops.matmul import matmul_dw
from minilocal.optim import SGD
from minilocal.train.evaluate import BATCH, error
from minilocal.train.fit import check_fit

DESCENT = SGD(momentum=0.9, nesterov=True, weight_decay=1e-4)
EVALUATION = PassContext(training=False)


def linear_probes(
    learner: Learner, dataset: DataSet, *, steps: int = 300, between: Callable[[], None] = lambda: None
) -> list[float]:
    """The test error in percent of a linear classifier on the output of each module, first to last, (K,).

    A map (H, W, C) is averaged over its positions first, as the auxiliary network 0c1f does. The classifier is trained
    on the training images, not augmented, by `steps` steps of descent over all of them at once: they end near the
    loss's minimum, not at it. The Learner's parameters and running statistics stay as they are, and the same call
    returns the same numbers. `between` is called after each batch and each step, so that long work can be interrupted.

    Raises: UserError for a Learner and a data set that do not fit each other, for fewer steps than one, and for a
    Learner that has only some of the modules.
    """
    check_fit("linear_probes", learner, dataset)
    steps, K = whole("steps", steps), len(learner.modules)
    if len(learner.own_modules) < K:
        raise UserError(f"linear_probes needs all {K} modules in one process, and this Learner has some of them.")
    with learner.on_device, one_blas_thread(), underflow_is_zero():
        labels = to_device(dataset.train_y, learner.device)
        train, test = (_features(learner, x, dataset, between) for x in (dataset.train_x, dataset.test_x))
        errors = []
        for k in range(K):
            predicted = _probe(*_standardised(train[k], test[k]), labels, learner.net.classes, steps, between)
            errors.append(error(to_host(predicted), dataset.test_y))
    return errors


def _features(learner: Learner, images: np.ndarray, dataset: DataSet, between: Callable[[], None]) -> list[Array]:
    """The pooled outputs of each module for these images, in evaluation mode: K arrays (N, C)."""
    arrays, x = {**learner.parameters(), **learner.buffers()}, to_device(images, learner.device)
    unused = namespace(x).zeros(len(x), np.int64)  # labels, which features do not depend on
    parts: list[list[Array]] = [[] for _ in learner.modules]
    for h, _ in evaluation_batches(x, unused, dataset, BATCH, dtype=learner.dtype):
        ctx = EVALUATION
        for module, part in zip(learner.modules, parts, strict=True):
            h, ctx = evaluation.output(module, h, ctx, arrays)
            part.append(h.mean(axis=(1, 2)) if h.ndim == 4 else h)
        between()
    return [namespace(*part).concatenate(part) for part in parts]


def _standardised(train: Array, test: Array) -> tuple[Array, Array]:
    """Both with mean 0 and deviation 1 of each feature over the training images; a constant feature is 0."""
    xp = namespace(train)
    mean = train.mean(axis=0, dtype=xp.float64)
    deviation = xp.sqrt(((train - mean) ** 2).mean(axis=0))
    scale = (deviation > 0) / xp.where(deviation > 0, deviation, xp.ones_like(deviation))
    first, second = (((h - mean) * scale).astype(train.dtype) for h in (train, test))
    return first, second


def _probe(x: Array, test: Array, labels: Array, classes: int, steps: int, between: Callable[[], None]) -> Array:
    """The classes (N,) of the test features, by the classifier that learns from x (N, C) and its labels."""
    xp, probe = namespace(x), Linear(x.shape[1], classes, streams.rng(0), name="probe")
    p = {name: xp.zeros(a.shape, x.dtype) for name, a in probe.parameters.items()}
    states = {name: dict[str, Array]() for name in p}
    curvature = float(np.linalg.eigvalsh(to_host(matmul_dw(x, x)).astype(np.float64))[-1]) / len(x)
    rate = 1 / (0.5 * max(1.0, curvature) + DESCENT.weight_decay)  # 1/L
    for _ in range(steps):
        z, cache = probe.forward(x, EVALUATION, p)
        _, dz = cross_entropy(z, labels)
        _, grads = probe.backward(dz, cache, p, "weights")
        DESCENT.update([(p[name], g, states[name]) for name, g in grads.items()], rate)
        between()
    return probe.forward(test, EVALUATION, p)[0].argmax(axis=1)
