"""Readers of data sets: the official files, and images of the user's own."""

from __future__ import annotations

import gzip
import io
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minilocal.cli.predict import read_images
from minilocal.data import copies, npz, pictures
from minilocal.data.dataset import DataSet
from minilocal.data.layout import Official
from minilocal.data.official import CIFAR10, MNIST, STL10, SVHN
from minilocal.data.show import describe
from tests.data.conftest import Images, pack, small
from tests.faults.readers.reader import Reader, valid

DATA = "minilocal.data."
ARCHIVES = (DATA + "container", DATA + "unpacked", DATA + "cifar", DATA + "copies")
PICKLES = (DATA + "unpickle", DATA + "opcodes", DATA + "cifar")

TEN = small(CIFAR10, train=1)
BINARY, PICKLED = TEN.layouts


def few(official: Official, classes: int, each: int = 1) -> Official:
    """The same data set with this many images of each class in both parts, and so many classes."""
    counts = (each,) * classes
    return replace(official, train_counts=counts, test_counts=counts, names=official.names[:classes])


DIGITS, HOUSES, TWO = few(MNIST, 10), few(SVHN, 10), few(STL10, 2)


def check(dataset: DataSet) -> Sequence[str]:
    """What `minilocal data` prints of a data set that is valid."""
    for x, y in ((dataset.train_x, dataset.train_y), (dataset.test_x, dataset.test_y)):
        valid(x.dtype == np.uint8 and x.ndim == 4 and len(x) == len(y) > 0, "images are", x.dtype, x.shape, y.shape)
        valid(y.dtype == np.int64 and 0 <= y.min() <= y.max() < len(dataset.classes), "labels are", y.dtype)
    valid(np.isfinite([*dataset.mean, *dataset.std]).all() and min(dataset.std) > 0, "mean is", dataset.mean)
    valid(all(isinstance(name, str) for name in dataset.classes), "classes are", dataset.classes)
    return [describe(dataset)]


def read_official(official: Official, folder: Path) -> Sequence[str]:
    return check(copies.load(official, folder, download=False))


def ten() -> Images:
    """One training image of each class, and two for testing; all but one are of one colour, so archives are short."""
    x = np.full((30, 32, 32, 3), 7, np.uint8)
    x[0] = np.random.default_rng(0).integers(0, 256, x[0].shape)
    return Images(TEN, x, np.tile(np.arange(10), 3))


def in_a_folder(folder: Path, name: str, files: dict[str, bytes]) -> None:
    (folder / name).mkdir()
    for file, content in files.items():
        (folder / name / file).write_bytes(content)


# ------------------------------------------------------------------ CIFAR


def records(folder: Path) -> Sequence[bytes]:
    files = ten().files(BINARY)
    in_a_folder(folder, BINARY.folder, files)
    return [files["data_batch_1.bin"]]


def names(folder: Path) -> Sequence[bytes]:
    records(folder)
    return [ten().files(BINARY)["batches.meta.txt"], "flöte\n".encode() * 10]


def pickles(folder: Path) -> Sequence[bytes]:
    files = ten().files(PICKLED)
    in_a_folder(folder, PICKLED.folder, files)
    batch = pickle.loads(files["data_batch_1"], encoding="bytes")  # of our own making
    return [files["data_batch_1"], *(pickle.dumps(batch, protocol) for protocol in (0, 3, 5))]


def meta(folder: Path) -> Sequence[bytes]:
    pickles(folder)
    listed = {b"label_names": [name.encode() for name in ten().names], b"num_cases_per_batch": 10000}
    return [pickle.dumps(listed, protocol) for protocol in (2, 0, 5)]


def tar(folder: Path) -> Sequence[bytes]:
    path = pack(folder / str(BINARY.archive), ten().files(BINARY), BINARY.folder)
    return [path.read_bytes(), gzip.decompress(path.read_bytes())]


def python_tar(folder: Path) -> Sequence[bytes]:
    return [pack(folder / str(PICKLED.archive), ten().files(PICKLED), PICKLED.folder).read_bytes()]


# ------------------------------------------------------------------ MNIST, SVHN, STL-10


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(np.uint8).tobytes()


def idx_files(folder: Path, packed: bool) -> dict[str, bytes]:
    layout = next(one for one in DIGITS.layouts if one.train[0].endswith(".gz") == packed)
    images, labels = np.zeros((10, 28, 28)), np.arange(10)
    files = {name: idx(labels if "idx1" in name else images) for name in layout.files}
    if packed:
        files = {name: gzip.compress(content, mtime=0) for name, content in files.items()}
    in_a_folder(folder, layout.folder, files)
    return files


def mat(folder: Path) -> Sequence[bytes]:
    from scipy.io import savemat

    written = []
    for compressed in (True, False):
        file = io.BytesIO()
        X = np.zeros((32, 32, 3, 10), np.uint8)
        savemat(file, {"X": X, "y": np.arange(1, 11)[:, None].astype(np.uint8)}, do_compression=compressed)
        written.append(file.getvalue())
    in_a_folder(folder, HOUSES.layouts[0].folder, dict.fromkeys(HOUSES.layouts[0].files, written[0]))
    return written


def planes(folder: Path) -> Sequence[bytes]:
    layout = TWO.layouts[0]
    images, labels, text = bytes(2 * 96 * 96 * 3), bytes([1, 2]), b"airplane\nbird\n"
    files = dict(zip(layout.files, (images, labels) * 2, strict=True)) | {str(layout.class_names): text}
    path = pack(folder / str(layout.archive), files, layout.folder)
    return [path.read_bytes()]


def kept(folder: Path) -> Sequence[bytes]:
    (folder / str(TWO.layouts[0].archive)).write_bytes(planes(folder)[0])
    read_official(TWO, folder)
    return [(folder / f"{TWO.layouts[0].archive}.kept.npz").read_bytes()]


# ------------------------------------------------------------------ images of the user's own


def saved(compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def own(folder: Path) -> Sequence[bytes]:
    x, y = np.arange(4 * 25, dtype=np.uint8).reshape(4, 5, 5), np.arange(4) % 2
    arrays: dict[str, Any] = {"train_x": x, "train_y": y, "test_x": x, "test_y": y}
    floats = {**arrays, "train_x": x / 255, "test_x": x / 255, "range": np.array([0.0, 1.0])}
    return [
        saved(classes=np.array(["a", "b"]), **arrays),
        saved(**floats),
        saved(True, **{**arrays, "train_x": np.stack([x] * 3, -1), "test_x": np.stack([x] * 3, -1)}),
    ]


def for_predict(folder: Path) -> Sequence[bytes]:
    x, y = np.arange(4 * 25, dtype=np.uint8).reshape(4, 5, 5, 1), np.arange(4)
    return [saved(x=x, y=y), saved(True, test_x=x / np.float32(255), range=np.array([0, 1]))]


def read_for_predict(folder: Path) -> Sequence[str]:
    x, y = read_images(str(folder / "images.npz"), 10)
    valid(x.dtype == np.uint8 and x.ndim == 4 and len(x), "images are", x.dtype, x.shape)
    valid(y is None or (y.dtype == np.int64 and len(y) == len(x) and 0 <= y.min() <= y.max() < 10), "labels are", y)
    return []


def sampled(suffix: str, folder: Path) -> Sequence[bytes]:
    from PIL import Image

    def picture(mode: str, **options: object) -> bytes:
        file = io.BytesIO()
        image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert(mode)
        image.save(file, "PNG" if suffix == "png" else "JPEG", **options)
        return file.getvalue()

    for name in ("a", "b"):
        in_a_folder(folder, name, {f"{i}.png": picture("L") if suffix == "png" else b"" for i in range(2)})
    if suffix == "png":
        return [picture(mode) for mode in ("L", "RGB", "P", "1")]
    plain = [picture("L"), picture("RGB", progressive=True), picture("CMYK")]
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a", "b"):
        for i in range(2):
            (folder / name / f"{i}.png").unlink()
            (folder / name / f"{i}.jpg").write_bytes(plain[0])
    return [*plain, picture("L", exif=exif)]


def read_pictures(folder: Path) -> Sequence[str]:
    return check(pictures.load(folder))


READERS = (
    Reader(
        "cifar-binary", "CIFAR's records, in a folder", f"{BINARY.folder}/data_batch_1.bin", records,
        lambda folder: read_official(TEN, folder), "bytes", ARCHIVES, says=BINARY.folder,
    ),
    Reader(
        "cifar-names", "CIFAR's class names, text", f"{BINARY.folder}/batches.meta.txt", names,
        lambda folder: read_official(TEN, folder), "text", ARCHIVES,
    ),
    Reader(
        "cifar-pickle", "CIFAR's pickled batch", f"{PICKLED.folder}/data_batch_1", pickles,
        lambda folder: read_official(TEN, folder), "pickle", PICKLES, says=PICKLED.folder,
    ),
    Reader(
        "cifar-meta", "CIFAR's pickled class names", f"{PICKLED.folder}/batches.meta", meta,
        lambda folder: read_official(TEN, folder), "pickle", PICKLES,
    ),
    Reader(
        "cifar-tar", "CIFAR's archive of records", str(BINARY.archive), tar,
        lambda folder: read_official(TEN, folder), "tar", ARCHIVES,
    ),
    Reader(
        "cifar-python-tar", "CIFAR's archive of pickles", str(PICKLED.archive), python_tar,
        lambda folder: read_official(TEN, folder), "tar", (*ARCHIVES, *PICKLES),
    ),
    Reader(
        "mnist", "MNIST's and Fashion-MNIST's idx file, packed",
        f"{MNIST.layouts[0].folder}/train-images-idx3-ubyte.gz",
        lambda folder: [idx_files(folder, True)["train-images-idx3-ubyte.gz"]],
        lambda folder: read_official(DIGITS, folder), "idx", (DATA + "idx", DATA + "container", DATA + "copies"),
    ),
    Reader(
        "mnist-labels", "MNIST's labels, unpacked", f"{MNIST.layouts[0].folder}/train-labels-idx1-ubyte",
        lambda folder: [idx_files(folder, False)["train-labels-idx1-ubyte"]],
        lambda folder: read_official(DIGITS, folder), "idx", (DATA + "idx", DATA + "container", DATA + "copies"),
        says="mnist",
    ),
    Reader(
        "svhn", "SVHN's MATLAB file", f"{SVHN.layouts[0].folder}/{SVHN.layouts[0].train[0]}", mat,
        lambda folder: read_official(HOUSES, folder), "mat", (DATA + "svhn", DATA + "container", DATA + "copies"),
        says="svhn", needs="scipy",
    ),
    Reader(
        "stl10", "STL-10's archive", str(STL10.layouts[0].archive), planes,
        lambda folder: read_official(TWO, folder), "tar",
        (DATA + "stl10", DATA + "container", DATA + "unpacked", DATA + "kept"), writes=("*.kept.npz",),
    ),
    Reader(
        "stl10-kept", "what was unpacked of STL-10", f"{STL10.layouts[0].archive}.kept.npz", kept,
        lambda folder: read_official(TWO, folder), "npz", (DATA + "kept", DATA + "member", DATA + "copies"),
        writes=("*.kept.npz",),
        rewrites=True,
    ),
    Reader(
        "npz", "images of one's own, npz:PATH", "own.npz", own,
        lambda folder: check(npz.load(folder / "own.npz")), "npz",
        (DATA + "npz", DATA + "member", DATA + "arrays", DATA + "checks"),
    ),
    Reader(
        "predict-images", "predict --images", "images.npz", for_predict, read_for_predict, "npz",
        (DATA + "npz", DATA + "arrays", "minilocal.cli.predict"),
    ),
    Reader(
        "pictures-png", "a PNG of folder:PATH", "a/0.png", lambda folder: sampled("png", folder), read_pictures, "png",
        (DATA + "pictures", DATA + "arrays"), says="", needs="PIL",
    ),
    Reader(
        "pictures-jpeg", "a JPEG of folder:PATH", "a/0.jpg", lambda folder: sampled("jpg", folder), read_pictures,
        "jpeg", (DATA + "pictures", DATA + "arrays"), needs="PIL",
    ),
)  # fmt: skip
