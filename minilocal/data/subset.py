"""Class-balanced subsets of labelled images, in the order of the whole set."""

from __future__ import annotations

import numpy as np

from minilocal.errors import whole


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


def quotas(sizes: np.ndarray, count: int, favoured: np.ndarray) -> np.ndarray:
    """Images of each class: equal shares of `count`; the shortfall of a small class comes from the others."""
    shares = np.zeros_like(sizes)
    while rest := count - int(shares.sum()):
        larger = [c for c in favoured if shares[c] < sizes[c]]
        each = rest // len(larger)
        for c in larger[:rest]:
            shares[c] += min(max(each, 1), sizes[c] - shares[c])
    return shares
