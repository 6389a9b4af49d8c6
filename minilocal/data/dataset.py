"""A data set: raw images and labels on the host, and what a training run must know about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minilocal.array import Array, namespace
from minilocal.data.batches import training_batches
from minilocal.data.checks import check_images, check_labels, check_padding, shape_text
from minilocal.data.subset import LONG_TAIL, balanced, long_tail, stratified
from minilocal.device import to_device
from minilocal.errors import UserError, printable, real, set_checked, whole
from minilocal.nets.net import Size
from minilocal.streams import stream


@dataclass(frozen=True, eq=False, repr=False)
class DataSet:
    """Images of one shape, channels last, and their labels, for training and for testing.

    train_x, test_x   uint8 (N, H, W, C), grey levels 0 to 255
    train_y, test_y   int64 (N,), 0 to len(classes) - 1
    mean, std         one Python float per channel, on the [0, 1] scale
    padding, pad_mode how far a training image may be shifted, and what then shows: "constant" (black) or "reflect"
    flip              whether a mirrored image is still of its class
    stratified        whether a part that is drawn keeps the shares of the classes; else it has as many of each
    notes             what was verified about the files, and what was not
    validation_x, _y  split off the training set, or None

    Raises: UserError, naming the data set and the array, when a shape, a dtype or a label does not fit.
    """

    name: str
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    padding: int = 0
    pad_mode: str = "constant"
    flip: bool = False
    stratified: bool = False
    notes: tuple[str, ...] = ()
    validation_x: np.ndarray | None = None
    validation_y: np.ndarray | None = None

    def __repr__(self) -> str:
        parts = [f"{len(self.train_y):,} images to train on", f"{len(self.test_y):,} to test with"]
        if self.validation_y is not None:
            parts.insert(1, f"{len(self.validation_y):,} to validate with")
        image = "×".join(map(str, self.train_x.shape[1:]))
        return f"<DataSet {self.name}: {', '.join(parts)}, {image}, {len(self.classes)} classes>"

    def __post_init__(self) -> None:
        set_checked(self, classes=tuple(map(printable, self.classes)))  # a file may name them, and a terminal show them
        shape = check_images(self.name, "train_x", self.train_x)
        parts: list[tuple[str, Any, Any]] = [("train", self.train_x, self.train_y), ("test", self.test_x, self.test_y)]
        if self.validation_x is not None or self.validation_y is not None:
            parts.append(("validation", self.validation_x, self.validation_y))
        for part, x, y in parts:
            if check_images(self.name, f"{part}_x", x) != shape:
                raise UserError(
                    f"{self.name}: {part}_x has images of {shape_text(x.shape[1:])}, train_x of {shape_text(shape)}: "
                    "all images must have one shape."
                )
            check_labels(self.name, f"{part}_y", y, len(x), len(self.classes))
        if len(self.mean) != self.channels or len(self.std) != self.channels or min(self.std) <= 0:
            raise UserError(f"{self.name}: mean and std need one number per channel ({self.channels}), std above 0.")
        check_padding(self.name, self.padding, self.pad_mode, min(shape[:2]))

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.train_x.shape[3])

    @property
    def size(self) -> Size:
        """Side of an image, in pixels; (H, W) where it is not square."""
        H, W = (int(side) for side in self.train_x.shape[1:3])
        return H if H == W else (H, W)

    def normalise(self, images: Array, dtype: Any = "float32") -> Array:
        """(images/255 - mean) / std, per channel.        uint8 (N, H, W, C)  →  `dtype` (N, H, W, C)

        Computed in `dtype` throughout, where the images live.

        Raises: UserError for images that are not uint8 (N, H, W, C) with this data set's channels, and another type.
        """
        if getattr(images, "dtype", None) != np.uint8 or images.ndim != 4 or images.shape[3] != self.channels:
            got = f"{images.dtype} {images.shape}" if hasattr(images, "dtype") else f"a {type(images).__name__}"
            raise UserError(f"{self.name}: expected raw images, uint8 (N, H, W, {self.channels}), got {got}.")
        if np.dtype(dtype).name not in ("float32", "float64"):
            raise UserError(f"dtype {dtype!r} is not known. Known: float32, float64.")
        xp = namespace(images)
        N, H, W, C = images.shape
        scale = [1 / (255 * s) for s in self.std]  # (x/255 - m)/s  =  x · 1/(255 s)  -  m/s
        shift = [m / s for m, s in zip(self.mean, self.std, strict=True)]
        rows = images.reshape(N, H, W * C).astype(dtype)  # whole rows: a broadcast over 3 channels alone is slow
        rows *= xp.asarray(scale * W, dtype=dtype)
        rows -= xp.asarray(shift * W, dtype=dtype)
        return rows.reshape(N, H, W, C)

    def batches(
        self,
        epoch: int,
        batch_size: int = 64,
        key: int = 0,
        *,
        augment: bool = False,
        device: Any = "cpu",
        dtype: Any = "float32",
        start: int = 0,
    ) -> Iterator[tuple[Array, Array]]:
        """Training batches of one epoch: (images (N, H, W, C) of `dtype`, labels (N,)), from step `start` on.

        (key, epoch) names the order, and (key, epoch, step) the crops: the same call gives the same batches, on every
        device. The last batch holds the rest and may be smaller. `augment` crops and mirrors as far as `padding` and
        `flip` allow. The raw images are copied to `device` once a call, and the batches are made there.

        Raises: UserError for a batch size below 1, an epoch, key or start below 0, and a device that is not there.
        """
        whole("batch size", batch_size)
        for name, number in (("epoch", epoch), ("key", key), ("start", start)):
            whole(name, number, least=0)
        x, y = to_device(self.train_x, device), to_device(self.train_y, device)
        return training_batches(x, y, self, batch_size, key=key, epoch=epoch, augment=augment, dtype=dtype, start=start)

    def grey_levels(self, dtype: Any = "float32") -> np.ndarray:
        """Each grey level as `normalise` returns it, bit for bit.        →  `dtype` (256, C)"""
        levels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1, 1)
        return self.normalise(np.repeat(levels, self.channels, axis=3), dtype).reshape(256, self.channels)

    def reduced(
        self, *, limit_train: int | None = None, limit_test: int | None = None, validation: int = 0, seed: int = 0
    ) -> DataSet:
        """The same data set with a validation part split off the training set, and then with fewer images.

        Every part is class-balanced, or keeps the classes' shares in a data set that is `stratified`; it is drawn from
        a stream that `seed` names, and keeps the order of the files. The validation images depend on `seed` and
        `validation` only, so runs with different `limit_train` share them.

        Raises: UserError when a number is negative or larger than the number of images.
        """
        seed = whole(f"{self.name}: the seed", seed, 0, 2**63 - 1)
        changes: dict[str, Any] = {}
        train, subset = np.arange(len(self.train_y)), stratified if self.stratified else balanced
        if isinstance(validation, bool) or validation != 0:
            if self.validation_x is not None:
                raise UserError(f"{self.name}: a validation part was split off already.")
            chosen = subset(self.train_y, validation, stream(seed, "validation"), f"{self.name}: validation")
            if len(chosen) == len(train):
                raise UserError(f"{self.name}: validation takes all {len(train)} training images; leave some of them.")
            changes.update(validation_x=self.train_x[chosen], validation_y=self.train_y[chosen])
            train = np.setdiff1d(train, chosen, assume_unique=True)
        if limit_train is not None:
            rng = stream(seed, "limit train")
            train = train[subset(self.train_y[train], limit_train, rng, f"{self.name}: limit_train")]
        if len(train) < len(self.train_y):
            changes.update(train_x=self.train_x[train], train_y=self.train_y[train])
        if limit_test is not None:
            rng = stream(seed, "limit test")
            test = subset(self.test_y, limit_test, rng, f"{self.name}: limit_test")
            changes.update(test_x=self.test_x[test], test_y=self.test_y[test])
        return replace(self, **changes) if changes else self

    def long_tailed(self, ratio: float = LONG_TAIL, seed: int = 0) -> DataSet:
        """The same data set with training classes whose sizes fall exponentially:  n_c = ⌊n / ratioᶜ⌋, c = 0, 1, 2, ...

        n is the size of the largest class; a class that has fewer than n_c images keeps them all. The images are drawn
        from a stream that `seed` names, and keep their order. The test images stay. On CIFAR-10, the BackLink paper's
        Table IV (its ratio is the default; that it rounds down is this project's choice).

        Raises: UserError for a ratio below 1, or one that leaves a class without images.
        """
        ratio, seed = (
            real(f"{self.name}: the ratio", ratio, 1, 1e9),
            whole(f"{self.name}: the seed", seed, 0, 2**63 - 1),
        )
        chosen = long_tail(self.train_y, ratio, stream(seed, "long tail"), self.name)
        note = f"training classes fall by a ratio of {ratio:g}, drawn with seed {seed}: {len(chosen)} images"
        return replace(
            self, name=f"{self.name}-lt", train_x=self.train_x[chosen], train_y=self.train_y[chosen], stratified=True,
            notes=(*self.notes, note),
        )  # fmt: skip
