"""SVHN, STL-10, MNIST and Fashion-MNIST: exact files give their images, damaged ones a clear line."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minilocal import data
from minilocal.data import copies, svhn
from minilocal.data.layout import Layout, Official
from minilocal.data.official import FASHION_MNIST, FORMATS, MNIST, STL10, SVHN
from minilocal.errors import UserError
from tests.data.conftest import pack, unpack
from tests.helpers.host import host
from tests.helpers.site import Site

NAMES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
Files = dict[str, bytes]


@dataclass
class Small:
    """An official data set with few images, and what its files hold."""

    official: Official
    x: np.ndarray
    y: np.ndarray
    files: Files

    @property
    def layout(self) -> Layout:
        return self.official.layouts[0]

    def write(self, parent: Path, files: Files | None = None) -> Path:
        """The files, unpacked, where the first layout has them."""
        return unpack(parent / self.layout.folder, self.files if files is None else files)


def images(official: Official, shape: tuple[int, ...]) -> tuple[Official, np.ndarray, np.ndarray]:
    """A data set with 3 + c training and 2 test images of class c, random ones."""
    few = replace(official, train_counts=tuple(3 + c for c in range(10)), test_counts=(2,) * 10)
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.permutation(np.repeat(np.arange(10), n)) for n in (few.train_counts, few.test_counts)])
    return few, rng.integers(0, 256, (len(y), *shape), dtype=np.uint8), y


def matlab(**arrays: Any) -> bytes:
    io_module = pytest.importorskip("scipy.io", reason="SVHN's files need SciPy")
    file = io.BytesIO()
    io_module.savemat(file, arrays, do_compression=True)
    return file.getvalue()


def idx(array: np.ndarray, kind: int = 8, packed: bool = True) -> bytes:
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.tobytes()
    return gzip.compress(content, 1) if packed else content


@pytest.fixture(scope="module")
def numbers() -> Small:
    few, x, y = images(SVHN, (32, 32, 3))
    n = few.train_images
    halves = {"train_32x32.mat": slice(0, n), "test_32x32.mat": slice(n, None)}
    labels = np.where(y == 0, 10, y).astype(np.uint8)[:, None]
    files = {name: matlab(X=x[rows].transpose(1, 2, 3, 0), y=labels[rows]) for name, rows in halves.items()}
    return Small(few, x, y, files)


@pytest.fixture(scope="module")
def stl() -> Small:
    few, x, y = images(STL10, (96, 96, 3))
    files: Files = {"class_names.txt": ("\n".join(NAMES) + "\n").encode()}
    for part, rows in (("train", slice(0, few.train_images)), ("test", slice(few.train_images, None))):
        records = []
        for image in x[rows]:  # by hand: plane by plane, column by column
            records += [bytes(image[row, column, c] for column in range(96) for row in range(96)) for c in range(3)]
        files |= {f"{part}_X.bin": b"".join(records), f"{part}_y.bin": (y[rows] + 1).astype(np.uint8).tobytes()}
    return Small(few, x, y, files)


def idx_files(official: Official) -> Small:
    few, x, y = images(official, (28, 28))
    files: Files = {}
    for part, rows in (("train", slice(0, few.train_images)), ("t10k", slice(few.train_images, None))):
        files[f"{part}-images-idx3-ubyte.gz"] = idx(x[rows])
        files[f"{part}-labels-idx1-ubyte.gz"] = idx(y[rows].astype(np.uint8))
    return Small(few, x[..., None], y, files)


@pytest.fixture(scope="module")
def mnist() -> Small:
    return idx_files(MNIST)


@pytest.fixture(params=["numbers", "stl", "mnist"])
def each(request: pytest.FixtureRequest) -> Small:
    small: Small = request.getfixturevalue(request.param)
    return small


def refused(small: Small, folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        copies.load(small.official, folder, download=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def check(small: Small, dataset: data.DataSet) -> None:
    n = small.official.train_images
    assert np.array_equal(dataset.train_x, small.x[:n]) and np.array_equal(dataset.test_x, small.x[n:])
    assert np.array_equal(dataset.train_y, small.y[:n]) and np.array_equal(dataset.test_y, small.y[n:])
    assert dataset.train_x.dtype == np.uint8 and dataset.train_y.dtype == np.int64
    assert dataset.train_x.flags.c_contiguous


# what is read


def test_the_files_give_their_images(each, tmp_path):
    path = each.write(tmp_path)
    dataset = copies.load(each.official, tmp_path, download=False)
    check(each, dataset)
    assert dataset.notes[0] == f"read from {path}"
    assert dataset.notes[1].startswith("checksum differs from the official files")
    check(each, copies.load(each.official, path, download=False))  # the folder itself may be named


def test_what_each_paper_does_with_them():
    """The code of InfoPro and AugLocal: 0.5 and 0.5; SVHN shifted by 2 without a flip, STL-10 by 4 with one."""
    assert (SVHN.mean, SVHN.std, SVHN.padding, SVHN.flip) == ((0.5,) * 3, (0.5,) * 3, 2, False)
    assert (STL10.mean, STL10.std, STL10.padding, STL10.flip) == ((0.5,) * 3, (0.5,) * 3, 4, True)
    assert (SVHN.train_images, SVHN.test_images, STL10.train_images, STL10.test_images) == (
        73_257,
        26_032,
        5_000,
        8_000,
    )
    assert MNIST.train_images == FASHION_MNIST.train_images == 60_000
    assert MNIST.test_images == FASHION_MNIST.test_images == 10_000


def test_a_zero_of_svhn_is_class_0_and_its_subsets_stay_imbalanced(numbers, tmp_path):
    numbers.write(tmp_path)
    dataset = copies.load(numbers.official, tmp_path, download=False)
    assert dataset.classes == tuple("0123456789") and (dataset.train_y == 0).sum() == 3
    assert np.bincount(dataset.reduced(limit_train=25).train_y)[[0, 9]].tolist() == [1, 4]  # of 3 and 12 in 75


def test_labels_of_svhn_may_be_floats_as_matlab_writes_them(numbers, tmp_path):
    n = numbers.official.train_images
    labels = np.where(numbers.y == 0, 10, numbers.y)[:n, None].astype(np.float64)
    train = matlab(X=numbers.x[:n].transpose(1, 2, 3, 0), y=labels)
    numbers.write(tmp_path, {**numbers.files, "train_32x32.mat": train})
    check(numbers, copies.load(numbers.official, tmp_path, download=False))


def test_stl10_is_read_from_its_archive_with_the_unlabelled_images_in_it(stl, tmp_path):
    files = {"unlabeled_X.bin": bytes(5000), **stl.files, "fold_indices.txt": b"0 1\n"}
    path = pack(tmp_path / "stl10_binary.tar.gz", files, "stl10_binary")
    dataset = copies.load(stl.official, tmp_path, download=False)
    check(stl, dataset)
    assert dataset.classes == NAMES and dataset.notes[0] == f"read from {path}"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        path.name,
        f"{path.name}.kept.npz",
    ]  # tests/data/test_kept_beside.py


def test_stl10_without_its_class_names(stl, tmp_path):
    files = {name: content for name, content in stl.files.items() if name != "class_names.txt"}
    stl.write(tmp_path, files)
    dataset = copies.load(stl.official, tmp_path, download=False)
    assert dataset.classes == tuple("0123456789") and "classes are numbered" in dataset.notes[-1]


def test_mnist_unpacked_and_where_torchvision_puts_it(mnist, tmp_path):
    plain = {name.removesuffix(".gz"): gzip.decompress(content) for name, content in mnist.files.items()}
    for folder, files in (("mnist", plain), ("MNIST/raw", plain), ("MNIST/raw", mnist.files)):
        place = tmp_path / hashlib.sha256(repr((folder, *files)).encode()).hexdigest()
        unpack(place / folder, files)
        dataset = copies.load(mnist.official, place, download=False)
        check(mnist, dataset)
        assert dataset.notes[0] == f"read from {place / folder}"
    assert "no checksum of the official files is known" in copies.verdict(mnist.official.layouts[1], place)


def test_constants_that_no_paper_states_are_computed(mnist, tmp_path):
    mnist.write(tmp_path)
    dataset = copies.load(mnist.official, tmp_path, download=False)
    z = host(dataset.normalise(dataset.train_x, "float64"))
    assert abs(z.mean()) < 1e-9 and abs(z.std() - 1) < 1e-9
    assert "mean and standard deviation computed from the training images" in dataset.notes


# what is fetched


@pytest.fixture
def online(sites: Callable[..., Site]) -> Iterator[Callable[[Small], tuple[Official, dict[str, Site]]]]:
    """The data set with a site for each of its files, or of its archive."""

    def put(small: Small) -> tuple[Official, dict[str, Site]]:
        files = dict(small.files)
        if small.layout.archive:
            files = {small.layout.archive: packed(small)}
        served = {name: sites(content=content) for name, content in files.items()}
        sums = {name: f"sha256:{hashlib.sha256(content).hexdigest()}" for name, content in files.items()}
        lengths = {name: len(content) for name, content in files.items()}
        # each site answers any path with its one file, so all are tried and the checksum says which is right
        sources = tuple(site.url.rpartition("/")[0] + "/" for site in served.values())
        layout = replace(small.layout, sources=sources, sums=sums, lengths=lengths)
        return replace(small.official, layouts=(layout, *small.official.layouts[1:])), served

    yield put


def packed(small: Small) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for name, content in small.files.items():
            member = tarfile.TarInfo(f"{small.layout.folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def test_what_is_missing_is_fetched_checked_and_read(each, tmp_path, online):
    official, _ = online(each)
    for download in (True, False):
        dataset = copies.load(official, tmp_path, download)
        check(each, dataset)
        assert dataset.notes[1].startswith("SHA-256 matches the official")


def test_a_copy_without_one_file_is_completed(mnist, tmp_path, online):
    official, served = online(mnist)
    present = {name: content for name, content in mnist.files.items() if "labels" not in name}
    mnist.write(tmp_path, present)
    assert "is incomplete, without t10k-labels-idx1-ubyte.gz, train-labels" in refused(mnist, tmp_path)
    check(mnist, copies.load(official, tmp_path, download=True))
    assert sum(len(served[name].asked) for name in present) <= 4  # only as wrong sources of the two that were missing


@pytest.mark.parametrize(
    ("lengths", "message"),
    [({}, "has another checksum than 440fcabf73cc"), (MNIST.layouts[0].lengths, "9 bytes, the official one 9912422")],
)
def test_a_source_with_another_file_is_refused(mnist, tmp_path, sites, lengths, message):
    site = sites(content=b"not mnist")
    layout = replace(mnist.layout, sources=(site.url.rpartition("/")[0] + "/",), lengths=lengths)
    with pytest.raises(UserError, match=message):
        copies.load(replace(mnist.official, layouts=(layout,)), tmp_path, download=True)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_nothing_found_and_nothing_to_be_fetched(each, tmp_path):
    message = refused(each, tmp_path)
    name = each.official.name
    assert (
        f"{name} was not found in {tmp_path}" in message and f"minilocal data {name} --data-dir {tmp_path}" in message
    )
    assert each.layout.folder in message


# what is refused


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def test_a_missing_file_is_named(each, tmp_path):
    name = each.layout.test[-1]
    each.write(tmp_path, {key: content for key, content in each.files.items() if key != name})
    assert f"is incomplete, without {name}: complete it, or delete it and fetch it again." in refused(each, tmp_path)


def test_a_file_cut_short(each, tmp_path):
    name = each.layout.train[0]
    each.write(tmp_path, {**each.files, name: cut(each.files[name])})
    message = refused(each, tmp_path)
    assert f"{each.layout.folder}/{name} " in message and "fetch it again" in message


def test_an_empty_file_and_another_file(each, tmp_path):
    name = each.layout.train[0]
    for n, content in enumerate((b"", b"<html>Sign in</html>")):
        each.write(tmp_path / str(n), {**each.files, name: content})
        assert f"{each.layout.folder}/{name} " in refused(each, tmp_path / str(n))


def test_a_file_much_too_long(each, tmp_path):
    name = each.layout.test[0]
    each.write(tmp_path, {**each.files, name: each.files[name] + bytes(3 << 20)})
    assert "at most: this is not the official file" in refused(each, tmp_path)


def test_another_number_of_images_in_a_class(each, tmp_path):
    n = each.official.train_counts
    wrong = replace(each.official, train_counts=(n[0] + 1, n[1] - 1, *n[2:]))
    each.write(tmp_path)
    with pytest.raises(UserError, match=r"has 3 training images of class 0; .* has 4: damaged or another data set"):
        copies.load(wrong, tmp_path, download=False)


def first_label(content: bytes, label: int) -> bytes:
    return bytes([label]) + content[1:]


@pytest.mark.parametrize("label", [0, 11])
def test_labels_of_stl10_run_from_1_to_10(stl, tmp_path, label):
    stl.write(tmp_path, {**stl.files, "test_y.bin": first_label(stl.files["test_y.bin"], label)})
    assert f"test_y.bin has labels from {min(label, 1)} to {max(label, 10)}, not 1 to 10" in refused(stl, tmp_path)


def test_class_names_of_another_data_set(stl, tmp_path):
    stl.write(tmp_path, {**stl.files, "class_names.txt": b"cat\ndog\n"})
    assert "lists 2 class names, not 10" in refused(stl, tmp_path)


def test_an_archive_of_stl10_with_a_path_outside(stl, tmp_path):
    pack(tmp_path / "stl10_binary.tar.gz", stl.files, "stl10_binary/../..")
    assert "a path outside its folder" in refused(stl, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["stl10_binary.tar.gz"]


def test_an_archive_of_stl10_cut_short(stl, tmp_path):
    path = pack(tmp_path / "stl10_binary.tar.gz", stl.files, "stl10_binary")
    path.write_bytes(cut(path.read_bytes()))
    assert "is damaged or cut short" in refused(stl, tmp_path)


IDX = [
    ("floats", lambda x: idx(np.zeros(x.shape, ">f4"), 0x0D), "begins with 00 00 0d 03, not 00 00 08 03"),
    ("labels for images", lambda x: idx(x[:, 0, 0]), "begins with 00 00 08 01, not 00 00 08 03"),
    ("fewer images", lambda x: idx(x[:-1]), "states 74×28×28 numbers, not 75×28×28"),
    ("one byte less", lambda x: gzip.compress(idx(x, packed=False)[:-1]), "has 58815 bytes, not 58816"),
    ("one byte more", lambda x: gzip.compress(idx(x, packed=False) + b"x"), "has more than 58816 bytes"),
    ("not packed", lambda x: idx(x, packed=False), "is damaged or cut short (Not a gzipped file"),
    ("nothing packed", lambda x: gzip.compress(b""), "begins with nothing"),
    ("without its checksum", lambda x: idx(x)[:-8], "is damaged or cut short"),
    ("another checksum", lambda x: idx(x)[:-8] + bytes(4) + idx(x)[-4:], "CRC check failed"),
]


@pytest.mark.parametrize(("content", "part"), [case[1:] for case in IDX], ids=[case[0] for case in IDX])
def test_a_damaged_idx_file(mnist, tmp_path, content, part):
    mnist.write(tmp_path, {**mnist.files, "train-images-idx3-ubyte.gz": content(mnist.x[:75, ..., 0])})
    message = refused(mnist, tmp_path)
    assert part in message and "train-images-idx3-ubyte.gz" in message


def test_a_label_of_mnist_above_9(mnist, tmp_path):
    labels = np.where(np.arange(20) == 7, 10, mnist.y[75:]).astype(np.uint8)
    mnist.write(tmp_path, {**mnist.files, "t10k-labels-idx1-ubyte.gz": idx(labels)})
    assert "holds the label 10, but mnist ends at 9: damaged" in refused(mnist, tmp_path)


def test_fashion_mnist_in_mnists_place_is_refused(mnist, tmp_path):
    """Names and shapes are the same; the classes have other sizes."""
    fashion = replace(FASHION_MNIST, train_counts=mnist.official.train_counts[::-1], test_counts=(2,) * 10)
    mnist.write(tmp_path)
    with pytest.raises(UserError, match="fashion-mnist has 12: damaged or another data set"):
        copies.load(fashion, tmp_path / "mnist", download=False)


def svhn_part(small: Small, **changes: Any) -> bytes:
    n = small.official.train_images
    labels = np.where(small.y == 0, 10, small.y)[n:, None].astype(np.uint8)
    arrays = {"X": small.x[n:].transpose(1, 2, 3, 0), "y": labels} | changes
    return matlab(**{key: value for key, value in arrays.items() if value is not None})


SVHN_WRONG = [
    ({"X": None}, "holds y, but no X: cut short or not svhn's"),
    ({"y": None}, "holds X, but no y: cut short or not svhn's"),
    ({"X": np.zeros((32, 32, 3, 19), np.uint8)}, "has 32×32×3×19 for X, not 32×32×3×20"),
    ({"y": np.ones((1, 20), np.uint8)}, "has 1×20 for y, not 20×1"),
    ({"X": np.zeros((32, 32, 3, 20), np.uint16)}, "has uint16 for X, not bytes"),
    ({"y": np.array([["a"]] * 20, dtype=object)}, "has object for y, not whole numbers"),
    ({"y": np.zeros((20, 1), np.uint8)}, "has labels from 0 to 0, not whole numbers 1 to 10"),
    ({"y": np.full((20, 1), 11, np.uint8)}, "has labels from 11 to 11"),
    ({"y": np.full((20, 1), 1.5)}, "has labels from 1.5 to 1.5"),
    ({"y": np.full((20, 1), np.nan)}, "has labels from nan to nan"),
]


@pytest.mark.parametrize(("changes", "part"), SVHN_WRONG, ids=[part for _, part in SVHN_WRONG])
def test_a_wrong_file_of_svhn(numbers, tmp_path, changes, part):
    numbers.write(tmp_path, {**numbers.files, "test_32x32.mat": svhn_part(numbers, **changes)})
    message = refused(numbers, tmp_path)
    assert part in message and "test_32x32.mat" in message


def test_a_flipped_bit_of_svhn(numbers, tmp_path):
    content = bytearray(numbers.files["train_32x32.mat"])
    content[len(content) // 2] ^= 0x10
    numbers.write(tmp_path, {**numbers.files, "train_32x32.mat": bytes(content)})
    assert "train_32x32.mat is damaged or is no MATLAB 5 file" in refused(numbers, tmp_path)


def test_svhn_without_scipy_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(svhn, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs SciPy: in the clone, pip install -e '\.\[svhn\]'"):
        data.load("svhn", dir=tmp_path)
    assert list(tmp_path.iterdir()) == []  # before anything is fetched


# the facts


@pytest.mark.parametrize("name", FORMATS)
def test_addresses_lengths_and_sums_are_complete(name):
    official = FORMATS[name]
    first = official.layouts[0]
    published = [first.archive] if first.archive else list(first.files)
    assert set(published) <= set(first.sums) and all(first.lengths[file] > 1000 for file in published)
    assert all(first.sums[file].startswith("sha256:") for file in published)
    for known in first.sums.values():
        algorithm, _, digest = known.partition(":")
        assert len(bytes.fromhex(digest)) == hashlib.new(algorithm).digest_size
    assert first.sources and all(url.startswith(("https://", "http://")) and url.endswith("/") for url in first.sources)
    assert len(official.train_counts) == len(official.test_counts) == len(official.names or official.train_counts)
    assert (official.mean is None) == (official.std is None)
