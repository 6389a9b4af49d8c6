"""A copy of an official data set on this machine: looked for, fetched where there is none, read, checked.

A copy is an archive, or a folder of the files in it. A damaged copy does not hide an intact one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minilocal.data.arrays import statistics
from minilocal.data.container import has_sum
from minilocal.data.dataset import DataSet
from minilocal.data.kept import Copy, kept
from minilocal.data.layout import Contents, Layout, Official
from minilocal.data.source import source_of
from minilocal.errors import UserError


def load(official: Official, folder: Path, download: bool, source: str | None = None) -> DataSet:
    """The data set from the first intact copy under `folder`; without a complete copy, from fetched files.

    An archive is fetched only where there is no copy at all. Files that are published one by one are completed.
    `source` is where they are fetched from, as `source_of` takes it, in place of the official addresses.

    Raises: UserError when there is no copy and none may be fetched, and when every copy is incomplete or damaged.
    """
    if official.check_installed:
        official.check_installed()
    candidates = copies(official, folder)
    if not candidates and not download:
        raise UserError(not_found(official, folder))
    completes = official.layouts[0].archive is None and all(absent(*copy) for copy in candidates)
    if not candidates or (download and completes):
        candidates = [fetched(official.layouts[0], folder, source), *candidates]
    faults: list[UserError] = []
    for layout, path in candidates:
        try:
            contents, checksum = copy_of(official, layout, path)
        except UserError as fault:
            faults.append(fault)
            continue
        n = official.train_images
        x, y = contents.x, contents.y
        mean, std = official.mean, official.std
        computed: tuple[str, ...] = ()
        if mean is None or std is None:
            mean, std = statistics(x[:n])
            computed = ("mean and standard deviation computed from the training images",)
        passed_over = [f"passed over: {fault}" for fault in faults]
        checked = (f"read from {path}", checksum, "structure and class counts checked")
        return DataSet(
            official.name, x[:n], y[:n], x[n:], y[n:], contents.classes, mean, std,
            padding=official.padding, pad_mode=official.pad_mode, flip=official.flip, stratified=official.stratified,
            notes=(*checked, *computed, *contents.notes, *passed_over),
        )  # fmt: skip
    others = ", ".join(str(path) for _, path in candidates[1:])
    raise UserError(f"{faults[0]}{f' {others} cannot be used either.' if others else ''}")


def copy_of(official: Official, layout: Layout, path: Path) -> Copy:
    """A copy whose counts are right; of an archive that is decompressed once, from the file that is kept beside it.

    Raises: UserError where it is damaged.
    """

    def check(contents: Contents) -> None:
        check_counts(official, contents.y, path)

    def read() -> Copy:
        contents = official.read(official, layout, path)
        check(contents)
        return Copy(contents, verdict(layout, path))

    return kept(path, read, check) if official.unpack_once and path.is_file() else read()


def copies(official: Official, folder: Path) -> list[tuple[Layout, Path]]:
    """Every copy in `folder` that has some of its files, the most complete first; `folder` may be an unpacked copy.

    Of equally complete copies the first layout comes first, and unpacked before packed.
    """
    found_copies = []
    for layout in official.layouts:
        if any((folder / name).is_file() for name in layout.train):
            found_copies.append((layout, folder))
        if len(absent(layout, folder / layout.folder)) < len(layout.files):
            found_copies.append((layout, folder / layout.folder))
        if layout.archive is not None and (folder / layout.archive).is_file():
            found_copies.append((layout, folder / layout.archive))
    return sorted(found_copies, key=lambda copy: len(absent(*copy)))


def absent(layout: Layout, path: Path) -> list[str]:
    """The image files that an unpacked copy lacks. The files of an archive are known only after reading it."""
    return [] if path.is_file() else [name for name in layout.files if not (path / name).is_file()]


def fetched(layout: Layout, folder: Path, source: str | None = None) -> tuple[Layout, Path]:
    """A copy whose archive, or whose missing files, are fetched into `folder`.

    Raises: UserError when no source has a file.
    """
    from minilocal.data.fetch import fetch  # on use: HTTP and TLS are no small import

    names, place = ([layout.archive], folder) if layout.archive else (list(layout.files), folder / layout.folder)
    for name in names:
        official = [address + name for address in layout.sources]
        sources = official if source is None else [source_of(source, layout, name)]
        fetch(name, sources, place, layout.sums.get(name), layout.lengths.get(name))
    return layout, folder / (layout.archive or layout.folder)


def not_found(official: Official, folder: Path) -> str:
    """The message for a missing data set: the names and the folder tried, and the command that fetches it."""
    looked = []
    for layout in official.layouts:
        without = " (without its files)" if (folder / layout.folder).is_dir() else ""
        looked.append(f"{layout.folder}/{'' if layout.archive else layout.train[0]}{without}")
        looked += [layout.archive] if layout.archive else []
    return (
        f"{official.name} was not found in {folder} (looked for {', '.join(looked)}). Put one of them there, or fetch "
        f"it: minilocal data {official.name} --data-dir {folder}"
    )


def verdict(layout: Layout, path: Path) -> str:
    """A note on whether the checksums are those of the official files."""
    packed = layout.archive is not None and path.is_file()
    names, what = ((str(layout.archive),), "archive") if packed else (layout.files, "files")
    known = [name for name in names if name in layout.sums]
    if len(known) < len(names):
        return f"no checksum of the official {what} is known: not verified"
    matches = [has_sum(path if packed else path / name, layout.sums[name]) for name in known]
    if all(matches):
        algorithm = {"sha256": "SHA-256", "md5": "MD5"}[layout.sums[known[0]].partition(":")[0]]
        return f"{algorithm} matches the official {what}"
    which = f" ({matches.count(False)} of {len(matches)})" if len(matches) > 1 else ""
    return f"checksum differs from the official {what}{which}: not verified"


def check_counts(official: Official, y: np.ndarray, path: Path) -> None:
    """Check the number of training and of test images of each class; UserError otherwise."""
    if int(y.max()) >= official.classes:
        raise UserError(
            f"{path} holds the label {int(y.max())}, but {official.name} ends at {official.classes - 1}: damaged."
        )
    n = official.train_images
    for part, labels, expected in (("training", y[:n], official.train_counts), ("test", y[n:], official.test_counts)):
        counts = np.bincount(labels, minlength=official.classes)
        wrong = np.flatnonzero(counts != np.array(expected))
        if len(wrong):
            c = int(wrong[0])
            raise UserError(
                f"{path} has {counts[c]} {part} images of class {c}; {official.name} has {expected[c]}: damaged or "
                "another data set."
            )
