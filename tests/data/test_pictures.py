"""Folders of pictures: their pixels are read, and each error names the file and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minilocal import data
from minilocal.data import pictures
from minilocal.errors import UserError

Image: Any = pytest.importorskip("PIL.Image", reason="pictures need Pillow")

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (30, 6, 9, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def split_folder(root: Path) -> Path:
    """Four training and two test pictures of a cat and an owl."""
    for n in range(8):
        save(root / "train" / ("cat", "owl")[n % 2] / f"{n}.png", COLOURS[n])
    for n in range(8, 12):
        save(root / "test" / ("cat", "owl")[n % 2] / f"{n}.PNG", COLOURS[n])
    return root


def refused(root: Path) -> str:
    with pytest.raises(UserError) as caught:
        data.load(f"folder:{root}")
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"folder:{root}")
    return str(caught.value)


def test_pixels_classes_and_statistics(tmp_path):
    dataset = data.load(f"folder:{split_folder(tmp_path)}")
    assert dataset.classes == ("cat", "owl") and dataset.size == (6, 9) and dataset.channels == 3
    assert np.array_equal(dataset.train_x, COLOURS[[0, 2, 4, 6, 1, 3, 5, 7]])
    assert dataset.train_y.tolist() == [0, 0, 0, 0, 1, 1, 1, 1] and dataset.test_y.tolist() == [0, 0, 1, 1]
    assert np.array_equal(dataset.test_x, COLOURS[[10, 8, 11, 9]])  # sorted by name: 10.PNG, 8.PNG
    scaled = dataset.train_x / 255
    assert np.allclose(dataset.mean, scaled.mean(axis=(0, 1, 2)), rtol=0, atol=1e-12)
    assert (dataset.padding, dataset.flip) == (0, False)
    assert dataset.notes[0] == f"your own pictures from {tmp_path}"


def test_without_a_split_a_fifth_of_each_class_is_for_testing(tmp_path):
    for n in range(30):
        save(tmp_path / f"class {n % 3}" / f"{n:02}.png", COLOURS[n])
    save(tmp_path / "class 3" / "one.png", COLOURS[0])
    save(tmp_path / "class 3" / "two.png", COLOURS[1])
    dataset = data.load(f"folder:{tmp_path}")
    assert np.bincount(dataset.train_y).tolist() == [8, 8, 8, 1]
    assert np.bincount(dataset.test_y).tolist() == [2, 2, 2, 1]
    again = data.load(f"folder:{tmp_path}", seed=1)
    assert np.array_equal(dataset.test_x, again.test_x)
    every_pixel = np.sort(np.concatenate([dataset.train_x, dataset.test_x]).reshape(32, -1), axis=0)
    assert np.array_equal(every_pixel, np.sort(np.concatenate([COLOURS, COLOURS[:2]]).reshape(32, -1), axis=0))
    assert "one picture in 5 of each class is for testing (seed 0): there is no test folder" in dataset.notes


def test_jpeg_pictures_are_read(tmp_path):
    split_folder(tmp_path)
    smooth = np.broadcast_to(np.arange(0, 180, 20, dtype=np.uint8)[None, :, None], (6, 9, 3))
    save(tmp_path / "train" / "cat" / "0.jpeg", smooth, quality=95)
    save(tmp_path / "train" / "cat" / "00.JPG", smooth, quality=95)
    dataset = data.load(f"folder:{tmp_path}")
    assert len(dataset.train_y) == 10
    assert (abs(dataset.train_x[[0, 2]].astype(int) - smooth) <= 8).all()


def test_grey_pictures_have_one_channel_unless_one_is_in_colour(tmp_path):
    for n in range(6):
        save(tmp_path / ("train", "test")[n % 2] / "cat" / f"{n}.png", COLOURS[n, ..., 0])
        save(tmp_path / ("train", "test")[n % 2] / "owl" / f"{n}.png", np.where(COLOURS[n, ..., 0] > 99, 255, 0) > 0)
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.channels == 1 and np.array_equal(dataset.train_x[0], COLOURS[0, ..., :1])
    assert set(dataset.train_x[3:].flat) == {0, 255}
    save(tmp_path / "train" / "cat" / "7.png", COLOURS[7])
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.channels == 3 and np.array_equal(dataset.train_x[0], COLOURS[0, ..., :1].repeat(3, axis=2))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_pictures_with_an_opacity_that_hides_nothing(tmp_path, mode):
    split_folder(tmp_path)
    path = save(tmp_path / "train" / "cat" / "0.png", COLOURS[0], mode)
    expected = np.asarray(Image.open(path).convert("RGB"))
    dataset = data.load(f"folder:{tmp_path}")
    assert np.array_equal(dataset.train_x[0], expected)


def test_a_picture_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right
    split_folder(tmp_path)
    save(tmp_path / "train" / "cat" / "0.png", np.ascontiguousarray(np.rot90(COLOURS[0])), exif=exif)
    assert np.array_equal(data.load(f"folder:{tmp_path}").train_x[0], COLOURS[0])


def test_hidden_and_other_files_are_passed_over(tmp_path):
    split_folder(tmp_path)
    (tmp_path / "train" / "cat" / "notes.txt").write_text("mine")
    (tmp_path / "train" / "cat" / "._0.png").write_text("not a picture")
    (tmp_path / "train" / ".thumbnails").mkdir()
    assert len(data.load(f"folder:{tmp_path}").train_y) == 8


def transparent(path: Path) -> Path:
    pixels = np.concatenate([COLOURS[0], np.full((6, 9, 1), 255, np.uint8)], axis=2)
    pixels[0, 0, 3] = 254
    return save(path, pixels)


def truncated(path: Path) -> Path:
    save(path, COLOURS[0])
    path.write_bytes(path.read_bytes()[:-40])
    return path


def written(content: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return write


WRONG = [
    ("another size", lambda path: save(path, COLOURS[0, :5]), "is 9×6 pixels and"),
    ("transparent", transparent, "is transparent in places"),
    ("16 bits", lambda path: save(path, COLOURS[0, ..., 0].astype(np.uint16) * 257), "pixels of mode I"),
    ("cut short", truncated, "cannot be read as a PNG or JPEG picture (image file is truncated"),
    ("text", written(b"hello"), "cannot be read as a PNG or JPEG picture (cannot identify image file"),
    ("empty", written(b""), "cannot be read as a PNG or JPEG picture"),
    ("a GIF", lambda path: save(path, COLOURS[0], format="GIF"), "cannot be read as a PNG or JPEG picture"),
]


@pytest.mark.parametrize(("spoil", "part"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_picture_that_is_none(tmp_path, spoil, part):
    split_folder(tmp_path)
    spoil(tmp_path / "train" / "cat" / "0.png")
    message = refused(tmp_path)
    assert part in message and "train/cat/0.png" in message


def test_a_picture_too_large_to_open(tmp_path, monkeypatch):
    split_folder(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)  # Pillow itself only warns up to twice as many
    assert "decompression bomb" in refused(tmp_path)


def test_a_link_to_nothing(tmp_path):
    split_folder(tmp_path)
    os.symlink(tmp_path / "nothing", tmp_path / "train" / "cat" / "a.png")
    assert "train/cat/a.png cannot be read" in refused(tmp_path)


def test_folders_that_are_no_data_set(tmp_path):
    assert "does not exist; lay it out as PATH/train/CLASS" in refused(tmp_path / "none")
    (tmp_path / "file").write_text("")
    assert "is a file, not a folder" in refused(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert "has no folders, one for each class" in refused(tmp_path / "empty")
    save(tmp_path / "half" / "train" / "cat" / "0.png", COLOURS[0])
    assert "has train/ only" in refused(tmp_path / "half")
    save(tmp_path / "one" / "cat" / "0.png", COLOURS[0])
    assert "no picture is for testing" in refused(tmp_path / "one")


def test_classes_without_pictures_and_without_training(tmp_path):
    split_folder(tmp_path)
    (tmp_path / "train" / "dog").mkdir()
    assert f"{tmp_path}/train/dog holds no picture (.png, .jpg, .jpeg)" in refused(tmp_path)
    (tmp_path / "train" / "dog").rmdir()
    save(tmp_path / "test" / "cats" / "0.png", COLOURS[0])
    assert f"{tmp_path}/test/cats is of a class that {tmp_path}/train lacks; did you mean 'cat'?" in refused(tmp_path)


def test_without_pillow_the_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    assert "reading pictures needs Pillow: in the clone, pip install -e '.[pictures]'." in refused(tmp_path)


def test_a_path_without_its_prefix(tmp_path):
    with pytest.raises(UserError, match=f"did you mean 'folder:{tmp_path}'"):
        data.load(str(tmp_path))
