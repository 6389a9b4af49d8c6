"""A user's file as a module: what it says now, whatever bytecode there is, and no file of Python's beside it."""

from __future__ import annotations

import os
import sys

import pytest

from minilocal import rules, source
from minilocal.parallel.launcher import work


@pytest.fixture(autouse=True)
def bytecode_is_kept(monkeypatch):
    """As it is where the environment says nothing."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def of_the_same_second(path, text):
    """Write a text of the same length, without a change of the file's time."""
    before = path.stat()
    assert len(text) == before.st_size
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "value",
    [
        lambda path: source.run(path, "minilocal_own_test").x,
        lambda path: work.call(work.described(f"{path}:f"), [], None),
        lambda path: rules.get(f"{path}:rule").name,
    ],
    ids=["a file", "a function for ranks", "a rule"],
)
def test_an_edit_within_a_second_counts_and_nothing_is_left(tmp_path, value, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # the folder of a function for ranks is put there
    for name in ("mine", "minilocal_own_test"):
        monkeypatch.setitem(sys.modules, name, None)
    text = "from minilocal import rules\nfrom dataclasses import replace\nx = '{0}'\ndef f():\n    return x\n"
    text += "rule = replace(rules.gll(), name=x)\n"
    (tmp_path / "mine.py").write_text(text.format("a"))
    assert value(tmp_path / "mine.py") == "a"
    of_the_same_second(tmp_path / "mine.py", text.format("b"))
    assert value(tmp_path / "mine.py") == "b"
    assert os.listdir(tmp_path) == ["mine.py"]


def test_a_file_that_raises_is_no_module(tmp_path):
    (tmp_path / "mine.py").write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        source.run(tmp_path / "mine.py", "minilocal_own_test")
    assert "minilocal_own_test" not in sys.modules
    with pytest.raises(FileNotFoundError):
        source.run(tmp_path / "none.py", "minilocal_own_test")
