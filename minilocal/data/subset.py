"""Subsets of labelled images, in the order of the whole set: class-balanced, stratified, long-tailed."""

from __future__ import annotations

import numpy as np

from minilocal.errors import UserError, whole

LONG_TAIL = 1.3  # the ratio of neighbouring classes in the BackLink paper's Table IV


def balanced(labels: np.ndarray, count: int, rng: np.random.Generator, what: str) -> np.ndarray:
    """Sorted indices of `count` images, spread over the classes as evenly as their sizes allow.

    The images of a class are taken in one random order, so with the same stream a larger subset contains a smaller
    one. `what` names the images in the error.

    Raises: UserError when `count` is not an integer from 1 to the number of images.
    """
    count = whole(what, count, 1, len(labels), give=f"1 to {len(labels)}, the number of images")
    classes, sizes = np.unique(labels, return_counts=True)
    favoured = rng.permutation(len(classes))  # these classes get one more, where the count does not divide evenly
    shuffled = rng.permutation(len(labels))
    shares = quotas(sizes, count, favoured)
    chosen = [shuffled[labels[shuffled] == c][:share] for c, share in zip(classes, shares, strict=True)]
    return np.sort(np.concatenate(chosen))


def stratified(labels: np.ndarray, count: int, rng: np.random.Generator, what: str) -> np.ndarray:
    """Sorted indices of `count` images in which every class has its share of the whole.

    The r-th image of a class of s images, in one random order, stands at (r + 1/2)/s, and the first `count` of all are
    chosen. So with the same stream a larger subset contains a smaller one. `what` names the images in the error.

    Raises: UserError when `count` is not an integer from 1 to the number of images.
    """
    count = whole(what, count, 1, len(labels), give=f"1 to {len(labels)}, the number of images")
    shuffled = rng.permutation(len(labels))
    places = np.empty(len(labels))
    for c in np.unique(labels):
        members = shuffled[labels[shuffled] == c]
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(shuffled[np.argsort(places[shuffled], kind="stable")[:count]])  # ties in the random order


def long_tail(labels: np.ndarray, ratio: float, rng: np.random.Generator, name: str) -> np.ndarray:
    """Sorted indices of `long_tail_sizes` images of each class, or of all where it has fewer.

    Raises: UserError where a class would have none.
    """
    shares = long_tail_sizes(np.bincount(labels), ratio, name)
    shuffled = rng.permutation(len(labels))
    return np.sort(np.concatenate([shuffled[labels[shuffled] == c][:share] for c, share in enumerate(shares)]))


def long_tail_sizes(sizes: np.ndarray, ratio: float, name: str) -> np.ndarray:
    """n_c = ⌊n / ratioᶜ⌋ images of class c; n is the size of the largest class.

    Raises: UserError where a class would have none.
    """
    shares = np.floor(sizes.max() / ratio ** np.arange(len(sizes))).astype(np.int64)
    if not shares.all():
        c = int(np.flatnonzero(shares == 0)[0])
        raise UserError(
            f"{name}: a ratio of {ratio:g} leaves class {c} of {len(sizes)} without images: give a smaller one."
        )
    return shares


def quotas(sizes: np.ndarray, count: int, favoured: np.ndarray) -> np.ndarray:
    """Images of each class: equal shares of `count`; the shortfall of a small class comes from the others."""
    shares = np.zeros_like(sizes)
    while rest := count - int(shares.sum()):
        larger = [c for c in favoured if shares[c] < sizes[c]]
        each = rest // len(larger)
        for c in larger[:rest]:
            shares[c] += min(max(each, 1), sizes[c] - shares[c])
    return shares
