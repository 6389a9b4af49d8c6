"""The row of one epoch, and how it reads in a line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

SHOWN = 4  # losses in a line


class Row(dict[str, Any]):
    """What one epoch gave, by name; `print(row)` shows it in a line.

    epoch              counted from 1
    lr                 its learning rate
    losses             (K,) the mean training loss of each module, NaN for a module without a loss
    train_loss         that of the last module, which is the network's own (only in the rows of `fit`)
    validation_error   percent, where the data set has a validation part
    local_errors       (K,) test error in percent of each module's own classifier, None where it has none
    test_error         percent, of the network
    seconds            of the training steps
    evaluation_seconds of the evaluation after them, and of the measurement of convergence

    Where convergence is measured (`minilocal.convergence`):

    convergence        after this epoch: batches, sigma, norm_ratio, cosine, gradient_norm, second_moment, seconds, and
                       modules, which has sigma, norm_ratio and cosine of each module, (K,)
    convergence_before the same at the initial weights, in the first row only
    probe_errors       (K,) test error in percent of a linear classifier on each module's output; in the row of the last
                       epoch, where a run has `run.probes`
    """

    def __repr__(self) -> str:
        return f"{row_text(self)}  {self['seconds']:.1f} s"


def row_text(row: Mapping[str, Any]) -> str:
    """`epoch   1  lr 0.1  losses 2.330 1.961  test 61.39 %`, for a row of a run's file too."""
    validation = f"  validation {row['validation_error']:5.2f} %" if "validation_error" in row else ""
    return (
        f"epoch {row['epoch']:3d}  lr {row['lr']:.4g}  losses {losses_text(row['losses'])}{validation}"
        f"  test {row['test_error']:5.2f} %{_sigma_text(row)}"
    )


def _sigma_text(row: Mapping[str, Any]) -> str:
    """`  σ 0.731` where it is measured; `-` where the gradient is 0."""
    if "convergence" not in row:
        return ""
    sigma = row["convergence"]["sigma"]
    return "  σ -" if sigma is None or math.isnan(sigma) else f"  σ {sigma:.3f}"


def losses_text(losses: Sequence[float | None]) -> str:
    """One number a module, `-` for a module without a loss; of many modules the first, the last and the largest."""
    numbers = [loss for loss in losses if loss is not None and not math.isnan(loss)]
    shown = ["-" if loss is None or math.isnan(loss) else _loss_text(loss) for loss in losses]
    if len(shown) <= SHOWN:
        return " ".join(shown)
    return f"{shown[0]} … {shown[-1]}" + (f", max {_loss_text(max(numbers))}" if len(numbers) > 1 else "")


def _loss_text(loss: float) -> str:
    """To three places, and never -0.000."""
    return f"{loss:z.3f}" if abs(loss) < 1000 else f"{loss:.2e}"
