"""The handwritten digits embedded in the package, so that everything runs offline.

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak (1998), UCI Machine Learning Repository,
https://doi.org/10.24432/C50P49, licence CC BY 4.0: the 1797 images of its test part, 8×8 pixels of 16 grey levels (0 to
16), in the order of scikit-learn's `load_digits`. `digits.npz` holds them as uint8 beside this attribution. Served
as 16×16×1, each pixel twice in both directions, with 0..16 spread over 0..255 and rounded; the first 1437 are for
training, the last 360 for testing.
"""

from __future__ import annotations

from importlib import resources

import numpy as np

from minilocal.data.dataset import DataSet

TRAIN = 1437
MEAN, STD = (0.3054346695184685,), (0.37534217146419235,)  # of the training part, on [0, 1]; a test recomputes them
PADDING = 1  # a digit fills its 16 rows: a larger shift would cut pixels off


def load() -> DataSet:
    """1437 training and 360 test images, 16×16×1, ten classes.

    Augmentation is a shift by up to one pixel, without a flip: a mirrored 2 is not a 2.
    """
    with resources.files("minilocal.data").joinpath("digits.npz").open("rb") as file, np.load(file) as archive:
        levels, labels, attribution = archive["images"], archive["labels"].astype(np.int64), str(archive["attribution"])
    x = grey(levels).repeat(2, axis=1).repeat(2, axis=2)[..., None]
    return DataSet(
        "digits", x[:TRAIN], labels[:TRAIN], x[TRAIN:], labels[TRAIN:], tuple("0123456789"), MEAN, STD,
        padding=PADDING, flip=False, notes=(f"embedded in the package: {attribution}",),
    )  # fmt: skip


def grey(levels: np.ndarray) -> np.ndarray:
    """Levels 0 to 16 as grey levels 0 to 255, rounded half up, uint8."""
    return ((levels.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)
