"""SVHN, cropped digits, from the official MATLAB files, which SciPy reads.

Each file holds X, uint8 (32, 32, 3, N), and y, (N, 1), labels 1 to 10, where 10 is the digit 0.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from minilocal.data.checks import shape_text
from minilocal.data.container import contents
from minilocal.data.layout import Contents, Layout, Official
from minilocal.errors import UserError, reason

SIDE = 32
PIXELS = 3 * SIDE * SIDE
SLACK = 1 << 20  # bytes of headers and labels, and by which compression may lengthen a file


def check_installed() -> None:
    """Check that SciPy is installed; UserError otherwise."""
    if find_spec("scipy") is None:
        raise UserError(
            "svhn is in MATLAB files, and reading them needs SciPy: in the clone, pip install -e '.[svhn]'."
        )


def read(official: Official, layout: Layout, path: Path) -> Contents:
    """The contents of a copy: images uint8 (N, 32, 32, 3), labels int64 (N,), each digit its own class.

    Raises: UserError for a copy that is incomplete or damaged.
    """
    counts = {layout.train[0]: official.train_images, layout.test[0]: official.test_images}
    packed = contents(path, {name: n * PIXELS + n + SLACK for name, n in counts.items()}, layout.files)
    parts = [arrays(packed[name], n, f"{path}/{name}") for name, n in counts.items()]
    return Contents(np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]), official.names)


def arrays(content: bytes, images: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(images uint8 (N, 32, 32, 3), labels int64 (N,)) of a MATLAB file.

    Raises: UserError where it is damaged, or holds anything else.
    """
    from scipy.io import loadmat, whosmat

    expected = {"X": (SIDE, SIDE, 3, images), "y": (images, 1)}
    shapes = {name: tuple(shape) for name, shape, _ in _attempted(whosmat, content, where)}
    for name, shape in expected.items():
        if name not in shapes:
            has = ", ".join(shapes) or "nothing"
            raise UserError(
                f"{where} holds {has}, but no {name}: cut short or not svhn's; delete it and fetch it again."
            )
        if shapes[name] != shape:
            raise UserError(
                f"{where} has {shape_text(shapes[name])} for {name}, not {shape_text(shape)}: damaged or another data "
                "set."
            )
    read = _attempted(loadmat, content, where, variable_names=list(expected))
    X, y = read["X"], read["y"]
    if X.dtype != np.uint8:
        raise UserError(f"{where} has {X.dtype} for X, not bytes (uint8): this is not svhn's.")
    if y.dtype.kind not in "iuf":
        raise UserError(f"{where} has {y.dtype} for y, not whole numbers: this is not svhn's.")
    with np.errstate(invalid="ignore"):  # a NaN is refused below
        labels = y[:, 0].astype(np.int64)
    if (labels != y[:, 0]).any() or labels.min() < 1 or labels.max() > 10:
        raise UserError(f"{where} has labels from {y.min():g} to {y.max():g}, not whole numbers 1 to 10: damaged.")
    return np.ascontiguousarray(X.transpose(3, 0, 1, 2)), labels % 10


def _attempted(function: Callable[..., Any], content: bytes, where: str, **options: Any) -> Any:
    """What a reader of SciPy returns for a file; UserError where the reader fails."""
    try:
        return function(io.BytesIO(content), **options)
    except Exception as error:  # a damaged file can raise any error
        raise UserError(
            f"{where} is damaged or is no MATLAB 5 file ({reason(error)}); delete it and fetch it again."
        ) from None
