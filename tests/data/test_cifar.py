"""CIFAR files in every official form give the same arrays, and damaged ones a clear line."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import pickle
import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest

from minilocal import data
from minilocal.data import container, copies
from minilocal.data.official import CIFAR10, FORMATS
from minilocal.errors import UserError
from tests.data.conftest import random_images, small


def layout_of(images, pickled):
    return next(layout for layout in images.cifar.layouts if layout.pickled == pickled)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
@pytest.mark.parametrize("pickled", [True, False], ids=["python", "binary"])
@pytest.mark.parametrize("which", ["ten", "hundred"])
def test_every_form_gives_the_same_images(which, pickled, packed, tmp_path, write, request):
    images = request.getfixturevalue(which)
    layout = layout_of(images, pickled)
    path = write(tmp_path, layout, images.files(layout), packed)
    dataset, n = copies.load(images.cifar, tmp_path, download=False), images.cifar.train_images
    assert np.array_equal(dataset.train_x, images.x[:n]) and np.array_equal(dataset.test_x, images.x[n:])
    assert np.array_equal(dataset.train_y, images.y[:n]) and np.array_equal(dataset.test_y, images.y[n:])
    assert dataset.train_y.dtype == np.int64 and dataset.train_x.dtype == np.uint8
    assert dataset.classes == tuple(images.names)
    assert (dataset.padding, dataset.pad_mode, dataset.flip) == (4, "constant", True)
    assert dataset.notes[0] == f"read from {path}"
    assert "checksum differs from the official" in dataset.notes[1] and "not verified" in dataset.notes[1]


def test_the_unpacked_folder_itself_may_be_named(ten, tmp_path, write):
    for pickled in (True, False):
        layout = layout_of(ten, pickled)
        folder = write(tmp_path / str(pickled), layout, ten.files(layout), False)
        assert len(copies.load(ten.cifar, folder, False).train_x) == 100


def test_the_notes_say_what_a_checksum_says(ten, tmp_path, write):
    for pickled, algorithm, word in ((False, "sha256", "SHA-256"), (True, "md5", "MD5")):
        layout = layout_of(ten, pickled)
        files = ten.files(layout)
        folder = write(tmp_path, layout, files, False)
        archive = write(tmp_path, layout, files, True)
        sums = {name: f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}" for name, data in files.items()}
        sums[layout.archive] = "sha256:" + hashlib.sha256(archive.read_bytes()).hexdigest()
        official = replace(layout, sums=sums)
        assert copies.verdict(official, folder) == f"{word} matches the official files"
        assert copies.verdict(official, archive) == "SHA-256 matches the official archive"
        assert copies.verdict(layout, folder) == "checksum differs from the official files (6 of 6): not verified"
        assert copies.verdict(layout, archive) == "checksum differs from the official archive: not verified"
        unknown = replace(layout, sums={})
        assert copies.verdict(unknown, archive) == "no checksum of the official archive is known: not verified"


def test_what_is_missing_is_fetched_checked_and_read(ten, tmp_path, write, sites):
    layout = layout_of(ten, False)
    archive = write(tmp_path / "there", layout, ten.files(layout), True).read_bytes()
    site = sites(content=archive)
    sums = {layout.archive: "sha256:" + hashlib.sha256(archive).hexdigest()}
    known = replace(layout, sources=(site.url,), sums=sums, lengths={layout.archive: len(archive)})
    small = replace(ten.cifar, layouts=(known, *ten.cifar.layouts[1:]))
    for _ in range(2):
        dataset = copies.load(small, tmp_path / "here", download=True)
        assert np.array_equal(dataset.test_x, ten.x[100:])
        assert dataset.notes[1] == "SHA-256 matches the official archive"
    assert len(site.asked) == 1


def test_nothing_found_and_nothing_to_be_fetched(ten, tmp_path):
    with pytest.raises(UserError) as caught:
        copies.load(ten.cifar, tmp_path, download=False)
    message = str(caught.value)
    assert (
        "\n" not in message and str(tmp_path) in message and f"minilocal data cifar10 --data-dir {tmp_path}" in message
    )
    for name in ("cifar-10-batches-bin/", "cifar-10-binary.tar.gz", "cifar-10-batches-py/", "cifar-10-python.tar.gz"):
        assert name in message


def refused(images, folder):
    with pytest.raises(UserError) as caught:
        copies.load(images.cifar, folder, download=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def spoiled(name, change):
    return lambda files: {**files, name: change(files[name])}


BINARY = [
    ("cut short", spoiled("data_batch_2.bin", lambda b: b[:-1]), "not 20 records of 3073"),
    ("one record more", spoiled("data_batch_2.bin", lambda b: b + b[:3073]), "at most"),
    ("a label of 10", spoiled("test_batch.bin", lambda b: b"\n" + b[1:]), "the label 10"),
    ("a label changed", spoiled("test_batch.bin", lambda b: bytes([(b[0] + 1) % 10]) + b[1:]), "test images of class"),
    ("a file missing", lambda files: {k: v for k, v in files.items() if "_3" not in k}, "without data_batch_3.bin"),
    ("another data set's names", spoiled("batches.meta.txt", lambda b: b + b"more\n"), "lists 11 class names"),
]


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
@pytest.mark.parametrize(("spoil", "part"), [case[1:] for case in BINARY], ids=[case[0] for case in BINARY])
def test_a_damaged_binary_file_is_refused(ten, tmp_path, write, packed, spoil, part):
    layout = layout_of(ten, False)
    write(tmp_path, layout, spoil(ten.files(layout)), packed)
    assert part in refused(ten, tmp_path)


def changed(key, value):
    def change(content):
        batch = pickle.loads(content, encoding="bytes")
        return pickle.dumps({**batch, key: value(batch.get(key))}, 2)

    return change


PYTHON = [
    ("cut short", lambda b: b[: len(b) // 2], "damaged"),
    ("no pickle", lambda b: b"\x00" * 100, "damaged"),
    ("a list", lambda b: pickle.dumps([1, 2], 2), "holds a list, not a dict"),
    ("fewer images", changed(b"data", lambda x: x[:-1]), "not 20 × 3072 bytes"),
    ("wider numbers", changed(b"data", lambda x: x.astype(np.int16)), "'i2'"),
    ("objects", changed(b"data", lambda x: x.astype(object)), "'O8'"),
    ("no images", changed(b"data", lambda x: None), "NoneType for 'data'"),
    ("no labels", changed(b"labels", lambda y: None), "no list of 20 integers 'labels'"),
    ("too few labels", changed(b"labels", lambda y: y[:-1]), "no list of 20 integers 'labels'"),
    ("labels of text", changed(b"labels", lambda y: [b"cat"] * 20), "no list of 20 integers 'labels'"),
    ("a negative label", changed(b"labels", lambda y: [-1, *y[1:]]), "labels from -1"),
    ("a huge label", changed(b"labels", lambda y: [1 << 80, *y[1:]]), "opcode LONG1"),
    ("a key that is no text", changed(7, lambda _: 7), "a key that is no text"),
    ("much too long", lambda b: b + b"x" * 200_000, "at most"),
]


@pytest.mark.parametrize(("change", "part"), [case[1:] for case in PYTHON], ids=[case[0] for case in PYTHON])
def test_a_damaged_python_file_is_refused(ten, tmp_path, write, change, part):
    layout = layout_of(ten, True)
    write(tmp_path, layout, spoiled("data_batch_4", change)(ten.files(layout)), False)
    message = refused(ten, tmp_path)
    assert part in message and "data_batch_4" in message


def test_column_major_arrays_are_read(ten, tmp_path, write):
    layout = layout_of(ten, True)
    files = spoiled("test_batch", changed(b"data", np.asfortranarray))(ten.files(layout))
    write(tmp_path, layout, files, False)
    assert np.array_equal(copies.load(ten.cifar, tmp_path, False).test_x, ten.x[100:])


def test_class_names_may_be_missing_and_this_is_said(ten, tmp_path, write):
    layout = layout_of(ten, False)
    files = ten.files(layout)
    del files["batches.meta.txt"]
    write(tmp_path, layout, files, False)
    dataset = copies.load(ten.cifar, tmp_path, False)
    assert dataset.classes == tuple("0123456789")
    assert "classes are numbered" in dataset.notes[-1]


@pytest.mark.parametrize("keep", [10, 0.3, 0.97], ids=["header", "third", "nearly all"])
def test_an_archive_cut_short_is_refused(ten, tmp_path, write, keep):
    layout = layout_of(ten, False)
    path = write(tmp_path, layout, ten.files(layout), True)
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    assert str(path) in refused(ten, tmp_path)


def test_an_archive_that_is_none_or_has_a_flipped_bit_is_refused(ten, tmp_path, write):
    layout = layout_of(ten, False)
    path = write(tmp_path, layout, ten.files(layout), True)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0x10
    path.write_bytes(whole)
    assert str(path) in refused(ten, tmp_path)
    path.write_bytes(b"<html>Sign in</html>")
    assert "damaged" in refused(ten, tmp_path)


def test_a_flipped_bit_that_only_the_checksum_of_gzip_shows(ten, tmp_path, write):
    """Stored, not deflated: the tar inside and the sizes are right, and one pixel is not."""
    layout = layout_of(ten, False)
    path = write(tmp_path, layout, ten.files(layout), True)
    stored = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), 0))
    path.write_bytes(stored)
    assert len(copies.load(ten.cifar, tmp_path, False).train_x) == 100
    stored[len(stored) // 2] ^= 1
    path.write_bytes(stored)
    message = refused(ten, tmp_path)
    assert "CRC check failed" in message and "delete it and fetch it again" in message
    stored[len(stored) // 2] ^= 1
    path.write_bytes(stored[:-9])  # every file of it is whole, and its checksum is missing
    assert "damaged or cut short" in refused(ten, tmp_path)


@pytest.mark.parametrize("packed", [lzma.compress, bz2.compress], ids=["xz", "bzip2"])
def test_a_damaged_archive_of_another_compression(ten, tmp_path, write, packed):
    layout = layout_of(ten, False)
    path = write(tmp_path, layout, ten.files(layout), True)
    content = bytearray(packed(gzip.decompress(path.read_bytes())))
    path.write_bytes(content)
    assert len(copies.load(ten.cifar, tmp_path, False).train_x) == 100
    for place in (len(content) // 2, -20):
        spoilt = bytearray(content)
        spoilt[place] ^= 4
        path.write_bytes(spoilt)
        assert str(path) in refused(ten, tmp_path)


def with_large_tables(content: bytes) -> bytes:
    """An xz whose first block states tables of two gigabytes: a byte of its header, and the header's checksum."""
    changed = bytearray(content)
    header = slice(12, 12 + 4 * content[12])  # behind the stream's own header; the block's begins with its length
    assert content[14:16] == b"\x21\x01"  # LZMA2, and one byte for the size of its tables
    changed[16] = 38
    changed[header.stop : header.stop + 4] = zlib.crc32(changed[header]).to_bytes(4, "little")
    return bytes(changed)


def test_every_stream_of_an_xz_is_held_to_its_tables(ten, tmp_path, write):
    """The first stream is as it should be: the second one is not."""
    layout = layout_of(ten, False)
    path = write(tmp_path, layout, ten.files(layout), True)
    content = gzip.decompress(path.read_bytes())
    first, second = (lzma.compress(content[part]) for part in (slice(9000), slice(9000, None)))
    path.write_bytes(first + second)
    assert len(copies.load(ten.cifar, tmp_path, False).train_x) == 100
    path.write_bytes(first + with_large_tables(second))
    assert "needs much memory to be unpacked" in refused(ten, tmp_path)


def other_copies(images, tmp_path, write):
    """A damaged binary folder, an incomplete Python folder, and what makes the Python one whole."""
    binary, python = layout_of(images, False), layout_of(images, True)
    write(tmp_path, binary, spoiled("data_batch_2.bin", lambda b: b[:-1])(images.files(binary)), False)
    whole = images.files(python)
    write(tmp_path, python, {name: data for name, data in whole.items() if name != "test_batch"}, False)
    return binary, python, whole


def test_a_copy_that_is_no_good_does_not_hide_one_that_is(ten, tmp_path, write):
    binary, python, whole = other_copies(ten, tmp_path, write)
    path = write(tmp_path, python, whole, True)
    dataset = copies.load(ten.cifar, tmp_path, download=False)
    assert np.array_equal(dataset.test_x, ten.x[100:]) and dataset.notes[0] == f"read from {path}"
    assert dataset.notes[-1].startswith(f"passed over: {tmp_path / binary.folder}/data_batch_2.bin has")


def test_of_copies_that_are_all_no_good_the_most_complete_is_named(ten, tmp_path, write):
    binary, python, _ = other_copies(ten, tmp_path, write)
    message = refused(ten, tmp_path)
    assert message.startswith(f"{tmp_path / binary.folder}/data_batch_2.bin has")
    assert message.endswith(f"{tmp_path / python.folder} cannot be used either.")
    (tmp_path / binary.folder / "data_batch_1.bin").unlink()
    (tmp_path / binary.folder / "data_batch_3.bin").unlink()
    assert refused(ten, tmp_path).startswith(f"{tmp_path / python.folder} is incomplete, without test_batch:")


def test_an_empty_folder_is_no_copy(ten, tmp_path, write):
    binary, python = layout_of(ten, False), layout_of(ten, True)
    (tmp_path / binary.folder).mkdir()
    assert f"{binary.folder}/ (without its files), " in refused(ten, tmp_path)
    path = write(tmp_path, python, ten.files(python), False)
    assert copies.load(ten.cifar, tmp_path, download=False).notes[0] == f"read from {path}"
    assert copies.copies(ten.cifar, tmp_path) == [(python, path)]


def test_links_in_an_archive_are_not_followed_and_nothing_is_unpacked(ten, tmp_path, write):
    import tarfile

    layout = layout_of(ten, False)
    files = ten.files(layout)
    test = files.pop("test_batch.bin")
    (tmp_path / "outside").write_bytes(test)
    path = tmp_path / layout.archive
    with tarfile.open(write(tmp_path / "in", layout, files, True)) as inside, tarfile.open(path, "w:gz") as archive:
        for member in inside:
            archive.addfile(member, inside.extractfile(member))
        link = tarfile.TarInfo("x/test_batch.bin")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
        archive.addfile(link)
    before = sorted(p.name for p in tmp_path.iterdir())
    assert "without test_batch.bin" in refused(ten, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_file_twice_in_an_archive_is_refused(ten, tmp_path):
    import io
    import tarfile

    layout = layout_of(ten, False)
    with tarfile.open(tmp_path / layout.archive, "w:gz") as archive:
        for _ in range(2):
            member = tarfile.TarInfo("test_batch.bin")
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    with pytest.raises(UserError, match="twice"):
        list(container.files(tmp_path / layout.archive, {"test_batch.bin": 10}))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(ten, tmp_path, write):
    layout = layout_of(ten, False)
    path = write(tmp_path, layout, ten.files(layout), True)
    path.chmod(0)
    assert "Permission denied" in refused(ten, tmp_path)


def test_the_long_tailed_data_set_is_read_from_its_files(tmp_path, write, monkeypatch):
    images = random_images(small(CIFAR10, 50))
    layout = layout_of(images, False)
    write(tmp_path, layout, images.files(layout), False)
    monkeypatch.setitem(FORMATS, "cifar10", images.cifar)
    dataset = data.load("cifar10-lt", dir=tmp_path, download=False, seed=7)
    assert np.bincount(dataset.train_y).tolist() == [50, 38, 29, 22, 17, 13, 10, 7, 6, 4]
    assert dataset.name == "cifar10-lt" and np.array_equal(dataset.test_x, images.x[500:])
    again = data.load("cifar10-lt", dir=tmp_path, download=False, seed=8)
    assert np.array_equal(dataset.train_x, again.train_x)  # the same images for every seed


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_official_facts_are_complete(name):
    official = FORMATS[name]
    for layout in official.layouts:
        assert set(layout.sums) == {layout.archive, *layout.train, *layout.test}
        for known in layout.sums.values():
            algorithm, _, digest = known.partition(":")
            assert len(bytes.fromhex(digest)) == hashlib.new(algorithm).digest_size
        assert official.train_images % len(layout.train) == 0
    first = official.layouts[0]
    assert first.archive and first.lengths[first.archive] and not first.pickled
    assert first.sources[0] == "https://www.cs.toronto.edu/~kriz/"
    assert all(url.startswith("https://") and url.endswith("/") for url in first.sources)


@pytest.mark.parametrize("member", ["../outside/data_batch_1.bin", "/data_batch_1.bin", "x/../../data_batch_1.bin"])
def test_an_archive_with_a_path_outside_is_refused(ten, tmp_path, member):
    import io
    import tarfile

    layout = layout_of(ten, False)
    with tarfile.open(tmp_path / layout.archive, "w:gz") as archive:
        entry = tarfile.TarInfo(member)
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))
    assert f"holds {member!r}, a path outside its folder" in refused(ten, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [layout.archive]


@pytest.mark.parametrize("form", ["folder", "unpacked folder", "file", "address of the folder", "address of the file"])
def test_a_source_of_the_users_own_is_used_in_place_of_the_official_one(form, ten, tmp_path, write, sites):
    layout = layout_of(ten, False)
    archive = write(tmp_path / "mirror", layout, ten.files(layout), True)
    content = archive.read_bytes()
    site = sites(content=content)
    folder = site.url.rpartition("/")[0] + "/"
    sources = {
        "folder": str(archive.parent),
        "unpacked folder": str(archive.parent.parent),
        "file": str(archive),
        "address of the folder": folder,
        "address of the file": folder + archive.name,
    }
    if form == "unpacked folder":
        (tmp_path / layout.folder).mkdir()
        archive.rename(tmp_path / layout.folder / archive.name)
    sums = {layout.archive: "sha256:" + hashlib.sha256(content).hexdigest()}
    official = replace(layout, sources=("http://127.0.0.1:1/",), sums=sums, lengths={layout.archive: len(content)})
    official = replace(ten.cifar, layouts=(official,))
    dataset = copies.load(official, tmp_path / "here", download=True, source=sources[form])
    assert np.array_equal(dataset.test_x, ten.x[100:]) and (tmp_path / "here" / archive.name).is_file()
    assert len(site.asked) == ("address" in form)


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("ftp://a/b", "is no address"),
        ("file:///etc", "is no address"),
        ("/proc/nowhere", "no such file"),
        (".", "has no cifar"),
    ],
)
def test_a_source_that_is_none(source, word, ten, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=word):
        copies.load(ten.cifar, tmp_path / "here", download=True, source=source)
    for name, options in (("digits", {}), ("npz:x", {}), ("cifar10", {"download": False})):
        with pytest.raises(UserError, match="leave one of them out"):
            data.load(name, dir=tmp_path, source=source, **options)


def extended_header(kind: bytes, length: int) -> bytes:
    """The block of tar that announces a long name (`L`) or PAX records (`x`) of this many bytes."""
    block = bytearray(512)
    block[:5], block[100:108], block[124:136] = b"././@", b"0000644\0", b"%011o\0" % length
    block[136:148], block[156:157], block[257:265] = b"0" * 11 + b"\0", kind, b"ustar  \0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("what", "content", "word"),
    [
        ("a long name", lambda: extended_header(b"L", 64 << 20) + bytes(64 << 20), "headers of more than"),
        ("PAX records", lambda: extended_header(b"x", 64 << 20) + bytes(64 << 20), "headers of more than"),
        (
            "PAX records of 8 GB, as they state",
            lambda: extended_header(b"x", (1 << 33) - 1) + bytes(512),
            "headers of more than",
        ),
        ("a member of zeros", lambda: extended_header(b"0", 64 << 20) + bytes(65 << 20), "times its size"),
        ("zeros behind the last member", lambda: bytes(64 << 20), "times its size"),
        ("members without end", lambda: extended_header(b"0", 0) * 5000, "more than 4096 members"),
    ],
)
def test_a_small_archive_takes_little_memory(what, content, word, tmp_path):
    path = tmp_path / CIFAR10.layouts[0].archive
    path.write_bytes(gzip.compress(content(), 1) if "8 GB" not in what else content())
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=word):
            list(container.files(path, {"data_batch_1.bin": 10}))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
