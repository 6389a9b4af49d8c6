"""What is known of an official data set before any file is read: its packings, counts, constants and augmentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


@dataclass(frozen=True)
class Layout:
    """One official packing of a data set: a folder of files, and the archive of that folder where there is one.

    archive          its name; None where the files are published one by one
    train, test      the files of each part; `read` knows their order
    class_names      the file that names the classes, if any
    sums             "sha256:..." or "md5:..." of the archive and of the files in the folder, where known
    lengths          of the same in bytes, where known
    sources          addresses of the folder that holds the archive or the files, in the order in which they are tried
    """

    folder: str
    archive: str | None
    train: tuple[str, ...]
    test: tuple[str, ...]
    class_names: str | None = None
    pickled: bool = False
    sums: Mapping[str, str] = field(default_factory=dict)
    lengths: Mapping[str, int] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The files with images and labels, training before test."""
        return (*self.train, *self.test)


class Contents(NamedTuple):
    """The images and labels of a copy, training before test, class names, and notes on how the copy was read."""

    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Official:
    """A data set that is published in files: how to read a copy, and what its images must be.

    read              (official, layout, path) to the contents of a copy; UserError where it is damaged
    train_counts      training images of each class, and `test_counts` test images
    names             of the classes; () where a file of the copy has them
    mean, std         of each channel, on [0, 1]; None: computed from the training images
    padding, pad_mode, flip, stratified   as in `DataSet`
    check_installed   raises a UserError where a library that `read` needs is missing
    unpack_once       whether what is read of an archive is kept beside it, since most of the archive is not needed
    """

    name: str
    read: Callable[[Any, Layout, Path], Contents]
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    layouts: tuple[Layout, ...]
    names: tuple[str, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    padding: int = 0
    pad_mode: str = "constant"
    flip: bool = False
    stratified: bool = False
    check_installed: Callable[[], None] | None = None
    unpack_once: bool = False

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.train_counts)

    @property
    def train_images(self) -> int:
        """The number of training images."""
        return sum(self.train_counts)

    @property
    def test_images(self) -> int:
        """The number of test images."""
        return sum(self.test_counts)


@dataclass(frozen=True, kw_only=True)
class Cifar(Official):
    """A CIFAR data set.

    labels      names of the labels before each image; the last one is the class
    names_key   of the class names, in the Python file that holds them
    """

    labels: tuple[str, ...]
    names_key: str
