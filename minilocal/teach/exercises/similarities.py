"""8a: PredSim's similarity matrix: how alike the images of a batch are to a module."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal import losses
from minilocal.teach.exercise import Case, Exercise, Mistake


def similarities(U: np.ndarray) -> np.ndarray:
    """The cosine between each two images of a batch.        U (N, H, W, C)  →  R (N, N)

    Each channel of a map counts by its standard deviation over the positions. A cosine is of two images' deviations,
    each less its mean over the channels.
    """
    s = U.std(axis=(1, 2))
    s = s - s.mean(axis=1, keepdims=True)
    x = s / np.sqrt((s * s).sum(axis=1, keepdims=True))
    return x @ x.T


def reference(U: np.ndarray) -> np.ndarray:
    return np.asarray(losses.similarity_matrix(U))


def cosines(s: np.ndarray) -> np.ndarray:
    x = s / np.sqrt((s * s).sum(axis=1, keepdims=True))
    return np.asarray(x @ x.T)


def centred(s: np.ndarray) -> np.ndarray:
    return np.asarray(s - s.mean(axis=1, keepdims=True))


def over_the_batch(U: np.ndarray) -> np.ndarray:
    s = U.std(axis=(1, 2))
    return cosines(s - s.mean(axis=0))


def between_channels(U: np.ndarray) -> np.ndarray:
    return cosines(centred(U.std(axis=(1, 2)).T))


def products(U: np.ndarray) -> np.ndarray:
    s = centred(U.std(axis=(1, 2)))
    return np.asarray(s @ s.T)


def cases(rng: np.random.Generator) -> Iterator[Case]:
    """Large numbers: the package's ε, which keeps a sample of zeros from a division by 0, is lost in their rounding."""
    for N, H, W, C in ((3, 4, 4, 5), (5, 2, 3, 8), (8, 3, 5, 4)):
        yield (1e9 * rng.uniform(0.2, 3, (N, 1, 1, C)) * rng.standard_normal((N, H, W, C)),)


EXERCISE = Exercise(
    id="8a",
    question="Write PredSim's similarity matrix: the cosine between each two images of a batch.",
    solution=similarities,
    reference=reference,
    against="minilocal.losses.similarity_matrix",
    returns=("R",),
    cases=cases,
    mistakes=(
        Mistake(
            "that compares pixel with pixel: a channel counts by its deviation over the map",
            lambda U: cosines(centred(U.reshape(len(U), -1))),
        ),
        Mistake(
            "a channel's mean stands for it: take its standard deviation",
            lambda U: cosines(centred(U.mean(axis=(1, 2)))),
        ),
        Mistake("those are variances: take the root", lambda U: cosines(centred(U.var(axis=(1, 2))))),
        Mistake(
            "the mean over the channels is not taken off: deviations are positive, so all images look alike",
            lambda U: cosines(U.std(axis=(1, 2))),
        ),
        Mistake("the mean that is taken off is the batch's: it is each image's own, over the channels", over_the_batch),
        Mistake("those are products, not cosines: divide by both lengths", products),
        Mistake("channels are compared: R is between images, (N, N)", between_channels),
    ),
)
