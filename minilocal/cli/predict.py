"""`minilocal predict RUN`: errors, confusion matrix and probabilities of a trained run, on test images or on yours.

RUN is a run's folder, or the file that `minilocal export` made of one.
"""

from __future__ import annotations

import argparse
import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilocal.cli.parser import Parser
from minilocal.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from minilocal.data import DataSet
    from minilocal.train import Images
    from minilocal.train.saved_run import SavedRun

ABOUT_FILE = (
    "An image file holds x, uint8 (N, H, W, C) or (N, H, W), and labels y (N,) if they are known. A data set's file "
    "with test_x and test_y works too. Other numbers need a range (low, high) beside them."
)
ABOUT_OUT = (
    "The file of predictions holds predictions (N,), probabilities (N, classes) and classes; where labels are known "
    "also labels (N,), confusion (classes, classes), a row for each true class, and local_errors (K,), in percent."
)
PRINTED = 12  # classes of a confusion matrix that is printed


def parser() -> Parser:
    """The options of `minilocal predict`."""
    p = Parser("predict", f"{__doc__}\n\n{ABOUT_FILE}\n\n{ABOUT_OUT}")
    p.add_argument("run", metavar="RUN", help="the folder of a trained run, or its exported file")
    p.add_argument("--images", metavar="FILE.npz", help="your images, in place of the run's test images")
    p.add_output("--out", metavar="FILE.npz", help="where the predictions go (RUN/predictions.npz; beside a file)")
    p.add_argument("--data-dir", metavar="DIR", help="where the run's data set lies (as in its configuration)")
    p.add_argument("--device", metavar="DEV", help="cpu, cuda, cuda:1, ... (as in its configuration)")
    return p


def run(options: argparse.Namespace) -> int:
    """Write the predictions, and print the errors where labels are known."""
    import numpy as np

    from minilocal.record import atomic_write
    from minilocal.train import dataset_of, error, predict
    from minilocal.train.saved_run import read

    saved = read(options.run)
    out = predictions_of(saved) if options.out is None else Path(options.out)
    check_out(out)
    config, learner = saved.build(options.device, options.data_dir)
    expected = saved.images
    if options.images is not None:
        x, y = read_images(options.images, len(expected.classes))
        source, test = options.images, None
    else:
        test = dataset_of(config)
        x, y, source = test.test_x, test.test_y, f"the test set of {expected.name}"
    dataset = expected.dataset(x, np.zeros(len(x), np.int64) if y is None else y)
    result = predict(learner, x, dataset, local=True)
    predicted = result.classes
    arrays: dict[str, Any] = {
        "predictions": predicted, "probabilities": probabilities(result.logits), "classes": np.array(expected.classes),
    }  # fmt: skip
    if y is not None:
        local = result.errors(y)
        arrays |= {"labels": y, "confusion": confusion(predicted, y, len(expected.classes))}
        arrays["local_errors"] = np.array([np.nan if e is None else e for e in local])
    with atomic_write(out) as file:
        np.savez(file, **arrays)
    if y is None:
        print(f"{len(x)} images of {source}, no labels; predictions are in {out}")
        return 0
    same = "" if test is None else recorded(saved, test, error(predicted, y))
    print(f"{len(x)} images of {source}: error {error(predicted, y):.2f} %{same}; predictions are in {out}\n")
    if sum(e is not None for e in local) > 1:
        print(by_module(local) + "\n")
    print(table(predicted, y, expected))
    if len(expected.classes) <= PRINTED:
        print("\n" + matrix(arrays["confusion"], expected.classes))
    return 0


def predictions_of(saved: SavedRun) -> Path:
    """Where a run's predictions go: into its folder, or beside its exported file."""
    path = saved.path
    return path.with_name(f"{path.stem}-predictions.npz") if saved.is_exported else path / "predictions.npz"


def check_out(out: Path) -> None:
    """Raises: UserError where something else than predictions is there already, as the run or the images."""
    from minilocal.record import has_entry

    if os.path.lexists(out) and not has_entry(out, "predictions"):
        raise UserError(f"{out} is there already, and holds no predictions: choose another --out.")


def recorded(saved: SavedRun, dataset: DataSet, error: float) -> str:
    """Whether this error is the recorded one, in words; "" where none was recorded on as many test images."""
    from minilocal.train.same_run import digest

    if saved.test_error is None or saved.test_images != len(dataset.test_y):
        return ""
    if error == saved.test_error:
        return f", as recorded after epoch {saved.epochs}"
    same = digest(dataset) == saved.data.get("digest")
    why = "another machine or version computed it" if same else "the images are not the same"
    return f", not the {saved.test_error:.2f} % that was recorded after epoch {saved.epochs}: {why}"


def probabilities(logits: np.ndarray) -> np.ndarray:
    """softmax(z), float64.        (N, classes)  →  (N, classes)"""
    import numpy as np

    z = logits.astype(np.float64)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def confusion(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The number of images of class i (row) predicted as class j (column): int64 (classes, classes)."""
    import numpy as np

    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def by_module(errors: list[float | None]) -> str:
    """Each module's error in percent, first to last; `-` for a module without a classifier."""
    words = ["-" if e is None else f"{e:.2f}" for e in errors]
    lines = textwrap.wrap(" ".join(f"{word:>6}" for word in words), 76, drop_whitespace=False, break_long_words=False)
    return "error % of each module's own classifier, first to last:\n" + "\n".join(line.rstrip() for line in lines)


def matrix(counts: np.ndarray, classes: tuple[str, ...]) -> str:
    """The confusion matrix as text; a dot is 0."""
    width, wide = max(5, *map(len, classes)), max(5, len(str(counts.max())) + 1)
    head = (
        f"{'true':<{width}}  taken for\n"
        + " " * width
        + "".join(f" {name[: wide - 1]:>{wide - 1}}" for name in classes)
    )
    rows = (
        f"{name:<{width}}" + "".join(f"{n or '.':>{wide}}" for n in row)
        for name, row in zip(classes, counts.tolist(), strict=True)
    )
    return "\n".join([head, *rows])


def table(predicted: np.ndarray, labels: np.ndarray, images: Images) -> str:
    """A row for each class that occurs: images, error in percent, and the most frequent wrong class."""
    import numpy as np

    width = max(5, *(len(name) for name in images.classes))
    lines = [f"{'class':<{width}}  images  error %  most often taken for"]
    for c, name in enumerate(images.classes):
        of_class = predicted[labels == c]
        if not len(of_class):
            continue
        wrong = np.bincount(of_class[of_class != c], minlength=len(images.classes))
        mistaken = f"{images.classes[wrong.argmax()]} ({wrong.max()})" if wrong.any() else "-"
        lines.append(f"{name:<{width}}  {len(of_class):6d}  {100 * wrong.sum() / len(of_class):7.2f}  {mistaken}")
    return "\n".join(lines)


def read_images(path: str, classes: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Images uint8 (N, H, W, C) of an .npz file, and its labels int64 (N,) or None.

    Raises: UserError where the file cannot be read or its arrays do not fit.
    """
    from minilocal.data.arrays import as_images, as_labels
    from minilocal.data.npz import read

    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"--images {path} is no file. {ABOUT_FILE}")
    known = {"x", "y", "test_x", "test_y", "range"}
    arrays = read(f"--images {path}", file, lambda keys: [key for key in keys if key in known])
    prefix = "" if "x" in arrays else "test_"
    if f"{prefix}x" not in arrays:
        raise UserError(f"--images {path} holds no images. {ABOUT_FILE}")
    x = as_images(path, f"{prefix}x", arrays[f"{prefix}x"], arrays.get("range"))
    if f"{prefix}y" not in arrays:
        return x, None
    y = as_labels(path, f"{prefix}y", arrays[f"{prefix}y"], len(x))
    if y.max() >= classes:
        raise UserError(f"--images {path} has the label {y.max()} for images of {classes} classes, 0 to {classes - 1}.")
    return x, y
