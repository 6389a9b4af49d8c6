"""The user's own images: correct files are read, and each error names what is wrong."""

from __future__ import annotations

import dataclasses
import io
import re
import tracemalloc
import zipfile

import numpy as np
import pytest

from minilocal import data
from minilocal.data import arrays as of_arrays
from minilocal.data import npz
from minilocal.errors import UserError
from tests.helpers.host import host


def arrays(**changes):
    rng = np.random.default_rng(0)
    parts = {
        "train_x": rng.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8),
        "train_y": np.arange(12) % 3,
        "test_x": rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8),
        "test_y": np.arange(6) % 3,
    }
    parts.update(changes)
    return {key: value for key, value in parts.items() if value is not None}


def saved(tmp_path, **changes):
    np.savez(tmp_path / "mine.npz", **arrays(**changes))
    return f"npz:{tmp_path}/mine.npz"


def refused(name):
    with pytest.raises(UserError) as caught:
        data.load(name)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(name)
    return str(caught.value)


def test_images_labels_and_statistics(tmp_path):
    mine = arrays()
    dataset = data.load(saved(tmp_path))
    for key in ("train_x", "train_y", "test_x", "test_y"):
        assert np.array_equal(getattr(dataset, key), mine[key])
    assert dataset.train_y.dtype == np.int64 and dataset.classes == ("0", "1", "2")
    scaled = mine["train_x"] / 255
    assert np.allclose(dataset.mean, scaled.mean(axis=(0, 1, 2)), rtol=0, atol=1e-12)
    assert np.allclose(dataset.std, scaled.std(axis=(0, 1, 2)), rtol=0, atol=1e-12)
    assert all(type(value) is float for value in dataset.mean + dataset.std)
    assert (dataset.padding, dataset.flip) == (1, False)
    assert str(tmp_path) in dataset.notes[0]


def test_grey_images_names_and_small_integers(tmp_path):
    small = {"train_x": arrays()["train_x"][..., 0], "test_x": arrays()["test_x"][..., 0]}
    name = saved(tmp_path, **small, train_y=(np.arange(12) % 3).astype(np.uint8), classes=np.array(["a", "b", "c"]))
    dataset = data.load(name)
    assert dataset.train_x.shape == (12, 8, 8, 1) and dataset.channels == 1 and dataset.size == 8
    assert dataset.classes == ("a", "b", "c")


def test_images_that_are_not_square(tmp_path):
    small = {"train_x": arrays()["train_x"][:, :5], "test_x": arrays()["test_x"][:, :5]}
    dataset = data.load(saved(tmp_path, **small))
    assert dataset.size == (5, 8) and dataset.channels == 3 and dataset.padding == 0
    assert "5×8×3" in repr(dataset) and "images, 5×8×3, 3 classes" in data.describe(dataset)
    signals = {"train_x": np.zeros((12, 1, 128, 9), np.uint8), "test_x": np.zeros((6, 1, 128, 9), np.uint8)}
    assert data.load(saved(tmp_path, **signals)).size == (1, 128)  # nine channels of a line are no colours


@pytest.mark.parametrize(("low", "high", "kind"), [(0, 1, "float32"), (-1, 1, "float64"), (-3.5, 90, "float32")])
def test_float_images_that_state_their_range(tmp_path, low, high, kind):
    """The grey levels that they came from, where they came from grey levels."""
    mine = arrays()
    scaled = {key: (low + mine[key] / 255 * (high - low)).astype(kind) for key in ("train_x", "test_x")}
    dataset = data.load(saved(tmp_path, **scaled, range=np.array([low, high])))
    assert np.array_equal(dataset.train_x, mine["train_x"]) and np.array_equal(dataset.test_x, mine["test_x"])
    assert f"numbers from {low:g} to {high:g} rounded to 256 grey levels" in dataset.notes
    in_memory = data.from_arrays(**{**mine, **scaled}, range=(low, high))
    assert np.array_equal(in_memory.train_x, mine["train_x"])


def test_other_numbers_that_state_their_range_are_rounded_to_the_nearest_level():
    mine = arrays()
    deep = {key: mine[key].astype(np.uint16) * 200 + 100 for key in ("train_x", "test_x")}
    assert np.array_equal(data.from_arrays(**{**mine, **deep}, range=(100, 51_100)).train_x, mine["train_x"])
    halves = {key: mine[key] > 127 for key in ("train_x", "test_x")}
    assert set(data.from_arrays(**{**mine, **halves}, range=(0, 1)).train_x.flat) == {0, 255}


def test_a_constant_channel_is_only_centred(tmp_path):
    dataset = data.load(saved(tmp_path, train_x=np.full((12, 8, 8, 3), 51, np.uint8)))
    assert dataset.std == (1.0, 1.0, 1.0)
    assert abs(host(dataset.normalise(dataset.train_x))).max() < 1e-6


x, y = np.zeros((12, 8, 8, 3), np.uint8), np.arange(12) % 3
WRONG = [
    ({"test_y": None}, "test_y missing"),
    ({"tran_x": x}, "unknown key 'tran_x'; did you mean 'train_x'?"),
    ({"x_train": x}, "unknown key 'x_train'; did you mean 'train_x'?"),
    ({"train_x": x / 255}, "uint8, grey levels 0 to 255: (255 * train_x).round().astype('uint8')."),
    ({"train_x": x + 255.0}, "train_x is float64; images must be uint8, grey levels 0 to 255: train_x.round().astype"),
    ({"train_x": x > 0}, "train_x is bool; images must be uint8, grey levels 0 to 255: 255 * train_x.astype('uint8')"),
    ({"train_x": x + np.int16(255)}, "train_x is int16; images must be uint8, grey levels 0 to 255: train_x.astype("),
    ({"train_x": x - 1.0}, "these run from -1 to -1, so scale, round and then cast them"),
    ({"train_x": x.astype("U1")}, "numbers, scaled and then cast"),
    ({"train_x": x.transpose(0, 3, 1, 2)}, "channels first: x.transpose(0, 2, 3, 1)"),
    ({"train_x": x[:, :4].transpose(0, 3, 1, 2)}, "3×4×8; they must be H×W×C. This looks like channels first: x.tr"),
    ({"train_x": x[..., 0][:, None]}, "1×8×8; they must be H×W×C. This looks like channels first"),
    ({"train_x": x / 255}, "Or state the range of these numbers, as range=(0, 1)."),
    ({"train_x": x + 1.5, "range": np.array([0, 1])}, "train_x holds 1.5, outside the range 0 to 1 that is stated"),
    ({"train_x": np.full(x.shape, np.nan), "range": np.array([0, 1])}, "train_x holds nan, outside the range 0 to 1"),
    ({"train_x": x - 1.0, "range": np.array([0.0, 255.0])}, "train_x holds -1, outside the range 0 to 255"),
    ({"range": np.array([1, 0])}, "range is [1 0]; give two numbers, low and high"),
    ({"range": np.array([0, np.inf])}, "range is [ 0. inf]; give two numbers"),
    ({"range": np.array([0, 1, 2])}, "range is [0 1 2]; give two numbers"),
    ({"range": np.array(["a", "b"])}, "give two numbers, low and high, as (0, 1)"),
    ({"train_x": x.reshape(12, -1)}, "train_x has shape (12, 192)"),
    ({"train_x": x[:0]}, "none of them 0"),
    ({"test_x": np.zeros((6, 16, 16, 3), np.uint8)}, "test_x has images of 16×16×3, train_x of 8×8×3"),
    ({"train_y": y[:-1]}, "train_y has shape (11,), but 12 images"),
    ({"train_y": y[1:2]}, "train_y has shape (1,), but 12 images need (12,), one label each"),
    ({"train_y": y[:2]}, "train_y has shape (2,), but 12 images need (12,), one label each"),
    ({"train_y": y[:5] - 1}, "train_y has shape (5,), but 12 images need (12,), one label each"),
    ({"test_y": np.full(3, 7)}, "test_y has shape (3,), but 6 images need (6,), one label each"),
    ({"train_y": y[:, None]}, "train_y has shape (12, 1); labels must be (N,), one integer an image. Take train_y[:"),
    ({"train_y": np.eye(3)[y]}, "train_y has shape (12, 3); labels must be (N,), one integer an image. Are they one-h"),
    ({"train_y": y.astype(float)}, "train_y is float64; labels must be integers from 0, as train_y.astype('int64')"),
    ({"train_y": np.array(["a", "b", "c"])[y]}, "return_inverse=True"),
    ({"train_y": y - 1}, "the label -1"),
    ({"train_y": y + 1}, "train_y runs from 1 to 3; labels run from 0: subtract 1"),
    ({"train_y": y + 2}, "without a 0"),
    ({"train_y": np.where(y == 1, 10**12, y)}, "without a 1"),
    ({"train_y": np.full(12, 2**64 - 1, np.uint64)}, f"the label {2**64 - 1}"),
    ({"test_y": np.full(6, 7)}, "test_y holds the label 7, but train_y only goes up to 2"),
    ({"classes": np.array(["a", "b"])}, "expected 3 names"),
    ({"classes": np.array([1, 2, 3])}, "expected 3 names"),
    ({"train_y": y.astype(object)}, "Python objects"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_what_is_wrong_is_named(tmp_path, changes, message):
    assert message in refused(saved(tmp_path, **changes))


def test_each_hint_gives_what_was_asked_for():
    """What the errors above say to do, done."""
    labels, grey = arrays()["train_y"], np.arange(0, 256, 51, dtype=np.uint8)
    classes, train = np.unique(np.array(["cat", "dog", "owl"])[labels], return_inverse=True)
    assert np.array_equal(train, labels) and np.array_equal(np.searchsorted(classes, ["owl", "cat"]), [2, 0])
    assert np.array_equal((255 * (grey / 255)).round().astype("uint8"), grey)
    assert np.array_equal(255 * np.array([False, True]).astype("uint8"), [0, 255])


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("letter", ["x", "y"])
def test_the_spellings_of_others_mean_the_same_key(part, letter):
    long = {"x": ("images", "Images", "data"), "y": ("labels", "Labels", "targets")}[letter]
    spellings = [f"{letter}_{part}", f"{letter.upper()}_{part}", f"{part}{letter.upper()}", f"{letter}{part}"]
    spellings += [f"{part}{letter}", *(f"{part}_{word}" for word in long), *(f"{word}_{part}" for word in long)]
    assert {spelling: npz.meant(spelling) for spelling in spellings} == dict.fromkeys(spellings, f"{part}_{letter}")


@pytest.mark.parametrize("key", ["arr", "x", "train", "xyz", "labels", "train_x_extra", "", "retrain_x", "names"])
def test_a_key_that_means_nothing_here(key):
    assert npz.meant(key) is None


def test_the_line_that_writes_the_file_is_right(tmp_path):
    with pytest.raises(UserError) as caught:
        data.load(f"npz:{tmp_path}/none.npz")
    path = tmp_path / "none.npz"
    (line,) = re.findall(r"numpy\.savez\(.*\)", str(caught.value))
    exec(line, {"numpy": np, "path": path, **arrays()})
    assert len(data.load(f"npz:{path}").train_x) == 12
    np.savez(path, *arrays().values())
    assert "its arrays have no names; write it with numpy.savez(path, train_x=train_x, " in refused(f"npz:{path}")


def test_a_path_without_its_prefix():
    with pytest.raises(UserError, match=r"did you mean 'npz:/some/x\.npz'\?"):
        data.load("/some/x.npz")


def test_bytes_behind_an_array_are_refused(tmp_path):
    """A member that goes on behind its array would end before its checksum is compared."""
    name = saved(tmp_path)
    with zipfile.ZipFile(tmp_path / "mine.npz", "a") as archive:
        file = io.BytesIO()
        np.save(file, np.array(["a", "b", "c"]))
        archive.writestr("classes.npy", file.getvalue() + b"more")
    assert "classes has 16 bytes, and its header states 12, <U1 (3,)" in refused(name)


def test_arrays_in_memory_give_what_a_file_of_them_gives(tmp_path):
    mine, filed = data.from_arrays(**arrays()), data.load(saved(tmp_path))
    for field in dataclasses.fields(mine):
        a, b = getattr(mine, field.name), getattr(filed, field.name)
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b or field.name in ("name", "notes")
    assert mine.name == "arrays" and data.from_arrays(**arrays(), name="mine").name == "mine"
    lists = data.from_arrays(**{key: value.tolist() if key.endswith("y") else value for key, value in arrays().items()})
    assert lists.train_y.dtype == np.int64
    assert data.from_arrays(**arrays(), classes=["a", "b", "c"]).classes == ("a", "b", "c")


def test_arrays_that_are_none_are_refused():
    for changes in ({"train_x": [[1], [1, 2]]}, {"train_y": [[1], [1, 2]]}, {"train_x": None}, {"train_y": 3}):
        with pytest.raises(UserError, match=r"arrays: train_[xy]") as caught:
            data.from_arrays(**{**arrays(), **changes})
        assert "\n" not in str(caught.value)


def test_files_that_are_no_npz(tmp_path):
    assert "does not exist" in refused(f"npz:{tmp_path}/none.npz")
    assert "is a folder" in refused(f"npz:{tmp_path}")
    np.save(tmp_path / "one.npy", x)
    assert "one array (.npy)" in refused(f"npz:{tmp_path}/one.npy")
    (tmp_path / "text.npz").write_text("hello")
    assert "no .npz file at all" in refused(f"npz:{tmp_path}/text.npz")
    (tmp_path / "empty.npz").write_bytes(b"")
    assert "cannot be read" in refused(f"npz:{tmp_path}/empty.npz")


@pytest.mark.parametrize("keep", [0.2, 0.9], ids=["start", "nearly all"])
def test_a_file_cut_short(tmp_path, keep):
    name = saved(tmp_path)
    content = (tmp_path / "mine.npz").read_bytes()
    (tmp_path / "mine.npz").write_bytes(content[: int(keep * len(content))])
    assert "cannot be read" in refused(name)


@pytest.mark.parametrize(("place", "value", "message"), [(8, 99, "compression method"), (6, 1, "encrypted")])
def test_a_zip_file_that_python_cannot_read(tmp_path, place, value, message):
    """The flags, and the compression, of the first entry in the list at the end of the file."""
    name = saved(tmp_path)
    content = bytearray((tmp_path / "mine.npz").read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + place + 2] = value
    (tmp_path / "mine.npz").write_bytes(content)
    assert message in refused(name)


def test_a_flipped_bit(tmp_path):
    name = saved(tmp_path)
    content = bytearray((tmp_path / "mine.npz").read_bytes())
    content[1000] ^= 1
    (tmp_path / "mine.npz").write_bytes(content)
    assert "Bad CRC-32" in refused(name)


def test_a_missing_file_is_named_once_and_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        data.load("npz:none.npz")
    assert str(caught.value).startswith(f"npz:{tmp_path}/none.npz does not exist; write it with ")
    assert str(caught.value).count("none.npz") == 1


def test_pixels_are_counted_in_blocks(monkeypatch):
    """`bincount` makes an int64 of every byte: of 2 GB of images it asked for 16 GB."""
    x = np.random.default_rng(0).integers(0, 256, (50, 9, 7, 2), dtype=np.uint8)
    whole = of_arrays.statistics(x)
    assert np.allclose(whole, (x.mean((0, 1, 2)) / 255, x.std((0, 1, 2)) / 255), rtol=1e-12)
    for block in (1, 100, 1000):
        monkeypatch.setattr(of_arrays, "BLOCK", block)
        assert of_arrays.statistics(x) == whole
    big = np.zeros((2048, 64, 64, 1), np.uint8)
    monkeypatch.setattr(of_arrays, "BLOCK", 1 << 16)
    tracemalloc.start()
    try:
        of_arrays.statistics(big)
        assert tracemalloc.get_traced_memory()[1] < big.nbytes / 4
    finally:
        tracemalloc.stop()


def test_a_small_file_of_large_arrays(tmp_path):
    large = arrays(train_x=np.zeros((12, 1200, 1200, 3), np.uint8), test_x=np.zeros((6, 1200, 1200, 3), np.uint8))
    np.savez_compressed(tmp_path / "large.npz", **large)
    tracemalloc.start()
    try:
        assert "write it with numpy.savez" in refused(f"npz:{tmp_path}/large.npz")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    np.savez(tmp_path / "large.npz", **large)
    assert data.load(f"npz:{tmp_path}/large.npz").size == 1200
