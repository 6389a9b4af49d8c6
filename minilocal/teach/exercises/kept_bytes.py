"""5a: the bytes that a module keeps between its forward and its backward."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from minilocal.array import Array
from minilocal.layers import Linear, PassContext, ReLU
from minilocal.memory.live import LiveBytes
from minilocal.streams import rng as generator
from minilocal.teach.exercise import Case, Exercise, Mistake


def kept_bytes(widths: list[int], images: int) -> int:
    """Bytes of float32 activations that a module keeps for its backward, its input included.

    The module is a chain of linear layers, each with a ReLU: from widths[0] numbers to widths[1], and so on. A linear
    layer keeps its input; a ReLU keeps its output, which tells where f'(z) is 1. An array that two layers keep is there
    once.
    """
    return 4 * images * sum(widths)


def reference(widths: list[int], images: int) -> int:
    """The bytes that are alive behind the forward of the package's own layers."""
    h: Array = np.zeros((images, widths[0]), "float32")
    live, caches = LiveBytes((None,), ()), []
    for inputs, outputs in pairwise(widths):
        for layer in (Linear(inputs, outputs, generator(0)), ReLU()):
            h, cache = layer.forward(h, PassContext())
            live.track(None, cache)
            caches.append(cache)
    return live.now[None]


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for depth, images in ((3, 8), (2, 5), (6, 32), (1, 16)):
        yield rng.integers(3, 300, depth + 1).tolist(), images


EXERCISE = Exercise(
    id="5a",
    question="Count the bytes that a module of linear layers and ReLUs keeps until its error arrives.",
    solution=kept_bytes,
    reference=reference,
    against="the arrays alive behind the package's own layers",
    returns=("bytes",),
    cases=cases,
    mistakes=(
        Mistake("the module's input is missing: the first dW needs it", lambda w, n: 4 * n * sum(w[1:])),
        Mistake("the module's output is missing: the last ReLU needs it", lambda w, n: 4 * n * sum(w[:-1])),
        Mistake("z is counted beside y: f'(z) can be read off y", lambda w, n: 4 * n * (sum(w) + sum(w[1:]))),
        Mistake(
            "arrays between two layers are counted twice, but they are there once",
            lambda w, n: 4 * n * (2 * sum(w) - w[0] - w[-1]),
        ),
        Mistake("those are numbers, not bytes", lambda w, n: n * sum(w)),
        Mistake("a float32 has 4 bytes, not 8", lambda w, n: 8 * n * sum(w)),
        Mistake("the batch is missing: every image has its own activations", lambda w, n: 4 * sum(w)),
    ),
)
