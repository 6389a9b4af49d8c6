"""Where results go is looked at before the work."""

from __future__ import annotations

import os
import stat

import pytest

from minilocal.errors import UserError
from minilocal.record.output import check_output


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "page.html").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("", "file", "--out is empty"),
        ("folder", "file", "is a folder: give the name of a file"),
        ("pipe", "file", "is a device or a pipe"),
        ("file/new", "file", "/file is a file, not a folder"),
        ("file/new/er", "folder", "/file is a file, not a folder"),
        ("file", "folder", "/file is a file, not a folder"),
        ("nowhere/new", "file", "there is no folder nowhere; create it first"),
        ("loop", "file", "Too many levels of symbolic links"),
        ("n" * 256, "folder", "more than 255 bytes"),
        ("folder", "folder", "page.html is a folder"),
        ("a\0b", "file", "null character"),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path, path, kind, message):
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(UserError, match=message) as caught:
        check_output(path, kind, names=("page.html",))
    assert "\n" not in str(caught.value) and sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("new", "file"),
        ("file", "file"),
        ("dangling", "file"),
        ("folder/new", "file"),
        ("a/b/c", "folder"),
        ("folder", "either"),
    ],
)
def test_what_can_be_written_is_let_through_and_nothing_is_left(tmp_path, path, kind):
    before = sorted(os.listdir(tmp_path))
    check_output(path, kind)
    assert sorted(os.listdir(tmp_path)) == before and (tmp_path / "file").read_text() == "mine"


def test_the_folder_of_a_file_may_be_made(tmp_path):
    check_output("a/b/new", makes_folder=True)
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may make a device")
def test_a_device_is_not_replaced(tmp_path):
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with pytest.raises(UserError, match="is a device or a pipe"):
        check_output("null")
