"""The demo's page: the idea in three pictures, the results, and links to go on."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minilocal
from minilocal import draw
from minilocal.array import to_host
from minilocal.cli.demo.recipe import MODULES, NET, OPTIM, words
from minilocal.cli.demo.results import Runs
from minilocal.data import DataSet
from minilocal.draw.images import png
from minilocal.draw.page import Page
from minilocal.train import dataset_of, error, load

SIZE = 4.7, 3.0  # inches: text of 10 points stays legible on a phone
SHOWN = 4  # modules in a picture; the others repeat them
WRONG = 8  # misread digits in the page
IDEA = {
    "BP": "Backpropagation: one loss, at the top. Its error goes down through all modules, so each of them keeps its "
    "activations until the error has come through all above it.",
    "GLL": "Greedy local learning: each module has a loss of its own, from a small classifier on its output. No error "
    "crosses a boundary, so a module need not wait, and learns nothing of what those above it need.",
    "BackLink": "Backward links: as GLL, but the error of the next module's loss also enters the last unit of this "
    "one. There it is added to the unit's own, each with the weight that stands at its arrow, and there it stops.",
}
MEANINGS = {
    "unit, module": f"A unit is a few layers: here a residual block, or the first convolution. A module is some units "
    f"that learn together: here one each. K is the number of modules, {MODULES}.",
    "error": "In a figure's arrows, the derivative of a loss by an activation. In percent, the share of test images "
    "taken for another digit.",
    "BP, GLL, BackLink": "Backpropagation, greedy local learning, and greedy local learning with backward links.",
    "auxiliary classifier, 0c1f": "What gives a module its own loss: no convolution and one fully connected layer on "
    "the module's output. It is not used once the network is trained.",
    "l and α": "How many units of a module the next module's error enters, 1, and the weight of the unit's own error "
    "beside it, 0.5.",
    "BP, checkpointed": "BP that keeps only what enters each module, and repeats its forward when the error comes.",
    "peak": "The most memory of one training step above parameters, batch norm's statistics and momentum.",
}


def report(trained: Mapping[str, Runs], checkpointed: Runs, lines: Sequence[str]) -> str:
    """The page, in HTML."""
    run = trained["BP"].runs[0]
    seeds, epochs, out = [r.run.seed for r in trained["BP"].runs], run.optim.epochs, trained["BP"].folders[0].parent
    digits = dataset_of(run)
    page = Page("BP, GLL and BackLink on handwritten digits")
    for line in lines:
        page.text(line)
    page.text(
        f"{NET}, cut into {MODULES} modules, is trained on {len(digits.train_y)} of these images for {epochs} epochs, "
        f"and tested on {len(digits.test_y)} others; by each rule from seed{'s' * (len(seeds) > 1)} "
        f"{', '.join(map(str, seeds))}."
    )
    firsts = [int(np.flatnonzero(digits.train_y == c)[0]) for c in range(10)]
    page.images([(png(digits.train_x[i]), f"A handwritten {c}.", str(c)) for c, i in enumerate(firsts)])

    page.heading("The idea")
    page.text(
        f"Drawn for {SHOWN} of the {MODULES} modules. Each square is a unit, each shade behind it a module. Black "
        "arrows are activations; coloured arrows are errors, of the loss that has their colour."
    )
    for name, rule in trained.items():
        picture = draw.rule_picture(rule.rule, SHOWN, SHOWN, title=name, words=False)
        page.figure(draw.to_svg(picture), IDEA[name], f"{name}, drawn as a row of {SHOWN} modules. {IDEA[name]}")

    page.heading("Test error, epoch by epoch")
    page.figure(
        _svg({name: rule.errors() for name, rule in trained.items()}),
        f"Error on {len(digits.test_y)} images after each epoch.",
        "Three falling curves. " + _ends(trained),
    )
    local = {name: [_local(folder, digits) for folder in rule.folders] for name, rule in trained.items()}
    errors = {name: [[_percent(c, digits) for c in run] for run in runs] for name, runs in local.items()}
    page.heading("Error of each module")
    page.figure(
        _svg(errors, along="module"),
        f"Error of each module's own classifier after the last epoch. That of module {MODULES} is the network's; "
        "BP's other modules have none.",
        "Test error by module. "
        + " ".join(f"{name}: {_listed(np.mean(runs, axis=0))}." for name, runs in errors.items() if name != "BP"),
    )
    _misread(page, {name: np.asarray(runs[0][-1]) for name, runs in local.items()}, digits, seeds[0])

    page.heading("Memory")
    peaks = {name: rule.peak / 1e6 for name, rule in trained.items()} | {checkpointed.name: checkpointed.peak / 1e6}
    bars = draw.bars(peaks, label="peak of one step (MB)", form="{:.2f}")
    bars.set_size_inches(SIZE[0], 2.4)
    page.figure(
        draw.to_svg(bars),
        f"Measured by tracemalloc on steps of {OPTIM['batch_size']} images, above parameters, statistics and momentum.",
        "Bars. " + ", ".join(f"{name} {peak:.2f} MB" for name, peak in peaks.items()) + ".",
    )

    page.heading("The runs")
    page.table(
        [
            {
                "run": f"[{folder.name}]({folder.name}/)",
                "last test error": f"{rows[-1]['test_error']:.1f} %",
                "training": f"{sum(row['seconds'] for row in rows):.1f} s",
                "peak MB": f"{rule.peak / 1e6:.2f}",
            }
            for rule in trained.values()
            for folder, rows in zip(rule.folders, rule.rows(), strict=True)
        ]
    )
    link = trained["BackLink"]
    again, first = shlex.join(words(link.runs[-1], out=False)), shlex.quote(str(link.folders[0]))
    page.text(f"Each is an ordinary run. The last one again, in a folder of its own: `minilocal {again}`.")
    page.text(f"What one of them takes each digit for: `minilocal predict {first}`.")

    page.heading("Words")
    page.words(MEANINGS)
    if lessons := sorted((Path(minilocal.__file__).parents[1] / "notebooks").glob("*.ipynb")):
        page.heading("Lessons")
        for lesson in lessons:
            page.text(f"[{lesson.name}]({os.path.relpath(lesson, out)})")
    return page.html()


def _svg(runs: Mapping[str, Any], **named: Any) -> str:
    figure = draw.curves(runs, **named)
    figure.set_size_inches(*SIZE)
    return draw.to_svg(figure)


def _local(folder: Path, digits: DataSet) -> list[np.ndarray | None]:
    """Each module's predicted class of each test image (N,); None for a module without a classifier."""
    config, learner, _ = load(folder)
    logits = learner.local_logits(digits.normalise(digits.test_x, config.run.dtype))
    return [None if z is None else to_host(z.argmax(axis=1)) for z in logits]


def _percent(predicted: np.ndarray | None, digits: DataSet) -> float:
    return np.nan if predicted is None else error(predicted, digits.test_y)


def _misread(page: Page, predicted: Mapping[str, np.ndarray], digits: DataSet, seed: int) -> None:
    """Add the first test digits that GLL misclassifies, with each rule's prediction."""
    wrong = np.flatnonzero(predicted["GLL"] != digits.test_y)
    if not len(wrong):
        return
    page.heading("Digits that GLL misreads")
    page.text(
        f"The first {len(wrong[:WRONG])} of {len(wrong)} from seed {seed}, and what each rule's network takes them for."
    )
    page.images(
        [
            (
                png(digits.test_x[i]),
                f"A handwritten {digits.test_y[i]}.",
                "\n".join([f"a {digits.test_y[i]}", *(f"{name} {classes[i]}" for name, classes in predicted.items())]),
            )
            for i in wrong[:WRONG]
        ]
    )


def _ends(trained: Mapping[str, Runs]) -> str:
    return " ".join(f"{name} ends at {rule.last():.1f} %." for name, rule in trained.items())


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:.1f} %" for value in values)
