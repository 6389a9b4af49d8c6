"""What the papers' comparison tables print of a rule, beside what is measured and built here.

    BackLink paper (IEEE), Table I     feedback between modules, auxiliary network, loss, where gradients come from
    FDG paper, Table 1                 whether any lock is kept, whether parameters are added

Crossings, locks and parameters are those that `locality` measured; auxiliary networks and losses are read from what the
rule builds behind module 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from minilocal import published
from minilocal.locality.certificate import Locality
from minilocal.locality.perturb import Subject
from minilocal.nets import Net
from minilocal.objectives import Branches

TITLES = {"backlink_ieee_table1": "BackLink paper (IEEE), Table I", "fdg_table1": "FDG paper, Table 1"}
ASYNCHRONOUS = "asynchronous "
LOSSES = {"Labels": "CE", "Similarity": "similarity-matching loss", "Reconstruction": "input-reconstruction loss"}
# (method, column): why the printed and the measured differ
WHY = {
    ("DNI", "any_lockings"): "the print is true of synthetic inputs together with synthetic errors; here are the "
    "errors only, so that a module waits for the one below",
    ("DGL", "any_lockings"): "the print is true of asynchronous DGL, dgl(buffer=M), which keeps no lock; "
    "synchronous DGL waits for the module below",
    ("DGL", "local_auxiliary_network"): "mlp-sr is the default of DGL's own code; for 3×3 convolutions take aux=cnn",
    ("DDG", "feedback_between_modules"): "no error crosses in the iteration that made it, all of it does one "
    "iteration late; the table counts that as delayed gradients only",
}


@dataclass(frozen=True)
class Compared:
    """One printed row beside what is here; both have the table's own columns."""

    title: str  # of the table
    method: str
    printed: dict[str, str]
    here: dict[str, str]

    @property
    def differences(self) -> list[str]:
        """The columns in which they differ, and why where that is known."""
        found = []
        for column, text in self.printed.items():
            if not _agree(text, self.here[column]):
                why = WHY.get((self.method.removeprefix(ASYNCHRONOUS), column), "")
                told = f"{self.method}, {words(column)}: printed {text!r}, here {self.here[column]!r}"
                found.append(f"{told}; {why}" if why else told)
        return found


def compared(row: Locality, net: Net) -> list[Compared]:
    """The rows that the tables have of this rule, beside its measured locality on `net`; none where they have none."""
    method, found = row.rule.name.removeprefix(ASYNCHRONOUS), []
    for name, title in TITLES.items():
        for line in published.table(name):
            if line["method"] == method:
                columns = {c: text for c, text in line.items() if c not in ("source", "table", "method")}
                seen = _here(row, net)
                found.append(Compared(title, row.rule.name, columns, {c: seen[c] for c in columns}))
    return found


def words(column: str) -> str:
    """A column's name as text."""
    return column.replace("_", " ")


def _here(row: Locality, net: Net) -> dict[str, str]:
    """Every column of both tables."""
    module = Subject(net, row.rule, row.sizes, ()).learner().modules[0]
    entered = {down.lag for down in row.down if down.units}
    guessed = any(down.synthesiser is not None for down in row.down)
    late = any(lag for lag in entered)
    return {
        "feedback_between_modules": "Late" if late else "Yes" if entered else "No",
        "local_auxiliary_network": " + ".join(_networks(module)) or "No",
        "local_loss": " + ".join(_losses(module)) or "No",
        "gradient_generation": "Synthetic" if guessed else "Delayed" if late else "Local BP",
        "any_lockings": "No" if set(row.locks) == {"broken"} else "Yes",
        "extra_trainable_parameters": "Yes" if row.added else "No",
    }


def _networks(module: Any) -> list[str]:
    """ "FC" or "Conv" for each auxiliary network of a module."""
    objective = module.objective
    if isinstance(objective, Branches):
        return sorted((_kind(b.network.parameters.values()) for b in objective.branches), reverse=True)
    return [_kind(part.parameters.values()) for part in (objective, module.synthesiser) if part is not None]


def _kind(arrays: Any) -> str:
    """ "Conv" where a window is wider than one pixel, "1×1 Conv" where none is, "FC" without any."""
    windows = [w.shape[0] for w in arrays if w.ndim == 4]
    return ("Conv" if max(windows) > 1 else "1×1 Conv") if windows else "FC"


def _losses(module: Any) -> list[str]:
    """The loss of each of them."""
    if module.synthesiser is not None:
        return ["L2 loss"]
    if isinstance(module.objective, Branches):
        losses = [type(branch.loss).__name__ for branch in module.objective.branches]
        return sorted(LOSSES.get(name, name.lower()) for name in losses)
    return ["CE"] if module.objective is not None else []


def _agree(printed: str, here: str) -> bool:
    """Do they say the same? Of an auxiliary network the print says more, and at times offers two."""
    kinds = re.findall("FC|Conv", printed)
    if not kinds:
        return printed == here
    return here in kinds if " or " in printed else here.split(" + ") == sorted(kinds, reverse=True)
