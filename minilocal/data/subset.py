"""A class-balanced part of a set of labelled images, drawn once and kept in its old order."""

from __future__ import annotations

import numpy as np

from minilocal.errors import whole


def balanced(labels: np.ndarray, count: int, rng: np.random.Generator, what: str) -> np.ndarray:
    """Sorted indices of `count` images, spread over the classes as evenly as their sizes allow.

    The images of a class are taken in one random order, so with the same stream a smaller subset lies inside a
    larger one. `what` names the images in the error.

    Raises: UserError when `count` is not an integer from 1 to the number of images.
    """
    count = whole(what, count, 1, len(labels), give=f"1 to {len(labels)}, the number of images")
    classes, sizes = np.unique(labels, return_counts=True)
    first_served = rng.permutation(len(classes))  # who gets one more, where the count does not divide evenly
    shuffled = rng.permutation(len(labels))
    shares = quotas(sizes, count, first_served)
    chosen = [shuffled[labels[shuffled] == c][:share] for c, share in zip(classes, shares, strict=True)]
    return np.sort(np.concatenate(chosen))


def quotas(sizes: np.ndarray, count: int, first_served: np.ndarray) -> np.ndarray:
    """How many of `count` each class gives: equal shares, and what a small class cannot give comes from the others."""
    shares = np.zeros_like(sizes)
    while rest := count - int(shares.sum()):
        able = [c for c in first_served if shares[c] < sizes[c]]
        each = rest // len(able)
        for c in able[:rest]:
            shares[c] += min(max(each, 1), sizes[c] - shares[c])
    return shares
