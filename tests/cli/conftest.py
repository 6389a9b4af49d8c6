"""Commands, called in a folder of their own."""

from __future__ import annotations

import pytest

from minilocal import cli


@pytest.fixture
def minilocal(capsys, tmp_path, monkeypatch):
    """`minilocal WORDS` in an empty folder: (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        status = cli.main(words)
        out, err = capsys.readouterr()
        return status, out, err

    return call
