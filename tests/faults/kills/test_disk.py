"""What the model of a power cut leaves: bytes by the file's fsync, names by the folder's."""

from __future__ import annotations

import os

import pytest

from tests.faults.kills.disk import CUTS, Disk, content, left, put


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").write_bytes(b"old")
    return tmp_path / "run"


@pytest.fixture
def disk(folder):
    return Disk(folder, folder.parent / "kept")


def after(disk):
    """What each cut leaves, in the order of CUTS."""
    return [left(disk.folder, disk.kept, cut) for cut in CUTS]


def test_what_was_there_stays(disk):
    assert after(disk) == [{"old": b"old"}] * 3


def test_a_file_that_nobody_synced_has_a_name_at_most(disk):
    (disk.folder / "new").write_bytes(b"1234")
    assert after(disk) == [{"old": b"old"}, {"old": b"old", "new": b""}, {"old": b"old", "new": b"12"}]


def test_a_synced_file_is_lost_with_its_name(disk):
    (disk.folder / "new").write_bytes(b"1234")
    disk.synced(disk.folder / "new")
    whole = {"old": b"old", "new": b"1234"}
    assert after(disk) == [{"old": b"old"}, whole, whole]
    disk.synced(disk.folder)
    assert after(disk) == [whole] * 3


def test_a_rename_is_undone_until_the_folder_is_synced(disk):
    (disk.folder / "new").write_bytes(b"1234")
    disk.synced(disk.folder / "new")
    disk.synced(disk.folder)
    os.replace(disk.folder / "new", disk.folder / "old")
    assert after(disk) == [{"old": b"old", "new": b"1234"}, {"old": b"1234"}, {"old": b"1234"}]
    disk.synced(disk.folder)
    assert after(disk) == [{"old": b"1234"}] * 3


def test_what_is_appended_is_lost_or_torn_until_the_file_is_synced(disk):
    with open(disk.folder / "old", "ab") as file:
        file.write(b"5678")
    assert after(disk) == [{"old": b"old"}, {"old": b"old"}, {"old": b"old56"}]
    disk.synced(disk.folder / "old")
    assert after(disk) == [{"old": b"old5678"}] * 3


def test_what_is_written_in_place_is_lost_or_torn(disk):
    (disk.folder / "old").write_bytes(b"123456")
    assert after(disk) == [{"old": b"old"}, {"old": b"old"}, {"old": b"123"}]


def test_a_removed_file_comes_back_until_the_folder_is_synced(disk):
    (disk.folder / "old").unlink()
    assert after(disk) == [{"old": b"old"}, {}, {}]


def test_another_file_never_takes_the_place_of_a_removed_one(disk):
    """Its inode's number is not given away while the disk still has a name for it."""
    (disk.folder / "old").unlink()
    for number in range(20):
        (disk.folder / f"new{number}").write_bytes(b"other")
        disk.synced(disk.folder / f"new{number}")
    assert left(disk.folder, disk.kept, "lost") == {"old": b"old"}


def test_a_new_folder_is_lost_until_the_one_above_is_synced(tmp_path):
    run = tmp_path / "runs" / "new"
    disk = Disk(run, tmp_path / "kept")
    run.mkdir(parents=True)
    disk.created(run.parent)
    disk.created(run)
    disk.synced(run)
    assert after(disk) == [None, {}, {}]
    disk.synced(run.parent)
    assert after(disk)[0] is None, "the folder above it is not on the disk yet"
    disk.synced(tmp_path)
    assert after(disk) == [{}] * 3


def test_the_folder_is_put_as_it_was_left(folder):
    put(folder, {"a": b"1"})
    assert content(folder) == {"a": b"1"}
    put(folder, None)
    assert content(folder) is None
