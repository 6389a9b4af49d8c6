"""The exercises, one file each, by lesson."""

from __future__ import annotations

from minilocal.teach.exercise import Exercise
from minilocal.teach.exercises import (
    backward,
    batch_norm,
    best_rate,
    col2im,
    cross_entropy,
    ddg_batch,
    fdg_delay,
    gll_update,
    graph_errors,
    im2col,
    kept_bytes,
    linear_classifier,
    link,
    link_below,
    link_weights,
    locks,
    max_pool,
    module_update,
    peaks,
    promise,
    sigma,
    update,
)

_MODULES = [
    backward, update, cross_entropy, graph_errors,
    im2col, col2im, batch_norm, max_pool,
    gll_update, linear_classifier,
    link, link_below, link_weights, module_update,
    kept_bytes, peaks,
    sigma, best_rate,
    ddg_batch, fdg_delay,
    promise, locks,
]  # fmt: skip

EXERCISES: dict[str, Exercise] = {module.EXERCISE.id: module.EXERCISE for module in _MODULES}
