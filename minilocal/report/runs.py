"""A run as a report needs it: its configuration, rows and machine, with every number checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import record, rules
from minilocal.config import Config, flatten, from_tables, tables_of
from minilocal.errors import UserError
from minilocal.train.same_run import MACHINE, MEASURED


@dataclass(frozen=True, eq=False)
class Run:
    """A run of one seed, with its rows so far. Errors are in percent; NaN stands for a number that is missing."""

    folder: Path
    config: Config
    rows: list[dict[str, Any]]
    environment: dict[str, Any]

    @property
    def seed(self) -> int:
        return self.config.run.seed

    @property
    def epochs(self) -> int:
        """The epochs trained so far."""
        return self.rows[-1]["epoch"] if self.rows else 0

    @property
    def finished(self) -> bool:
        return self.epochs == self.config.optim.epochs

    @property
    def state(self) -> str:
        """`12`, or `3 of 12, unfinished`."""
        return str(self.epochs) if self.finished else f"{self.epochs} of {self.config.optim.epochs}, unfinished"

    @cached_property
    def errors(self) -> np.ndarray:
        """The test error after each epoch, (epochs,)."""
        errors = np.full(self.epochs, np.nan)
        for row in self.rows:
            errors[row["epoch"] - 1] = _number(row["test_error"])
        return errors

    def local_errors(self, epoch: int) -> np.ndarray:
        """The test error of each module's own classifier after this epoch, (K,); (0,) where none is recorded."""
        row = next((row for row in self.rows if row["epoch"] == epoch), {})
        return np.array([_number(e) for e in row.get("local_errors", [])])

    def convergence(self, name: str) -> np.ndarray:
        """sigma, norm_ratio or cosine at the initial weights and after each epoch, (epochs + 1,); NaN where none is."""
        values = np.full(self.epochs + 1, np.nan)
        for row in self.rows:
            if "convergence_before" in row:
                values[row["epoch"] - 1] = _number(row["convergence_before"][name])
            if "convergence" in row:
                values[row["epoch"]] = _number(row["convergence"][name])
        return values

    def alignment(self, epoch: int) -> np.ndarray:
        """The cosine of each module's mean gradient to BP's after this epoch, (K,); (0,) where none is measured."""
        row = next((row for row in self.rows if row["epoch"] == epoch), {})
        return np.array([_number(c) for c in row["convergence"]["modules"]["cosine"]] if "convergence" in row else [])

    @cached_property
    def seconds(self) -> float:
        """The median over its epochs of the seconds of an epoch's steps."""
        seconds = [_number(row.get("seconds")) for row in self.rows]
        return float(np.nanmedian(seconds)) if np.isfinite(seconds).any() else np.nan

    @cached_property
    def settings(self) -> dict[str, Any]:
        """{"table.key": value} of everything that a result depends on, but for the seed."""
        settings = flatten(tables_of(self.config), str(self.folder))
        return {key: value for key, value in settings.items() if key not in (*MACHINE, *MEASURED, "run.seed")}

    @cached_property
    def rule(self) -> str:
        """The rule's name."""
        return rules.get(self.config.rule.name, **self.config.rule.options).name

    @cached_property
    def machine(self) -> str:
        """The processor, or the device, the number of threads, and kernels that are not NumPy's."""
        e, device = self.environment, self.config.run.device
        processor = str(e.get("processor") or e.get("machine") or "a machine that is not recorded")
        threads = e.get("threads")
        named = e.get("device")
        if device != "cpu" or isinstance(named, Mapping):
            gpu = named.get("name", device) if isinstance(named, Mapping) else device
            name = f"{gpu}, host {processor}"
        else:
            name = processor + (f", {threads} thread{'s' * (threads != 1)}" if isinstance(threads, int) else "")
            name += ", Numba's kernels" if e.get("kernels") == "numba" else ""
        ranks = f", {self.config.run.processes} processes" if self.config.run.processes > 1 else ""
        resumed = e.get("resumed", [])
        moved = any(
            {"processor", "threads", "kernels", "device"} & entry.keys()
            for entry in resumed
            if isinstance(entry, Mapping)
        )
        return f"{name}{ranks}{', later another one' if moved else ''}"


def read(folder: Path) -> Run:
    """The run in a folder.

    Raises: UserError where its configuration or a row is damaged, or this version does not know a key or a name in it.
    """
    config = from_tables(record.config(folder), f"{folder}/config.json")
    rows = record.rows(folder)
    epochs = [row["epoch"] for row in rows]
    if epochs != sorted(set(epochs)) or not all(1 <= epoch <= config.optim.epochs for epoch in epochs):
        raise UserError(
            f"{folder}/metrics.jsonl: its epochs are not increasing numbers from 1 to {config.optim.epochs}, those of "
            "config.json."
        )
    for row in rows:
        numbers = [("test_error", row.get("test_error", "missing")), ("seconds", row.get("seconds"))]
        for key in ("local_errors", "probe_errors"):
            listed = row.get(key, [])
            numbers += [(key, entry) for entry in (listed if isinstance(listed, list) else [str(listed)])]
        numbers += [pair for key in ("convergence_before", "convergence") for pair in _measured(key, row)]
        for key, number in numbers:
            if not _is_number(number):
                raise UserError(f"{folder}/metrics.jsonl, epoch {row['epoch']}: {key} = {number!r} is no number.")
    try:
        environment = record.recorded_environment(folder)
    except UserError:
        environment = {}  # its machine is not known; its rows are whole
    return Run(folder, config, rows, environment)


def read_all(paths: Iterable[str | Path]) -> tuple[list[Run], list[str]]:
    """The runs at or below `paths`, and a line for each folder that is left out.

    Raises: UserError for a path without a folder, and where there is no run, or none with a trained epoch.
    """
    names = [str(path) for path in paths]
    runs: list[Run] = []
    left_out: list[str] = []
    for folder in record.run_folders(names):
        try:
            runs.append(read(folder))
        except UserError as error:
            left_out.append(f"{folder} is left out: {error}")
    if not any(run.rows for run in runs):
        reason = f" {left_out[0]}" if left_out else ""
        what = f"{len(runs)} without a finished epoch" if runs else "there is no run that can be read"
        raise UserError(f"nothing to report in {', '.join(names)}: {what}.{reason}")
    return runs, left_out


def _measured(key: str, row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The numbers of a measurement of convergence that a report reads, by name; a name alone where it is damaged."""
    if key not in row:
        return []
    entry, names = row[key], ("sigma", "norm_ratio", "cosine")
    modules = entry.get("modules") if isinstance(entry, Mapping) else None
    if not isinstance(modules, Mapping) or not isinstance(modules.get("cosine"), list):
        return [(key, str(entry))]
    numbers = [(f"{key}.{name}", entry.get(name, "missing")) for name in names]
    return numbers + [(f"{key}.modules.cosine", cosine) for cosine in modules["cosine"]]


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
