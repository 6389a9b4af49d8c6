"""The cosine of each module's gradient to BP's, over training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minilocal import draw
from minilocal.report.document import Part, Picture, Table
from minilocal.report.figures import at_page_size
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.configured import file_name, label, panels
from minilocal.reproduce.views.table import scale_text

MOST = 8  # epochs in a heat map
TEXT = (
    "The cosine between the gradient that a rule applies to a module's parameters and BP's gradient of the network's "
    "loss, both averaged over batches: 1 is BP's direction, and 0 a direction without relation to it. Under rules "
    "without delays the last module has BP's own gradient."
)


def alignment(plan: Plan, results: Sequence[Result]) -> list[Part]:
    """For each network and K the cosines over depth after the last epoch, their table, and a heat map for each rule."""
    parts: list[Part] = [scale_text(plan, results), TEXT]
    for title, K, members in panels(results):
        named = {label(r, K): cosines for r in members if (cosines := over_epochs(r)).size}
        if not named:
            continue
        lines = {name: list(cosines[:, -1]) for name, cosines in named.items()}
        figure = draw.curves(lines, title=title, label="cosine to BP's gradient", along="module")
        caption = (
            "The cosine to BP's gradient from the first module to the last, after the last epoch. A band reaches "
            "from the least to the largest of the trials."
        )
        parts.append(Picture(file_name("alignment", title), at_page_size(figure), caption))
        parts.append(Table([{title: name, **_row(cosines)} for name, cosines in named.items()]))
        parts += [_heat(name, cosines, title) for name, cosines in named.items()]
    return parts


def over_epochs(result: Result) -> np.ndarray:
    """The cosine of each module after each epoch, (trials, epochs, K); (0, 0, 0) where one is not measured."""
    cosines = [[run.alignment(epoch) for epoch in range(1, result.epochs + 1)] for run in result.runs]
    lengths = {len(of_modules) for run in cosines for of_modules in run}
    return np.array(cosines) if len(lengths) == 1 and min(lengths) else np.empty((0, 0, 0))


def _row(cosines: np.ndarray) -> dict[str, str]:
    """The mean over trials after the last epoch, module by module."""
    return {f"module {k}": f"{value:.2f}" for k, value in enumerate(cosines[:, -1].mean(axis=0), 1)}


def _heat(name: str, cosines: np.ndarray, title: str) -> Picture:
    """Modules, the last one on top, over all epochs, or over some of them at equal distances."""
    _, epochs, modules = cosines.shape
    shown = np.unique(np.linspace(0, epochs - 1, min(epochs, MOST)).round().astype(int))
    mean = cosines.mean(axis=0)[shown]
    rows = {f"module {k}": mean[:, k - 1].tolist() for k in range(modules, 0, -1)}
    numbers = [str(epoch + 1) for epoch in shown]
    figure = draw.heat(rows, along="epoch", columns=numbers, title=name, label="Cosine to BP's gradient")
    caption = f"{name}, {title}: cosine to BP's gradient, mean over trials."
    return Picture(file_name("alignment", name, title), figure, caption)
