"""The exercises, one file each, by lesson."""

from __future__ import annotations

from minilocal.teach.exercise import Exercise
from minilocal.teach.exercises import (
    backward,
    batch_norm,
    best_rate,
    col2im,
    crops,
    cross_entropy,
    ddg_batch,
    fdg_delay,
    gll_update,
    global_epochs,
    graph_errors,
    im2col,
    kept_bytes,
    learning_rate,
    linear_classifier,
    link,
    link_below,
    link_weights,
    locks,
    max_pool,
    module_update,
    peaks,
    pipeline_ends,
    promise,
    sigma,
    similarities,
    step_time,
    update,
)

_MODULES = [
    backward, update, cross_entropy, graph_errors,
    im2col, col2im, batch_norm, max_pool,
    gll_update, linear_classifier,
    link, link_below, link_weights, module_update,
    kept_bytes, peaks,
    pipeline_ends, step_time,
    sigma, best_rate,
    similarities, global_epochs,
    ddg_batch, fdg_delay,
    learning_rate, crops,
    promise, locks,
]  # fmt: skip

EXERCISES: dict[str, Exercise] = {module.EXERCISE.id: module.EXERCISE for module in _MODULES}
