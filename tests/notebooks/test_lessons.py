"""The lessons: one form, twin files with the same cells, and committed outputs that a reader on the web can trust.

That they run is nbmake's to say. After a change to a twin:

    jupytext --to ipynb --update notebooks/NAME.py
    jupyter nbconvert --to notebook --execute --ExecutePreprocessor.record_timing=False --inplace notebooks/NAME.ipynb
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import minilocal as ml
from minilocal import equations as eq

jupytext = pytest.importorskip("jupytext")

FOLDER = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
FORM = ["Question", "Picture", "Equation", "Code", "Check", "Experiment", "Exercises", "Answers", "Not shown"]

lessons = pytest.mark.parametrize("name", LESSONS)


def cells(name, suffix):
    return jupytext.read(FOLDER / f"{name}.{suffix}").cells


def code(name):
    return [cell for cell in cells(name, "ipynb") if cell.cell_type == "code"]


def test_there_are_lessons_and_each_has_its_text_file():
    assert LESSONS[:2] == ["01_backpropagation", "02_backlink"]
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == LESSONS


@lessons
def test_notebook_and_text_file_have_the_same_cells(name):
    notebook, text = ([(cell.cell_type, cell.source) for cell in cells(name, suffix)] for suffix in ("ipynb", "py"))
    assert notebook == text


@lessons
def test_a_lesson_has_the_form_of_a_lesson(name):
    words = "\n".join(cell.source for cell in cells(name, "ipynb") if cell.cell_type == "markdown")
    headings = [line.lstrip("#").strip() for line in words.splitlines() if line.startswith("#")]
    assert [heading for heading in headings if heading in FORM] == FORM


@lessons
def test_its_outputs_are_those_of_one_run_from_top_to_bottom(name):
    assert [cell.execution_count for cell in code(name)] == list(range(1, len(code(name)) + 1))


@lessons
def test_its_outputs_hold_no_error_no_warning_and_no_one_s_folder(name):
    for cell in code(name):
        for output in cell.outputs:
            assert output.output_type != "error" and output.get("name") != "stderr", cell.source
            shown = output.get("text") or "".join(output.get("data", {}).get("text/plain", ""))
            assert not any(word in shown for word in ("/home/", "/tmp/", "/work/", " object at 0x")), cell.source


@lessons
def test_its_figures_are_pictures_and_small(name):
    figures = [
        o.data for cell in code(name) for o in cell.outputs if "Figure" in o.get("data", {}).get("text/plain", "")
    ]
    assert figures and all("image/png" in data for data in figures)
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 400_000


@lessons
def test_its_figures_say_what_they_show(name):
    figures = [o for cell in code(name) for o in cell.outputs if "image/png" in o.get("data", {})]
    assert figures and all(figure.metadata["image/png"]["alt"] for figure in figures)


def printed(name):
    """Everything that the stored outputs say in words."""
    outputs = [output for cell in code(name) for output in cell.outputs]
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("01_backpropagation", [eq.forward, eq.backward, eq.update, eq.outer, ml.layers.Residual.backward]),
        ("02_backlink", [eq.link, eq.link_below, eq.link_below_unfolded, eq.update_linked]),
        ("02_backlink", [inspect.getmodule(ml.rules.backlink)]),
    ],
)
def test_the_source_that_it_shows_is_the_source_that_is_there(name, shown):
    for thing in shown:
        assert inspect.getsource(thing).strip() in printed(name), f"execute {name} again: {thing} has changed"


@lessons
def test_numbers_in_its_prose_stand_in_its_code_or_its_outputs(name):
    """Those with a unit: an error, a size, a count of images. What a machine measured does not outlive a change."""
    prose = "\n".join(cell.source for cell in cells(name, "ipynb") if cell.cell_type == "markdown")
    shown = set(re.findall(r"\d+(?:\.\d+)?", printed(name) + "\n".join(cell.source for cell in code(name))))
    figures = re.findall(r"(\d+(?:\.\d+)?)\s*(?:%|MB|points|(?:training |test )?images|seeds)", prose)
    assert set(figures) <= shown


def row(text, name):
    """The numbers behind `name` in a stored output."""
    line = re.findall(rf"^{re.escape(name)}(?=\s\s|:)(.*)$", text, re.M)[0]
    return [float(n) for n in line.split() if n[-1].isdigit()]


def test_what_lesson_2_says_of_its_runs_is_what_they_gave():
    text = printed("02_backlink")
    seeds = row(text, "GLL - BackLink, seed by seed")
    assert len(seeds) == 4 and min(seeds) > 0  # BackLink ends below GLL with each of the four seeds,
    after, by_module = text.split("one image is")
    bp, gll, backlink = (row(after, name)[0] for name in ("BP", "GLL", "BackLink, l = 1, α = 0.5"))
    assert bp < backlink < gll  # and on the mean above BP
    gll, backlink = (row(by_module, name) for name in ("GLL", "BackLink, l = 1, α = 0.5"))
    more = [ours > theirs for ours, theirs in zip(backlink, gll, strict=True)]
    assert more == [True, True, False, False]  # the first two classifiers err more, and the last two less


@lessons
def test_nothing_that_it_prints_is_nan(name):
    """A student reads divergence where a module has no classifier: that is a dash."""
    assert not re.search(r"\bnan\b", printed(name))
