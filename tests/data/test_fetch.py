"""Fetching: resumed, checked, renamed last, and one line for everything that can go wrong."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from minilocal.data import download
from minilocal.data.fetch import fetch
from minilocal.errors import UserError

CONTENT = b"\x1f\x8b" + bytes(range(256)) * 2000
SUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


def get(folder: Path, *sites: Any, checksum: str | None = SUM, length: int | None = len(CONTENT)) -> Path:
    return fetch("file.tar.gz", [site.url for site in sites], folder, checksum, length)


def fault(folder: Path, *sites: Any, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        get(folder, *sites, **options)
    assert "\n" not in str(caught.value)
    assert not (folder / "file.tar.gz").exists()
    return str(caught.value)


def test_a_file_is_fetched_checked_and_put_in_place(tmp_path, sites):
    path = get(tmp_path / "new" / "folder", sites(content=CONTENT))
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["file.tar.gz"]


@pytest.mark.parametrize("ranges", [True, False], ids=["range honoured", "range ignored"])
def test_what_an_earlier_run_left_is_continued(tmp_path, sites, ranges):
    (tmp_path / "file.tar.gz.part").write_bytes(CONTENT[:1000])
    site = sites(content=CONTENT, ranges=ranges)
    assert get(tmp_path, site).read_bytes() == CONTENT
    assert site.asked == ["bytes=1000-"]


@pytest.mark.parametrize("with_length", [True, False], ids=["with length", "without length"])
def test_a_broken_connection_is_asked_for_the_rest(tmp_path, sites, with_length):
    site = sites(content=CONTENT, break_after=[5000, 7000], with_length=with_length)
    assert get(tmp_path, site).read_bytes() == CONTENT
    assert site.asked == [None, "bytes=5000-", "bytes=12000-"]


def test_a_source_that_keeps_breaking_is_left_and_the_next_one_continues(tmp_path, sites):
    broken, whole = sites(content=CONTENT, break_after=[100] * 9), sites(content=CONTENT)
    assert get(tmp_path, broken, whole).read_bytes() == CONTENT
    assert len(broken.asked) == 3
    assert whole.asked == ["bytes=300-"]


def test_an_interrupted_fetch_keeps_its_bytes_for_the_next_run(tmp_path, sites):
    site = sites(content=CONTENT, break_after=[100] * 3)
    message = fault(tmp_path, site)
    assert "ended after 300 of 512002 bytes" in message and "300 bytes are kept" in message
    assert get(tmp_path, site).read_bytes() == CONTENT
    assert site.asked[-1] == "bytes=300-"


def test_a_complete_part_is_checked_without_asking(tmp_path, sites):
    (tmp_path / "file.tar.gz.part").write_bytes(CONTENT)
    site = sites(content=CONTENT)
    assert get(tmp_path, site).read_bytes() == CONTENT
    assert site.asked == []


def test_a_wrong_start_is_found_by_the_checksum_and_fetched_anew(tmp_path, sites):
    (tmp_path / "file.tar.gz.part").write_bytes(b"x" * 1000)
    site = sites(content=CONTENT)
    assert get(tmp_path, site).read_bytes() == CONTENT
    assert site.asked == ["bytes=1000-", None]


def test_a_part_longer_than_the_file_is_dropped(tmp_path, sites):
    (tmp_path / "file.tar.gz.part").write_bytes(CONTENT + b"more")
    assert get(tmp_path, sites(content=CONTENT)).read_bytes() == CONTENT


def test_a_source_that_has_no_such_bytes_is_asked_for_the_whole_file(tmp_path, sites):
    (tmp_path / "file.tar.gz.part").write_bytes(CONTENT + b"more")
    site = sites(content=CONTENT)  # answers 416, and is the only source
    assert get(tmp_path, site, length=None).read_bytes() == CONTENT
    assert site.asked == ["bytes=512006-", None]
    (tmp_path / "file.tar.gz").unlink()
    assert "HTTP 416" in fault(tmp_path, sites(content=CONTENT, status=416))


def test_a_longer_part_is_overwritten_whole_where_the_range_is_ignored(tmp_path, sites):
    (tmp_path / "file.tar.gz.part").write_bytes(CONTENT + b"more")
    site = sites(content=CONTENT, ranges=False)
    assert get(tmp_path, site, length=None).read_bytes() == CONTENT
    assert len(site.asked) == 1


def test_a_wrong_checksum_is_refused_and_the_next_source_tried(tmp_path, sites):
    wrong = sites(content=CONTENT[:-1] + b"!")
    assert "another checksum" in fault(tmp_path, wrong)
    assert list(tmp_path.iterdir()) == []
    assert get(tmp_path, wrong, sites(content=CONTENT)).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"content_type": "text/html; charset=utf-8"}, "a web page"),
        ({"content": b"\n<!DOCTYPE html><p>Sign in" + b" " * (len(CONTENT) - 26)}, "a web page"),
        ({"content": CONTENT[:-7]}, f"has {len(CONTENT) - 7} bytes, the official one {len(CONTENT)}"),
        ({"status": 404}, "HTTP 404"),
        ({"status": 503}, "HTTP 503"),
    ],
)
def test_what_is_not_the_file_is_refused(tmp_path, sites, faults, message):
    assert message in fault(tmp_path, sites(**{"content": CONTENT, **faults}))


@pytest.mark.parametrize("with_length", [True, False], ids=["with length", "without length"])
@pytest.mark.parametrize("wrong", ["whole_range", "wrong_range"])
def test_an_answer_to_another_range_still_ends_well(tmp_path, sites, wrong, with_length):
    (tmp_path / "file.tar.gz.part").write_bytes(CONTENT[:1000])
    site = sites(content=CONTENT, with_length=with_length, **{wrong: True})
    assert get(tmp_path, site).read_bytes() == CONTENT
    assert site.asked == ["bytes=1000-", None]


@pytest.mark.parametrize("kept", [0, 1000])
def test_what_does_not_end_is_cut_off_and_dropped(tmp_path, sites, kept):
    (tmp_path / "file.tar.gz.part").write_bytes(CONTENT[:kept])
    endless = sites(content=CONTENT * 20, with_length=False)
    message = fault(tmp_path, endless)
    assert f"it sent more than {len(CONTENT)} bytes" in message
    assert f"{kept} bytes are kept" in message if kept else list(tmp_path.iterdir()) == []
    assert get(tmp_path, endless, sites(content=CONTENT)).read_bytes() == CONTENT


def test_a_length_that_is_not_known_is_bounded_too(tmp_path, sites, monkeypatch):
    monkeypatch.setattr(download, "LARGEST", 1000)
    message = fault(tmp_path, sites(content=CONTENT, with_length=False), length=None, checksum=None)
    assert "it sent more than 1000 bytes" in message


def test_a_byte_now_and_then_is_no_download(tmp_path, sites, monkeypatch):
    monkeypatch.setattr(download, "WINDOW", 0.1)
    message = fault(tmp_path, sites(content=CONTENT, drip=0.02))
    assert "fewer than 1000 bytes a second came" in message and "are kept" in message


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe"])
def test_what_is_no_file_in_place_of_the_part_is_not_touched(tmp_path, sites, kind):
    (tmp_path / "mine").write_text("mine")
    part = tmp_path / "file.tar.gz.part"
    if kind == "pipe":
        os.mkfifo(part)
    else:
        part.symlink_to("mine" if kind == "link" else "nowhere")
    assert "cannot be written" in fault(tmp_path, sites(content=CONTENT))
    assert (tmp_path / "mine").read_text() == "mine" and not (tmp_path / "nowhere").exists()


def test_a_source_that_ignores_ranges_and_breaks_early_is_asked_again(tmp_path, sites):
    """Fewer bytes are there after the attempt than before it, and yet it has received some."""
    (tmp_path / "file.tar.gz.part").write_bytes(CONTENT[:9000])
    site = sites(content=CONTENT, ranges=False, break_after=[5000])
    assert get(tmp_path, site).read_bytes() == CONTENT
    assert site.asked == ["bytes=9000-", "bytes=5000-"]


def test_a_server_that_does_not_answer_is_left(tmp_path, sites, monkeypatch):
    monkeypatch.setattr(download, "ANSWER", 0.1)
    silent = sites(content=CONTENT, silent=60)  # longer than any pause of a loaded machine
    assert "no answer within 0.1 seconds" in fault(tmp_path, silent)
    monkeypatch.setattr(download, "ANSWER", 20)
    monkeypatch.setattr(download, "STALL", 0.1)
    assert "timed out" in fault(tmp_path, silent)


def test_what_a_server_says_is_one_line_of_printable_text(tmp_path, sites):
    message = fault(tmp_path, sites(content=CONTENT, status=503, reason="come \x1b[2J back" + "!" * 300))
    assert "HTTP 503 come \\x1b[2J back!!!" in message and message.isprintable() and len(message) < 500


def test_a_file_of_this_machine_is_a_source(tmp_path):
    folder, source = tmp_path / "here", tmp_path / "copy.tar.gz"
    for content, word in ((CONTENT[:-1], "the official one"), (CONTENT[:-1] + b"!", "another checksum")):
        source.write_bytes(content)
        with pytest.raises(UserError, match=word):
            fetch("file.tar.gz", [source], folder, SUM, len(CONTENT))
    with pytest.raises(UserError, match="there is no such file"):
        fetch("file.tar.gz", [tmp_path / "none"], folder, SUM, len(CONTENT))
    assert list(folder.iterdir()) == [] and source.exists()
    source.write_bytes(CONTENT)
    assert fetch("file.tar.gz", [tmp_path / "none", source], folder, SUM, len(CONTENT)).read_bytes() == CONTENT
    assert source.exists() and [p.name for p in folder.iterdir()] == ["file.tar.gz"]


def test_no_server_no_source_and_no_address(tmp_path, sites):
    site = sites(content=CONTENT)
    site.url = "http://127.0.0.1:1/file.tar.gz"
    assert "refused" in fault(tmp_path, site)
    site.url = "no address"
    assert "unknown url type" in fault(tmp_path, site)
    assert "No source is known" in fault(tmp_path)


def test_without_a_checksum_nothing_is_resumed_and_the_length_decides(tmp_path, sites):
    (tmp_path / "file.tar.gz.part").write_bytes(b"x" * 1000)
    site = sites(content=CONTENT)
    assert get(tmp_path, site, checksum=None).read_bytes() == CONTENT
    assert site.asked == [None]
    (tmp_path / "file.tar.gz").unlink()
    assert "ended after 10 of" in fault(tmp_path, sites(content=CONTENT, break_after=[10]), checksum=None)


def test_a_file_that_is_there_is_not_fetched(tmp_path, sites):
    (tmp_path / "file.tar.gz").write_bytes(b"here")
    site = sites(content=CONTENT)
    assert get(tmp_path, site).read_bytes() == b"here"
    assert site.asked == []


def test_a_folder_that_cannot_take_it(tmp_path, sites):
    (tmp_path / "file").write_text("no folder")
    assert "cannot be written" in fault(tmp_path / "file" / "sub", sites(content=CONTENT))


def test_a_full_disk_is_said_and_is_no_fault_of_the_source(tmp_path, sites, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert "No space left on device" in fault(tmp_path, sites(content=CONTENT))


def test_no_progress_bar_off_a_terminal(tmp_path, sites, capfd):
    get(tmp_path, sites(content=CONTENT))
    assert capfd.readouterr().err == ""


def test_two_runs_that_start_together_fetch_once(tmp_path, sites):
    site = sites(content=CONTENT)
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: get(tmp_path, site), range(2)))
    assert all(path.read_bytes() == CONTENT for path in paths)
    assert len(site.asked) == 1 and [p.name for p in tmp_path.iterdir()] == ["file.tar.gz"]
