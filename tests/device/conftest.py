"""Commands on one GPU, which is the stand-in for one in CuPy's place."""

from __future__ import annotations

import pytest

import minilocal as ml
from minilocal import cli
from tests.helpers import as_cuda


@pytest.fixture
def products(monkeypatch):
    """One GPU, and what its products have been set to."""
    return as_cuda.install(monkeypatch)


@pytest.fixture
def minilocal(products, capsys, tmp_path, monkeypatch):
    """`minilocal WORDS` in an empty folder, plain forms everywhere: stdout. It ends with status 0."""
    monkeypatch.chdir(tmp_path)

    def call(*line: str) -> str:
        with ml.ops.reference():
            status = cli.main(line)
        out, err = capsys.readouterr()
        assert status == 0, err
        return out

    return call
