"""Assumption 1 over training, σ of Eq. (9) and the norm ratio of Eq. (10): BackLink, Fig. 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from minilocal import draw
from minilocal.report.document import Part, Picture, Table
from minilocal.report.figures import at_page_size
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.configured import file_name, label, panels
from minilocal.reproduce.views.table import scale_text

TEXT = (
    "σ = ⟨∇L, E[g]⟩ / ‖∇L‖² of (9), and the norm ratio ‖E[g]‖ / ‖∇L‖ of (10): g is the gradient that the rule applies, "
    "∇L that of the network's loss, and E the mean over batches. Assumption 1 asks for one σ > 0 that all of the "
    "former exceed, and one bound on all of the latter. Under BP both are 1. Epoch 0 is before training."
)
QUANTITIES = {"sigma": "σ", "norm_ratio": "norm ratio"}


def assumption(plan: Plan, results: Sequence[Result]) -> list[Part]:
    """For each network and K two figures over the epochs, and a table; then in how many cells σ is positive."""
    parts: list[Part] = [scale_text(plan, results), TEXT]
    for title, K, members in panels(results):
        named = {label(result, K): result for result in members if result.runs}
        for quantity, words in QUANTITIES.items():
            parts += _figure({name: over_epochs(r, quantity) for name, r in named.items()}, words, title)
        if named:
            parts.append(Table([{title: name, **_row(result)} for name, result in named.items()]))
    return [*parts, *_verdict(results)]


def over_epochs(result: Result, name: str) -> np.ndarray:
    """`sigma`, `norm_ratio` or `cosine` before training and after each epoch, (trials, 1 + epochs)."""
    return np.array([run.convergence(name)[: result.epochs + 1] for run in result.runs])


def _figure(lines: Mapping[str, np.ndarray], words: str, title: str) -> list[Part]:
    known = {name: list(values) for name, values in lines.items() if np.isfinite(values).any()}
    if not known:
        return []
    figure = draw.curves(known, label=words, title=title, first=0)
    caption = f"The {words} over the epochs. A band reaches from the least to the largest of the trials."
    return [Picture(file_name(words.replace("σ", "sigma"), title), at_page_size(figure), caption)]


def _row(result: Result) -> dict[str, str]:
    """σ at the start, its least, mean and last, and the largest norm ratio, over trials and epochs."""
    sigma, ratio = over_epochs(result, "sigma"), over_epochs(result, "norm_ratio")
    return {
        "σ before training": _text(sigma[:, 0], np.mean),
        "least σ": _text(sigma, np.min),
        "mean σ": _text(sigma, np.mean),
        "σ after the last epoch": _text(sigma[:, -1], np.mean),
        "largest norm ratio": _text(ratio, np.max),
    }


def _verdict(results: Sequence[Result]) -> list[Part]:
    """In how many cells σ is positive at all measured weights of every trial."""
    measured = [sigma[np.isfinite(sigma)] for r in results if r.runs and (sigma := over_epochs(r, "sigma")).size]
    least = [float(sigma.min()) for sigma in measured if sigma.size]
    if not least:
        return []
    positive = sum(sigma > 0 for sigma in least)
    return [
        f"σ is positive wherever it is measured in {positive} of {len(least)} cells; the least is {min(least):.3f}."
    ]


def _text(values: np.ndarray, of: Callable[[np.ndarray], float]) -> str:
    known = values[np.isfinite(values)]
    return f"{of(known):.3f}" if known.size else "-"
