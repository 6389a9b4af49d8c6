"""The demo's table: a terminal shows the current row epoch by epoch; a pipe gets each row when it is complete."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from minilocal.cli.demo.results import Runs


class Table:
    """A row for each rule, in order."""

    def __init__(self, rules: Sequence[Runs]) -> None:
        from tqdm import tqdm

        self._left, self._rules = list(rules), rules
        self._seeds, epochs = len(rules[0].runs), rules[0].runs[0].optim.epochs
        self._wide = max(33, 6 * epochs)
        what = "test error (%) after each epoch" + (", mean" if self._seeds > 1 else "")
        print(self._row("rule", what, "each seed", "seconds", "peak MB"), flush=True)
        self._bar = tqdm(
            total=epochs * self._seeds * len(rules), disable=None, leave=False,
            bar_format="{desc}  {n_fmt} of {total_fmt} epochs, {remaining} left",
        )  # fmt: skip

    def show(self) -> None:
        """Print the rows that are complete, and update the next one."""
        while self._left and self._left[0].done():
            rule = self._left.pop(0)
            last = _errors_text(rule.errors()[:, -1]) if self._seeds > 1 else ""
            row = self._row(rule.name, self._means(rule), last, f"{rule.seconds():.1f}", f"{rule.peak / 1e6:.1f}")
            self._bar.write(row, file=sys.stdout)
            sys.stdout.flush()
        if self._left and not self._bar.disable:
            self._bar.set_description_str(self._row(self._left[0].name, self._means(self._left[0])), refresh=False)
            self._bar.n = sum(len(rows) for rule in self._rules for rows in rule.rows())
            self._bar.refresh()

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *raised: object) -> None:
        self._bar.close()

    def _row(self, name: str, errors: str, last: str = "", seconds: str = "", peak: str = "") -> str:
        seeds = f"  {last:{max(9, 6 * self._seeds)}}" if self._seeds > 1 else ""
        return f"{name:9} {errors:{self._wide}}{seeds} {seconds:>7} {peak:>8}".rstrip()

    def _means(self, rule: Runs) -> str:
        errors = rule.errors()
        return _errors_text(errors.mean(axis=0)) if errors.size else ""


def _errors_text(errors: np.ndarray) -> str:
    return " ".join(f"{error:5.1f}" for error in errors)
