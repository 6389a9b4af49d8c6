"""Small CIFAR files in the official layouts, and web servers with the faults of real downloads."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minilocal.data.official import CIFAR10, CIFAR100, Cifar, Layout
from tests.helpers.site import Site, start


def small(cifar: Cifar, train: int = 10) -> Cifar:
    """The same data set with few training and 2 test images of each class."""
    return replace(cifar, train_counts=(train,) * cifar.classes, test_counts=(2,) * cifar.classes)


@dataclass
class Images:
    """What a small data set holds: images (N, 32, 32, 3) and labels, training before test."""

    cifar: Cifar
    x: np.ndarray
    y: np.ndarray

    @property
    def names(self) -> list[str]:
        return [f"class_{c}" for c in range(self.cifar.classes)]

    def files(self, layout: Layout) -> dict[str, bytes]:
        """The content of every file of `layout`."""
        content, first = {}, 0
        for names, images in ((layout.train, self.cifar.train_images), (layout.test, self.cifar.test_images)):
            for name in names:
                rows = slice(first, first := first + images // len(names))
                planes = self.x[rows].transpose(0, 3, 1, 2).reshape(-1, 3072)
                content[name] = (
                    self._pickled(planes, self.y[rows]) if layout.pickled else self._records(planes, self.y[rows])
                )
        assert layout.class_names is not None
        if layout.pickled:
            content[layout.class_names] = pickle.dumps(
                {self.cifar.names_key.encode(): [n.encode() for n in self.names]}, 2
            )
        else:
            content[layout.class_names] = ("\n".join(self.names) + "\n").encode()
        return content

    def _records(self, planes: np.ndarray, y: np.ndarray) -> bytes:
        before = [(y // 5)[:, None]] if len(self.cifar.labels) == 2 else []
        return np.concatenate([*before, y[:, None], planes], axis=1).astype(np.uint8).tobytes()

    def _pickled(self, planes: np.ndarray, y: np.ndarray) -> bytes:
        batch: dict[bytes, Any] = {b"batch_label": b"training batch", b"data": planes}
        batch[b"filenames"] = [f"image_{n}.png".encode() for n in range(len(y))]
        batch[self.cifar.labels[-1].encode()] = [int(label) for label in y]
        if len(self.cifar.labels) == 2:
            batch[b"coarse_labels"] = [int(label) // 5 for label in y]
        return pickle.dumps(batch, 2)


def random_images(cifar: Cifar) -> Images:
    rng = np.random.default_rng(0)
    classes = np.arange(cifar.classes)
    y = np.concatenate([rng.permutation(np.tile(classes, cifar.train_counts[0])), rng.permutation(np.tile(classes, 2))])
    return Images(cifar, rng.integers(0, 256, (len(y), 32, 32, 3), dtype=np.uint8), y)


@pytest.fixture(scope="session")
def ten() -> Images:
    return random_images(small(CIFAR10))


@pytest.fixture(scope="session")
def hundred() -> Images:
    return random_images(small(CIFAR100))


def pack(path: Path, files: dict[str, bytes], folder: str = "x") -> Path:
    """A .tar.gz of `files` inside `folder`."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def unpack(folder: Path, files: dict[str, bytes]) -> Path:
    """`files` in `folder`."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def write() -> Callable[..., Path]:
    """write(parent, layout, files, packed) puts files where `layout` has them."""

    def write(parent: Path, layout: Layout, files: dict[str, bytes], packed: bool) -> Path:
        parent.mkdir(parents=True, exist_ok=True)
        assert layout.archive is not None or not packed
        return (
            pack(parent / str(layout.archive), files, layout.folder)
            if packed
            else unpack(parent / layout.folder, files)
        )

    return write


@pytest.fixture
def sites() -> Iterator[Callable[..., Site]]:
    """sites(content=..., status=404) starts a server with these faults."""
    servers = []

    def serve(**faults: Any) -> Site:
        site = Site(**faults)
        servers.append(start(site))
        return site

    yield serve
    for server in servers:
        server.shutdown()
        server.socket.close()
