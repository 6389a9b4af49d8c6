"""The report as files: every figure described, one page that needs nothing else, and numbers that are the runs'."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minilocal import UserError, draw, record
from minilocal.memory import CPU, estimate
from minilocal.report import Report, build, write
from minilocal.report.document import Picture
from minilocal.train import build as build_run
from minilocal.train import train
from tests.helpers.small_run import configuration
from tests.helpers.written_run import write_run

LINK: dict[str, Any] = {"rule__name": "backlink", "net__name": "resnet8", "net__modules": 4}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small real runs: BP and GLL from two seeds."""
    folder = tmp_path_factory.mktemp("real")
    for rule in ("bp", "gll"):
        for seed in (0, 1):
            train(configuration(folder / f"{rule}{seed}", rule__name=rule, run__seed=seed), bar=False)
    return folder


def picture(report: Report, name: str) -> Picture:
    (one,) = [p for p in report.document.pictures if p.name.startswith(name)]
    return one


def names(report: Report) -> set[str]:
    return {re.sub(r"-(mlp|resnet).*", "", p.name) for p in report.document.pictures}


def test_real_runs_are_a_table_with_their_own_numbers(real):
    report = build([real])
    (table,) = report.results.values()
    assert [row["runs"] for row in table.rows] == ["BP", "GLL"] and not report.left_out
    for row, rule in zip(table.rows, ("bp", "gll"), strict=True):
        errors = np.array([[r["test_error"] for r in record.rows(real / f"{rule}{s}")] for s in (0, 1)])
        last, best = errors[:, -1], errors.min(axis=1)
        assert row["test error, last epoch (%)"] == f"{last.mean():.2f} ± {last.std(ddof=1):.2f}"
        assert row["best epoch (%), chosen on the test images"] == f"{best.mean():.2f} ± {best.std(ddof=1):.2f}"
        assert (row["seeds"], row["epochs"]) == ("2", "2")


def test_the_memory_is_the_estimate_of_that_configuration(real):
    (table,) = build([real]).results.values()
    for row, rule in zip(table.rows, ("bp", "gll"), strict=True):
        _, learner = build_run(configuration(None, rule__name=rule))
        step = estimate(learner.net, learner.rule, 2, 16, optimizer=learner.optimizer, machine=CPU(1)).step
        assert row["memory (MB)"] == f"{step / 1e6:.3g}"


def test_numbers_are_those_of_the_rows_to_their_last_digit(tmp_path):
    """A run whose best epoch is not its last, with a classifier in the lower module."""
    errors = [30.123456, 12.345678, 20.5]
    write_run(tmp_path / "run", errors, local=[40.25], rule__name="gll", optim__epochs=3)
    report = build([tmp_path / "run"])
    ((row,),) = (table.rows for table in report.results.values())
    assert row["test error, last epoch (%)"].startswith("20.50")
    assert row["best epoch (%), chosen on the test images"].startswith("12.35")
    assert (
        "59.8" in picture(report, "local-accuracy").figure.alt
        and "79.5" in picture(report, "local-accuracy").figure.alt
    )
    write(report.document, tmp_path / "csv", ["csv"])
    epochs = list(csv.DictReader((tmp_path / "csv" / "epochs.csv").open(encoding="utf-8")))
    assert [float(epoch["test_error"]) for epoch in epochs] == errors


def test_the_memory_is_that_of_the_threads_that_a_run_had(tmp_path):
    facts = {"processor": "a processor", "data": {"shape": [16, 16, 1], "classes": 10}}
    for threads in (1, 4):
        keys: dict[str, Any] = {"rule__name": "gll", "net__name": "resnet8", "optim__batch_size": 32}
        write_run(tmp_path / str(threads), [20, 10], environment={**facts, "threads": threads}, **keys)
        (table,) = build([tmp_path / str(threads)]).results.values()
        _, learner = build_run(configuration(None, net__name="resnet8", rule__name="gll"))
        options: dict[str, Any] = {"optimizer": learner.optimizer, "machine": CPU(threads)}
        step = estimate(learner.net, learner.rule, 2, 32, **options).step
        assert table.rows[0]["memory (MB)"] == f"{step / 1e6:.3g}"
    one, four = (estimate(learner.net, learner.rule, 2, 32, machine=CPU(n)).step for n in (1, 4))
    assert f"{one / 1e6:.3g}" != f"{four / 1e6:.3g}"


def test_every_kind_of_figure_is_there_with_words_for_it(real):
    report = build([real])
    assert names(report) == {
        "test-error",
        "local-accuracy",
        "memory",
        "error-memory",
        "seconds",
        "error-seconds",
        "schedule",
    }
    for one in report.document.pictures:
        assert "BP" in one.figure.alt and "GLL" in one.figure.alt and one.caption.endswith(".")
    assert "2 threads" not in picture(report, "seconds").caption and "1 thread" in picture(report, "seconds").caption


def test_a_rule_has_one_colour_in_every_figure(tmp_path):
    body = "return ml.rules.compose('{name}', boundary=ml.boundaries.open())"
    text = "import minilocal as ml\n\n\ndef {name}():\n    " + body + "\n"
    for n, name in enumerate(("odd", "even")):
        (tmp_path / f"{name}.py").write_text(text.format(name=name))
        own: dict[str, Any] = {"rule__name": f"{tmp_path}/{name}.py:{name}", "optim__lr": 0.1}
        write_run(tmp_path / "runs" / name, [50.0, 20.0 + n], **own)
        write_run(tmp_path / "runs" / f"{name}8", [50.0, 30.0], **own, net__name="resnet8")
    for folder in (tmp_path / "runs/odd8", tmp_path / "runs/even"):
        (folder / "environment.json").write_text('{"processor": "another one"}')
    seen: dict[str, set[str]] = {}
    for one in build([tmp_path / "runs"]).document.pictures:
        (axes,) = one.figure.axes
        if one.name.startswith("schedule"):  # whose colours are batches
            continue
        for line in axes.get_lines():
            if str(line.get_label()) in ("odd", "even"):
                seen.setdefault(str(line.get_label()), set()).add(str(line.get_color()))
        for name, bar in zip([t.get_text() for t in axes.get_yticklabels()], axes.patches, strict=False):
            if name in ("odd", "even"):
                seen.setdefault(name, set()).add(to_hex(bar.get_facecolor()))
    assert (
        set(seen) == {"odd", "even"}
        and all(len(shades) == 1 for shades in seen.values())
        and seen["odd"] != seen["even"]
    )


def to_hex(rgba: Any) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgba[:3])


def test_a_grid_of_alpha_and_l_is_a_heat_map(tmp_path):
    for alpha in (0.25, 0.5):
        for length in (1, 2):
            keys: dict[str, Any] = {**LINK, "rule__alpha": alpha, "rule__length": length}
            write_run(tmp_path / f"{alpha}-{length}", [50.0, 100 * alpha + length], **keys)
    heat = picture(build([tmp_path]), "alpha-length")
    assert "α = 0.25 26.0 27.0; α = 0.5 51.0 52.0" in heat.figure.alt
    write_run(tmp_path / "third", [50.0, 77.0], **LINK, rule__alpha=0.75, rule__length=1)
    assert "α = 0.75 77.0 none" in picture(build([tmp_path]), "alpha-length").figure.alt


def test_no_grid_is_no_heat_map(tmp_path):
    for alpha in (0.25, 0.5):
        write_run(tmp_path / str(alpha), [50.0, 20.0], **LINK, rule__alpha=alpha)
    assert "alpha-length" not in " ".join(p.name for p in build([tmp_path]).document.pictures)


def test_seconds_of_two_machines_are_two_figures(tmp_path):
    for name, seconds in (("one", 2.0), ("two", 4.0)):
        for rule in ("bp", "gll"):
            folder, facts = tmp_path / f"{name}-{rule}", {"processor": name}
            write_run(
                folder, [50.0, 20.0], seconds=seconds, environment=facts, rule__name=rule, optim__lr=seconds / 100
            )
    report = build([tmp_path])
    bars = [p for p in report.document.pictures if p.name.startswith("seconds")]
    assert [p.caption.rpartition(" on ")[2] for p in bars] == ["one.", "two."]
    assert all("BP" in p.figure.alt and f" {n};" in p.figure.alt for p, n in zip(bars, (2, 4), strict=True))
    (table,) = report.results.values()
    assert [row["machine"] for row in table.rows] == ["one", "two", "one", "two"]


def test_an_unfinished_run_is_marked_everywhere(tmp_path):
    write_run(tmp_path / "a", [50.0, 20.0], rule__name="bp")
    write_run(tmp_path / "b", [50.0], rule__name="gll")
    report = build([tmp_path])
    (table,) = report.results.values()
    assert [row["epochs"] for row in table.rows] == ["2", "1 of 2, unfinished"]
    assert "GLL, unfinished" in picture(report, "test-error").figure.alt
    assert "1 of them is unfinished" in report.document.lead[0]


def test_runs_that_are_left_out_are_named_in_the_report(tmp_path):
    write_run(tmp_path / "a", [50.0, 20.0])
    bad = write_run(tmp_path / "b", [50.0])
    (bad / "config.json").write_text("{")
    (line,) = build([tmp_path]).left_out
    assert line.startswith(f"{bad} is left out")


def test_images_that_are_not_square_have_their_memory(tmp_path):
    sizes = {"square": [16, 16, 1], "wide": [16, 32, 1]}
    for name, shape in sizes.items():
        facts = {"threads": 1, "data": {"shape": shape, "classes": 10}}
        write_run(tmp_path / name, [50.0, 20.0], environment=facts, net__name="resnet8", data__name=f"npz:/{name}.npz")
    square, wide = (table.rows[0]["memory (MB)"] for table in build([tmp_path]).results.values())
    assert float(wide) == pytest.approx(2 * float(square), rel=0.1)


def test_images_of_an_unknown_shape_cost_the_memory_only(tmp_path):
    write_run(tmp_path / "a", [50.0, 20.0], environment={}, data__name="npz:/mine/of-mine.npz")
    report = build([tmp_path])
    assert "memory" not in names(report) and "does not say of which shape" in report.left_out[0]
    assert list(report.results) == ["mlp, K = 2, all images of of-mine.npz"]


@pytest.mark.parametrize("data", [{"shape": 5}, {"shape": [8, 8, "1"], "classes": 10}, {"shape": [8, 8, 1]}])
def test_a_damaged_record_of_the_images_costs_the_memory_only(tmp_path, data):
    write_run(tmp_path / "a", [50.0, 20.0], environment={"data": data})
    report = build([tmp_path])
    assert "memory" not in names(report) and "the shape of its images is damaged" in report.left_out[0]


def test_only_known_formats_are_written(real, tmp_path):
    report = build([real], tmp_path)
    assert [file.name for file in report.write("csv")] == [file.name for file in report.write(["csv"])]
    assert not (tmp_path / "report.html").exists()
    with pytest.raises(UserError, match="format 'pdf' is not known"):
        report.write(["md", "pdf"])


class Page(HTMLParser):
    """What a page names outside itself, its figures, and the classes of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.figures: list[str] = []
        self.shades: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.add(tag)
        self.sources += [attributes[key] for key in ("src", "data") if key in attributes]
        if tag == "svg":
            assert attributes["role"] == "img"
            self.figures.append(attributes["aria-label"])
        self.shades += [s for s in ("near", "off", "far") if tag == "td" and s in attributes.get("class", "").split()]


def test_the_page_needs_nothing_else_and_describes_its_figures(real, tmp_path):
    report = build([real], tmp_path)
    assert write(report.document, tmp_path, ["html"]) == [tmp_path / "report.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    text = (tmp_path / "report.html").read_text("utf-8")
    page = Page(text)
    assert len(page.figures) == len(report.document.pictures) == 7 and all("BP" in alt for alt in page.figures)
    assert not page.sources and not page.tags & {"script", "link", "iframe"} and "@import" not in text
    assert "width=device-width" in text


def test_a_difference_is_coloured_by_its_size(tmp_path):
    keys: dict[str, Any] = {"net__name": "resnet32", "net__modules": 4, "data__name": "cifar10", "rule__aux": "0c1f"}
    write_run(tmp_path / "runs/gll", [50.0, 15.4], rule__name="gll", **keys)
    report = build([tmp_path / "runs"])
    write(report.document, tmp_path, ["html", "csv", "md"])
    assert Page((tmp_path / "report.html").read_text("utf-8")).shades == ["near", "off"]
    rows = list(csv.DictReader((tmp_path / "published.csv").open(encoding="utf-8")))
    assert [float(row["difference"]) for row in rows] == pytest.approx([0.38, -0.67])
    markdown = (tmp_path / "report.md").read_text("utf-8")
    assert "| +0.38 |" in markdown and "[1] std 0.46 over 5 trials." in markdown
    assert "2 of 200 epochs; 1 of 5 seeds; batch 128, not 512; lr 0.1, not 0.5" in markdown


def test_markdown_has_the_figures_that_it_shows(real, tmp_path):
    report = build([real], tmp_path)
    write(report.document, tmp_path, ["md"])
    text = (tmp_path / "report.md").read_text("utf-8")
    shown = re.findall(r"^!\[(.+)\]\((.+)\)$", text, re.MULTILINE)
    assert len(shown) == 7 and all((tmp_path / file).read_text("utf-8").startswith("<?xml") for _, file in shown)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| BP |")} == {4, 8}


def test_csv_has_every_epoch_in_full(real, tmp_path):
    report = build([real], tmp_path)
    assert {p.name for p in write(report.document, tmp_path, ["csv"])} == {"results.csv", "memory.csv", "epochs.csv"}
    epochs = list(csv.DictReader((tmp_path / "epochs.csv").open(encoding="utf-8")))
    assert len(epochs) == 8
    for row in epochs:
        recorded = record.rows(row["folder"])[int(row["epoch"]) - 1]
        assert float(row["test_error"]) == recorded["test_error"] and float(row["seconds"]) == recorded["seconds"]
    results = list(csv.DictReader((tmp_path / "results.csv").open(encoding="utf-8")))
    assert [row["seeds"] for row in results] == ["0 1", "0 1"]


def test_svg_files_are_the_figures(real, tmp_path):
    report = build([real], tmp_path)
    files = write(report.document, tmp_path / "new/folder", ["svg"])
    assert {path.stem for path in files} == {p.name for p in report.document.pictures}
    for one in build([real]).document.pictures:
        assert (tmp_path / f"new/folder/{one.name}.svg").read_text("utf-8") == draw.to_svg(one.figure)


def test_a_folder_that_cannot_be_written_is_one_line(real, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--out"):
        write(build([real]).document, tmp_path / "file", ["csv"])
