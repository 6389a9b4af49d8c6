"""`minilocal explorer`: the page of the networks that are named, and what cannot be made in one line."""

from __future__ import annotations

import pytest

from minilocal import cli
from minilocal.explorer import choices, points
from minilocal.explorer.choices import Variant


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rules on two modules."""
    monkeypatch.setattr(points, "variants", lambda: iter([Variant("bp"), Variant("gll", "0c1f")]))
    monkeypatch.setattr(choices, "counts", lambda units: [2])


def test_it_writes_one_page_and_says_where_and_how_large(few, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs" / "results").mkdir(parents=True)  # the usual folder, and no table in it
    assert cli.main(["explorer", "--net", "resnet20", "--out", "page.html"]) == 0
    out, err = capsys.readouterr()
    assert out == f"explorer: page.html, {(tmp_path / 'page.html').stat().st_size / 1e6:.2f} MB\n"
    assert "no results of ours: --results names their folder" in err
    assert '"resnet20/2/gll//0c1f"' in (tmp_path / "page.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--net", "resnet23"], "network 'resnet23'"),
        (["--results", "."], "--results . has no */experiment.csv"),
        (["--net", "resnet20", "--out", "none/page.html"], "none/page.html"),
    ],
)
def test_what_cannot_be_made_is_one_line(few, tmp_path, capsys, monkeypatch, words, line):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["explorer", *words]) == 2
    err = [text for text in capsys.readouterr().err.splitlines() if "warning" not in text]
    assert len(err) == 1 and err[0].startswith("minilocal: ") and line in err[0]
