"""STL-10's archive is decompressed once: what is kept beside it is used for that archive only, and only whole."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minilocal.data import DataSet, copies
from minilocal.data.kept import path_of
from minilocal.data.layout import Official
from minilocal.data.official import STL10
from minilocal.errors import UserError
from tests.data.conftest import pack

NAMES = "airplane bird car cat deer dog horse monkey ship truck"
FEW = replace(STL10, train_counts=(1,) * 10, test_counts=(1,) * 10)
ARCHIVE = "stl10_binary.tar.gz"


def files(seed: int) -> dict[str, bytes]:
    """Files of 10 training and 10 test images, in the official format, with unlabelled ones."""
    rng = np.random.default_rng(seed)
    result = {"unlabeled_X.bin": rng.bytes(1000), "class_names.txt": NAMES.replace(" ", "\n").encode()}
    for part in ("train", "test"):
        result[f"{part}_X.bin"] = rng.bytes(10 * 3 * 96 * 96)
        result[f"{part}_y.bin"] = (rng.permutation(10) + 1).astype(np.uint8).tobytes()
    return result


@pytest.fixture
def archive(tmp_path):
    return pack(tmp_path / ARCHIVE, files(0), "stl10_binary")


def load(folder: Path, reads: list[Path] | None = None) -> DataSet:
    """The data set; `reads` gets the path of every archive that is decompressed."""

    def read(official, layout, path):
        if reads is not None:
            reads.append(path)
        return STL10.read(official, layout, path)

    return copies.load(replace(FEW, read=read), folder, download=False)


def same(a: DataSet, b: DataSet) -> bool:
    parts = ("train_x", "train_y", "test_x", "test_y")
    return all(np.array_equal(getattr(a, p), getattr(b, p)) for p in parts) and a.classes == b.classes


def test_the_second_run_decompresses_nothing(archive, monkeypatch):
    reads: list[Path] = []
    first = load(archive.parent, reads)
    assert f"unpacked into {path_of(archive)}, 1 MB, for later runs" in first.notes
    assert sorted(p.name for p in archive.parent.iterdir()) == [ARCHIVE, f"{ARCHIVE}.kept.npz"]
    monkeypatch.setattr(copies, "verdict", lambda *copy: pytest.fail("the archive is read for its checksum"))
    second = load(archive.parent, reads)
    assert reads == [archive] and same(first, second)
    assert second.notes[-1] == f"its images were unpacked into {path_of(archive)}"
    assert second.notes[:3] == first.notes[:3] and "checksum differs" in first.notes[1]
    assert second.train_x.dtype == np.uint8 and second.train_x.flags.c_contiguous


def test_what_is_kept_of_another_archive_is_not_used(archive):
    load(archive.parent)
    before = archive.stat()
    pack(archive, files(1), "stl10_binary")
    os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    reads: list[Path] = []
    dataset = load(archive.parent, reads)
    assert reads == [archive] and "is of another archive" in dataset.notes[-1]
    path_of(archive).unlink()
    assert same(dataset, load(archive.parent))


@pytest.mark.parametrize("where", ["one byte", "cut short", "empty", "other arrays", "other labels"])
def test_a_damaged_file_is_written_anew(archive, where):
    first, file = load(archive.parent), path_of(archive)
    content, intact = bytearray(file.read_bytes()), file.read_bytes()
    if where == "one byte":
        content[len(content) // 2] ^= 1
    elif where == "cut short":
        content = content[: len(content) // 2]
    elif where == "empty":
        content.clear()
    else:
        with np.load(file) as arrays:
            parts = dict(arrays)
        change = {"x": parts["x"].astype("f4")} if where == "other arrays" else {"y": np.zeros_like(parts["y"])}
        np.savez(file, **{**parts, **change})
        content = bytearray(file.read_bytes())
    file.write_bytes(content)
    reads: list[Path] = []
    dataset = load(archive.parent, reads)
    assert reads == [archive] and same(first, dataset)
    assert "for later runs (the one that was there is damaged: " in dataset.notes[-1]
    assert file.read_bytes() == intact and load(archive.parent, reads) and reads == [archive]


def test_where_no_file_can_be_written_the_archive_is_read(archive, monkeypatch):
    def refuse(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    dataset = load(archive.parent)
    note = f"unpacked; {path_of(archive)} cannot be written: No space left on device"
    assert dataset.notes[-1] == note and list(archive.parent.iterdir()) == [archive]


def test_nothing_is_kept_of_a_damaged_archive_nor_of_unpacked_files(archive):
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(UserError, match="damaged or cut short"):
        load(archive.parent)
    assert list(archive.parent.iterdir()) == [archive]


def test_only_stl10_is_kept():
    from minilocal.data.official import FORMATS

    kept: list[Official] = [official for official in FORMATS.values() if official.unpack_once]
    assert kept == [STL10]
