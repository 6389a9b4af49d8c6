"""`minilocal reproduce` of an experiment that trains nothing: it is shown, and flags of training are refused."""

from __future__ import annotations

import pytest


def test_a_figure_that_trains_nothing_is_shown_and_written(minilocal, tmp_path):
    status, out, _ = minilocal("reproduce", "backlink-fig2", "--out", "fig2")
    assert status == 0 and "BackLink (IEEE), Fig. 2: how the networks are cut\n" in out and "at scale" not in out
    assert "7 × 4, 9 × 3" in out and "report: fig2/report/report.html, and 4 more files beside it" in out
    files = {"report.html", "report.md", "table-1.csv", "splits-resnet110.svg", "splits-resnet32.svg"}
    assert files == {file.name for file in (tmp_path / "fig2" / "report").iterdir()}
    page = (tmp_path / "fig2" / "report" / "report.html").read_text()
    assert "55 units, bottom to top, divided: K = 2: 28, 27" in page  # the alt text
    assert page.count("Fig. 2: how the networks are cut</h") == 1


def test_its_folder_is_named_by_the_experiment_alone(minilocal, tmp_path):
    assert minilocal("reproduce", "backlink-fig6", "--scale", "small")[0] == 0
    assert (tmp_path / "reproduce" / "backlink-fig6" / "report" / "classes.svg").is_file()


@pytest.mark.parametrize(
    "words",
    [
        ["--jobs", "2"], ["--trials", "3"], ["--status"], ["--retry"], ["--device", "cpu"], ["--slurm", "f.sh"],
        ["--threads", "2"], ["--kernels", "numpy"], ["--data-dir", "d"],
    ],
)  # fmt: skip
def test_what_starts_training_is_refused(minilocal, words):
    status, out, err = minilocal("reproduce", "backlink-fig2", *words)
    assert status == 2 and not out
    assert err.endswith(f"{words[0]} met backlink-fig2, which trains nothing: leave it out.\n")


def test_settings_of_training_are_refused(minilocal):
    for name, key in (("backlink-fig2", "run.kernels=numpy"), ("backlink-fig9", "run.threads=2")):
        status, out, err = minilocal("reproduce", name, "--set", key)
        assert status == 2 and not out
        assert err.endswith(f"{key.partition('=')[0]} met {name}, which trains nothing: leave it out.\n")


def test_units_are_timed_with_the_kernels_that_are_asked_for(minilocal, monkeypatch):
    from minilocal.ops import kinds
    from minilocal.parallel.simulate.costs import PartCosts
    from minilocal.parallel.simulate.measure import Measure

    timed: set[str] = set()

    def part(*_):
        timed.add(kinds.kernels())
        return PartCosts(1.0, 2.0, 1.0, 0.0, 1, 1, 1)

    monkeypatch.setattr(Measure, "timed", part)
    pytest.importorskip("numba")
    for words in ([], ["--kernels", "numba"], ["--set", "run.kernels=numba"]):
        timed.clear()
        assert minilocal("reproduce", "fdg-run-time", "--cells", "*-bp-*", *words)[0] == 0
        assert timed == {"numba" if words else "numpy"}
    assert kinds.kernels() == "numpy"
