"""The papers' comparison tables: each printed row of a rule beside the same columns measured here.

    BackLink paper (IEEE), Table I     feedback between modules, auxiliary network, loss, source of the gradients
    FDG paper, Table 1                 whether any lock is kept, whether parameters are added

Feedback, locks and parameters are those of the measured `Locality`. Auxiliary networks and losses are those of module 1
in a Learner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from minilocal import published
from minilocal.array import Array
from minilocal.engine import Module
from minilocal.locality.certificate import Locality
from minilocal.locality.perturb import Subject
from minilocal.nets import Net
from minilocal.objectives import Branches

TITLES = {"backlink_ieee_table1": "BackLink paper (IEEE), Table I", "fdg_table1": "FDG paper, Table 1"}
ASYNCHRONOUS = "asynchronous "
LOSSES = {"Labels": "CE", "Similarity": "similarity-matching loss", "Reconstruction": "input-reconstruction loss"}
WHY = {  # (method, column): the reason of a known difference
    ("DNI", "any_lockings"): "the print is true of synthetic inputs together with synthetic errors; here are the "
    "errors only, so that a module waits for the one below",
    ("DGL", "any_lockings"): "the print is true of asynchronous DGL, dgl(buffer=M), which keeps no lock; "
    "synchronous DGL waits for the module below",
    ("DGL", "local_auxiliary_network"): "mlp-sr is the default of DGL's own code; for 3×3 convolutions take aux=cnn",
    ("DDG", "feedback_between_modules"): "no error crosses in the iteration that made it, all of it does one "
    "iteration late; the table counts that as delayed gradients only",
}


@dataclass(frozen=True)
class PaperRow:
    """One printed row of a table, and the measured one. Both have the table's columns."""

    title: str  # of the table
    method: str
    printed: dict[str, str]
    measured: dict[str, str]

    @property
    def differences(self) -> list[str]:
        """One line for each column that differs, with the reason where it is known."""
        lines = []
        for column, text in self.printed.items():
            if not _agree(text, self.measured[column]):
                line = f"{self.method}, {words(column)}: printed {text!r}, here {self.measured[column]!r}"
                why = WHY.get((self.method.removeprefix(ASYNCHRONOUS), column))
                lines.append(f"{line}; {why}" if why else line)
        return lines


def paper_rows(locality: Locality, net: Net) -> list[PaperRow]:
    """The rows that the tables print of this rule, beside its measured locality on `net`."""
    method, measured, rows = locality.rule.name.removeprefix(ASYNCHRONOUS), _columns(locality, net), []
    for name, title in TITLES.items():
        for line in published.table(name):
            if line["method"] == method:
                printed = {c: text for c, text in line.items() if c not in ("source", "table", "method")}
                rows.append(PaperRow(title, locality.rule.name, printed, {c: measured[c] for c in printed}))
    return rows


def words(column: str) -> str:
    """A column's name as text."""
    return column.replace("_", " ")


def _columns(locality: Locality, net: Net) -> dict[str, str]:
    """The measured columns of both tables."""
    module = Subject(net, locality.rule, locality.sizes, ()).learner().modules[0]
    lags = {path.lag for path in locality.error_paths if path.units}
    synthetic = any(path.synthesiser_lag is not None for path in locality.error_paths)
    delayed = any(lags)
    return {
        "feedback_between_modules": "Late" if delayed else "Yes" if lags else "No",
        "local_auxiliary_network": " + ".join(_networks(module)) or "No",
        "local_loss": " + ".join(_losses(module)) or "No",
        "gradient_generation": "Synthetic" if synthetic else "Delayed" if delayed else "Local BP",
        "any_lockings": "No" if set(locality.locks) == {"broken"} else "Yes",
        "extra_trainable_parameters": "Yes" if locality.added_parameters else "No",
    }


def _networks(module: Module) -> list[str]:
    """ "FC" or "Conv" for each auxiliary network of a module."""
    objective = module.objective
    if isinstance(objective, Branches):
        return sorted((_kind(b.network.parameters.values()) for b in objective.branches), reverse=True)
    return [_kind(part.parameters.values()) for part in (objective, module.synthesiser) if part is not None]


def _kind(arrays: Iterable[Array]) -> str:
    """ "Conv" if a window is wider than one pixel, "1×1 Conv" if no window is, "FC" without convolutions."""
    windows = [w.shape[0] for w in arrays if w.ndim == 4]
    return ("Conv" if max(windows) > 1 else "1×1 Conv") if windows else "FC"


def _losses(module: Module) -> list[str]:
    """The loss of each auxiliary network of a module."""
    if module.synthesiser is not None:
        return ["L2 loss"]
    if isinstance(module.objective, Branches):
        losses = [type(branch.loss).__name__ for branch in module.objective.branches]
        return sorted(LOSSES.get(name, name.lower()) for name in losses)
    return ["CE"] if module.objective is not None else []


def _agree(printed: str, measured: str) -> bool:
    """Whether two cells agree. A printed auxiliary network says more than its kind, and may offer two kinds."""
    kinds = re.findall("FC|Conv", printed)
    if not kinds:
        return printed == measured
    return measured in kinds if " or " in printed else measured.split(" + ") == sorted(kinds, reverse=True)
