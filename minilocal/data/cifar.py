"""CIFAR-10 and CIFAR-100, from the official binary or Python archive, packed or unpacked.

A binary file has one record per image: its label (CIFAR-100: the coarse one, then the fine one), then 1024 red, 1024
green and 1024 blue bytes, row by row. A Python file is a pickled dict with the same bytes, (N, 3072), and lists of
labels.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minilocal.data import unpickle
from minilocal.data.container import files, has_sum
from minilocal.data.dataset import DataSet
from minilocal.data.official import Cifar, Layout
from minilocal.errors import UserError

SIDE = 32
PIXELS = 3 * SIDE * SIDE
NAMES_LIMIT = 1 << 16  # bytes of the small file with the class names


def load(cifar: Cifar, folder: Path, download: bool) -> DataSet:
    """The data set from the first intact copy under `folder`; without any copy, from a fetched archive.

    Augmentation is He et al.'s: 4 black pixels on each side, a random crop, a random flip.

    Raises: UserError when there is no copy and none may be fetched, and when every copy is incomplete or damaged.
    """
    candidates = copies(cifar, folder)
    if not candidates:
        if not download:
            raise UserError(not_found(cifar, folder))
        layout = cifar.layouts[0]
        from minilocal.data.fetch import fetch  # on use: HTTP and TLS are no small import

        fetched = fetch(layout.archive, layout.sources, folder, layout.sums.get(layout.archive), layout.length)
        candidates = [(layout, fetched)]
    faults: list[UserError] = []
    for layout, path in candidates:
        try:
            x, y, classes, notes = read(cifar, layout, path)
        except UserError as fault:
            faults.append(fault)
            continue
        n = cifar.train_images
        passed_over = [f"passed over: {fault}" for fault in faults]
        notes = (f"read from {path}", verdict(layout, path), "structure and class counts checked", *notes, *passed_over)
        return DataSet(
            cifar.name, x[:n], y[:n], x[n:], y[n:], classes, cifar.mean, cifar.std,
            padding=4, pad_mode="constant", flip=True, notes=notes,
        )  # fmt: skip
    others = ", ".join(str(path) for _, path in candidates[1:])
    raise UserError(f"{faults[0]}{f' {others} cannot be used either.' if others else ''}")


def copies(cifar: Cifar, folder: Path) -> list[tuple[Layout, Path]]:
    """Every copy in `folder` that has some of its files, the most complete first; `folder` may be an unpacked copy.

    Of equally complete copies the binary layout comes first, and unpacked before packed.
    """
    found_copies = []
    for layout in cifar.layouts:
        if any((folder / name).is_file() for name in layout.train):
            found_copies.append((layout, folder))
        if len(absent(layout, folder / layout.folder)) < len((*layout.train, *layout.test)):
            found_copies.append((layout, folder / layout.folder))
        if (folder / layout.archive).is_file():
            found_copies.append((layout, folder / layout.archive))
    return sorted(found_copies, key=lambda copy: len(absent(*copy)))


def absent(layout: Layout, path: Path) -> list[str]:
    """The image files that an unpacked copy lacks. The files of an archive are known only after reading it."""
    return [] if path.is_file() else [name for name in (*layout.train, *layout.test) if not (path / name).is_file()]


def not_found(cifar: Cifar, folder: Path) -> str:
    """The message for a missing data set: the names and the folder tried, and the command that fetches it."""
    looked = ", ".join(
        f"{layout.folder}/{' (without its files)' if (folder / layout.folder).is_dir() else ''}, {layout.archive}"
        for layout in cifar.layouts
    )
    return (
        f"{cifar.name} was not found in {folder} (looked for {looked}). Put one of them there, or fetch it: "
        f"minilocal data {cifar.name} --data-dir {folder}"
    )


def verdict(layout: Layout, path: Path) -> str:
    """A note on whether the checksums are those of the official files."""
    names, what = ((layout.archive,), "archive") if path.is_file() else ((*layout.train, *layout.test), "files")
    known = [name for name in names if name in layout.sums]
    if len(known) < len(names):
        return f"no checksum of the official {what} is known: not verified"
    matches = [has_sum(path if path.is_file() else path / name, layout.sums[name]) for name in known]
    if all(matches):
        algorithm = {"sha256": "SHA-256", "md5": "MD5"}[layout.sums[known[0]].partition(":")[0]]
        return f"{algorithm} matches the official {what}"
    which = f" ({matches.count(False)} of {len(matches)})" if len(matches) > 1 else ""
    return f"checksum differs from the official {what}{which}: not verified"


def read(cifar: Cifar, layout: Layout, path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """(images, labels, class names, notes): uint8 (N, 32, 32, 3) and int64 (N,), training before test."""
    x = np.empty((cifar.train_images + cifar.test_images, SIDE, SIDE, 3), np.uint8)
    y = np.empty(len(x), np.int64)
    rows = rows_by_file(cifar, layout)
    limits = {name: longest(cifar, layout, part.stop - part.start) for name, part in rows.items()}
    classes: tuple[str, ...] | None = None
    missing = set(rows)
    for name, content in files(path, {**limits, layout.class_names: NAMES_LIMIT}):
        where = f"{path}/{name}"
        if name == layout.class_names:
            classes = class_names(cifar, layout, content, where)
            continue
        decode = from_pickle if layout.pickled else from_records
        pixels, labels = decode(cifar, content, rows[name].stop - rows[name].start, where)
        x[rows[name]] = pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        y[rows[name]] = labels
        missing.remove(name)
    if missing:
        names = ", ".join(sorted(missing))
        raise UserError(f"{path} is incomplete, without {names}: complete it, or delete it and fetch it again.")
    check_counts(cifar, y, path)
    if classes is None:
        numbers = tuple(str(c) for c in range(cifar.classes))
        return x, y, numbers, (f"no {layout.class_names} beside the images: classes are numbered",)
    return x, y, classes, ()


def rows_by_file(cifar: Cifar, layout: Layout) -> dict[str, slice]:
    """The rows of the whole data set that each file holds."""
    rows, first = {}, 0
    for names, images in ((layout.train, cifar.train_images), (layout.test, cifar.test_images)):
        for name in names:
            rows[name] = slice(first, first + images // len(names))
            first = rows[name].stop
    return rows


def longest(cifar: Cifar, layout: Layout, images: int) -> int:
    """The largest possible length of a file of this number of images, in bytes.

    Exact for records. A pickle holds file names too, and Python 3 writes half of its bytes as two.
    """
    return images * (2 * PIXELS + 1000) + NAMES_LIMIT if layout.pickled else images * (len(cifar.labels) + PIXELS)


def from_records(cifar: Cifar, content: bytes, images: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(pixels uint8 (images, 3072), labels) of a binary file."""
    before = len(cifar.labels)
    if len(content) != images * (before + PIXELS):
        raise UserError(
            f"{where} has {len(content)} bytes, not {images} records of {before + PIXELS}: "
            "it is cut short or another file; delete it and fetch it again."
        )
    records = np.frombuffer(content, np.uint8).reshape(images, before + PIXELS)
    return records[:, before:], records[:, before - 1]


def from_pickle(cifar: Cifar, content: bytes, images: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(pixels uint8 (images, 3072), labels) of a Python file."""
    batch = unpickle.load(content, where)
    pixels, labels = batch.get("data"), batch.get(cifar.labels[-1])
    if not isinstance(pixels, np.ndarray) or pixels.shape != (images, PIXELS):
        what = getattr(pixels, "shape", type(pixels).__name__)
        raise UserError(f"{where} has {what} for 'data', not {images} × {PIXELS} bytes: this is not {cifar.name}.")
    if not isinstance(labels, list) or len(labels) != images or not all(type(label) is int for label in labels):
        raise UserError(f"{where} has no list of {images} integers {cifar.labels[-1]!r}: this is not {cifar.name}.")
    if not 0 <= min(labels) <= max(labels) < cifar.classes:
        raise UserError(
            f"{where} has labels from {min(labels)} to {max(labels)}, not 0 to {cifar.classes - 1}: damaged."
        )
    return pixels, np.array(labels, np.int64)


def class_names(cifar: Cifar, layout: Layout, content: bytes, where: str) -> tuple[str, ...]:
    """The name of each class, from the text file or the pickled one."""
    if layout.pickled:
        listed = unpickle.load(content, where).get(cifar.names_key)
        raw = listed if isinstance(listed, list) else []
        names = [n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in raw]
    else:
        names = content.decode("utf-8", "replace").split()
    if len(names) != cifar.classes:
        raise UserError(f"{where} lists {len(names)} class names, not {cifar.classes}: this is not {cifar.name}.")
    return tuple(names)


def check_counts(cifar: Cifar, y: np.ndarray, path: Path) -> None:
    """Check that all classes have equally many training images, and test images; UserError otherwise."""
    if int(y.max()) >= cifar.classes:
        raise UserError(
            f"{path} holds the label {int(y.max())}, but {cifar.name} ends at {cifar.classes - 1}: damaged."
        )
    for part, labels in (("training", y[: cifar.train_images]), ("test", y[cifar.train_images :])):
        counts = np.bincount(labels, minlength=cifar.classes)
        wrong = np.flatnonzero(counts != len(labels) // cifar.classes)
        if len(wrong):
            raise UserError(
                f"{path} has {counts[wrong[0]]} {part} images of class {wrong[0]}; {cifar.name} has "
                f"{len(labels) // cifar.classes} of each: damaged or another data set."
            )
