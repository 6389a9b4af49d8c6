"""Convergence in a report: σ and the norm ratio, as bounds and by epoch, and the cosine to BP's gradient by module."""

from __future__ import annotations

import numpy as np

from minilocal import draw
from minilocal.report.document import Table
from minilocal.report.groups import Group, Panel

Named = tuple[str, draw.Figure, str]  # name, figure, caption
LABELS = {"sigma": "σ", "norm_ratio": "‖E[g]‖ / ‖∇L‖", "cosine": "cosine"}
BANDS = " A band reaches from the least to the largest of the seeds, around their mean."


def agreement(panel: Panel) -> list[Table]:
    """A row for each group that measures it: the σ and σ_g that (9) and (10) hold with at all its measured weights."""
    measured = [group for group in panel.groups if np.isfinite(group.convergence("sigma")).any()]
    if not measured:
        return []
    rows = [
        {
            "runs": group.name,
            "least σ, of Eq. (9)": _number(np.nanmin(group.convergence("sigma"))),
            "largest ‖E[g]‖ / ‖∇L‖, of Eq. (10)": _number(np.nanmax(group.convergence("norm_ratio"))),
            **{f"{label}, last epoch": _last(group, name) for name, label in LABELS.items()},
        }
        for group in measured
    ]
    return [Table(rows, ["Over all seeds, the initial weights and all epochs; then the mean over seeds."])]


def convergence(panel: Panel) -> list[Named]:
    """The figures, where the panel's runs have measured it."""
    several = any(len(group.runs) > 1 for group in panel.groups)
    captions = {
        "sigma": (
            "σ of Assumption 1, Eq. (9) of the BackLink paper, at the initial weights (epoch 0) and after each epoch. "
            "Above 0 a small step along the rule's mean gradient lowers the final loss; BP has 1."
        ),
        "norm_ratio": "The norm of the rule's mean gradient over that of BP's, the ratio of Eq. (10); BP has 1.",
    }
    result = []
    for name, caption in captions.items():
        curves = {g.name: list(values) for g in panel.groups if np.isfinite(values := g.convergence(name)).any()}
        if curves:
            figure = draw.curves(curves, title=panel.title, label=LABELS[name], first=0)
            (axes,) = figure.axes
            axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
            result.append((name.replace("_", "-"), figure, caption + BANDS * several))
    cosines = {g.name: list(g.alignment) for g in panel.groups if np.isfinite(g.alignment).any()}
    if cosines:
        figure = draw.curves(cosines, title=panel.title, label="cosine to BP's gradient", along="module")
        caption = (
            "From the first module to the last: the cosine of the rule's mean gradient to BP's, of each module's main "
            "parameters, after the last epoch."
        )
        result.append(("alignment", figure, caption + BANDS * several))
    return result


def _last(group: Group, name: str) -> str:
    return _number(group.convergence(name)[:, -1].mean())


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"
