"""10b: the crops and mirrors of CIFAR's augmentation, from numbers that are drawn already."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal import ops
from minilocal.teach.exercise import Case, Exercise, Mistake


def crops(images: np.ndarray, top: np.ndarray, left: np.ndarray, mirrored: np.ndarray, padding: int) -> np.ndarray:
    """Each image padded by black, cut out at its own place, then mirrored or not.        →  (N, H, W, C)

    images (N, H, W, C); top, left (N,), 0 to 2·padding, the place of the crop's upper left corner in the padded image;
    mirrored (N,), 1 where left and right are exchanged.
    """
    N, H, W, C = images.shape
    padded = np.zeros((N, H + 2 * padding, W + 2 * padding, C), images.dtype)
    padded[:, padding : padding + H, padding : padding + W] = images
    out = np.zeros_like(images)
    for n in range(N):
        crop = padded[n, top[n] : top[n] + H, left[n] : left[n] + W]
        out[n] = crop[:, ::-1] if mirrored[n] else crop
    return out


def reference(images: np.ndarray, top: np.ndarray, left: np.ndarray, mirrored: np.ndarray, padding: int) -> np.ndarray:
    return cut(images, top, left, mirrored, padding)


def cut(
    images: np.ndarray,
    top: np.ndarray,
    left: np.ndarray,
    mirrored: np.ndarray,
    padding: int,
    mode: str = "constant",
) -> np.ndarray:
    """By the package's operation, whose table of grey levels is here the levels themselves."""
    picks = np.stack([np.arange(len(images)), top, left, mirrored], axis=1).astype(np.int32)
    levels = np.arange(256.0)[:, None].repeat(images.shape[3], axis=1)
    return np.asarray(ops.crop_flip_normalise(images.astype(np.uint8), picks, levels, padding, mode))


def upside_down(
    images: np.ndarray, top: np.ndarray, left: np.ndarray, mirrored: np.ndarray, padding: int
) -> np.ndarray:
    out = cut(images, top, left, 0 * mirrored, padding)
    return np.where(mirrored[:, None, None, None] > 0, out[:, ::-1], out)


def mirrored_first(
    images: np.ndarray, top: np.ndarray, left: np.ndarray, mirrored: np.ndarray, padding: int
) -> np.ndarray:
    return cut(
        np.where(mirrored[:, None, None, None] > 0, images[:, :, ::-1], images), top, left, 0 * mirrored, padding
    )


def one_place_for_all(
    images: np.ndarray, top: np.ndarray, left: np.ndarray, mirrored: np.ndarray, padding: int
) -> np.ndarray:
    return cut(images, 0 * top + top[0], 0 * left + left[0], mirrored, padding)


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for N, H, W, C, padding in ((5, 4, 4, 1, 2), (4, 6, 5, 3, 4), (6, 3, 5, 2, 1)):
        places = rng.integers(0, 2 * padding + 1, (2, N))
        mirrored = np.arange(N) % 2
        yield rng.integers(1, 256, (N, H, W, C)), *places, mirrored, padding


EXERCISE = Exercise(
    id="10b",
    question="Write the augmentation of CIFAR: padded images, cropped at given places and mirrored where it is said.",
    solution=crops,
    reference=reference,
    against="minilocal.ops.crop_flip_normalise",
    returns=("crops",),
    cases=cases,
    mistakes=(
        Mistake("top and left are swapped", lambda images, top, left, m, p: cut(images, left, top, m, p)),
        Mistake("no image is mirrored", lambda images, top, left, m, p: cut(images, top, left, 0 * m, p)),
        Mistake("images are turned upside down: a mirror exchanges left and right", upside_down),
        Mistake("mirrored before the crop: the crop's place is that in the padded image, as it was", mirrored_first),
        Mistake("all images are cut at the place of the first: each has its own", one_place_for_all),
        Mistake(
            "the padding is a reflection: it is black",
            lambda images, top, left, m, p: cut(images, top, left, m, p, "reflect"),
        ),
        Mistake(
            "the shift goes the other way: top = 0 shows the padding above the image",
            lambda images, top, left, m, p: cut(images, 2 * p - top, 2 * p - left, m, p),
        ),
    ),
)
