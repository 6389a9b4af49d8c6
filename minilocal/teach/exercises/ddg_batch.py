"""9a: the batch, and so the weights, that a delayed gradient of DDG belongs to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal.teach.exercise import Case, Exercise, Mistake


def ddg_batch(t: int, k: int, K: int) -> int:
    """The batch whose gradient updates module k of K in iteration t of DDG; -1 where there is none yet.

    t = 0, 1, ... and k = 1 ... K. In iteration t batch t goes through all modules. The last module has its error at
    once. Every other module has the one that the module above sent in the iteration before.
    """
    return max(-1, t - (K - k))


def reference(t: int, k: int, K: int) -> int:
    """The messages of Algorithm 1, iteration by iteration."""
    sent, updates = dict.fromkeys(range(1, K + 1), -1), {}
    for now in range(t + 1):
        updates = {module: now if module == K else sent[module + 1] for module in sent}
        sent = updates
    return updates[k]


def cases(rng: np.random.Generator) -> Iterator[Case]:
    yield from ((t, k, K) for K in (1, 3, 4) for k in range(1, K + 1) for t in (0, 1, 2, 7))


EXERCISE = Exercise(
    id="9a",
    question="Say which batch the gradient of a module belongs to under DDG.",
    solution=ddg_batch,
    reference=reference,
    against="the messages of DDG's Algorithm 1",
    returns=("batch",),
    cases=cases,
    mistakes=(
        Mistake(
            "that is the delay of the activations as well: in DDG only errors are delayed",
            lambda t, k, K: max(-1, t - 2 * (K - k)),
        ),
        Mistake("counted from the first module: the last one has no delay", lambda t, k, K: max(-1, t - (k - 1))),
        Mistake(
            "one iteration too old: the last module's error is there at once", lambda t, k, K: max(-1, t - (K - k) - 1)
        ),
        Mistake("a batch below 0: there is no gradient yet, -1", lambda t, k, K: t - (K - k)),
        Mistake("no delay: that is backpropagation", lambda t, k, K: t),
    ),
)
