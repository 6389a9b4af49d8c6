"""Run folders found by path, by pattern and below other folders."""

from __future__ import annotations

import os

import pytest

from minilocal import UserError, record


def runs_at(*folders):
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")


def test_folders_of_folders_are_searched_in_the_order_of_their_numbers(tmp_path):
    runs_at(tmp_path / "s/run-10", tmp_path / "s/run-2", tmp_path / "s/deep/er/run-1")
    (tmp_path / "s/nothing").mkdir()
    in_order = [str(p.relative_to(tmp_path)) for p in record.run_folders([tmp_path])]
    assert in_order == ["s/deep/er/run-1", "s/run-2", "s/run-10"]


def test_a_run_counts_once_and_is_not_searched(tmp_path):
    runs_at(tmp_path / "a", tmp_path / "a/inner")
    os.symlink(tmp_path / "a", tmp_path / "link")
    assert record.run_folders([tmp_path, tmp_path / "a", f"{tmp_path}/*", tmp_path / "link"]) == [tmp_path / "a"]


def test_a_pattern_names_folders(tmp_path):
    runs_at(tmp_path / "bp-seed0", tmp_path / "bp-seed1", tmp_path / "gll-seed0", tmp_path / "odd[1]")
    assert [p.name for p in record.run_folders([f"{tmp_path}/bp-seed?"])] == ["bp-seed0", "bp-seed1"]
    assert [p.name for p in record.run_folders([tmp_path / "odd[1]"])] == ["odd[1]"]  # a name first, then a pattern


def test_what_is_no_folder_is_refused(tmp_path):
    runs_at(tmp_path / "a")
    with pytest.raises(UserError, match="there is no such folder"):
        record.run_folders([tmp_path / "b*"])
    with pytest.raises(UserError, match=r"config.json is a file: give run folders"):
        record.run_folders([tmp_path / "a/config.json"])
