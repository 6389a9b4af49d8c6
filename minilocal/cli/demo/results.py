"""The results of the demo's runs, read from their folders, and their summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import record, rules
from minilocal.config import Config


@dataclass
class Runs:
    """The runs of one rule, one for each seed."""

    name: str
    runs: list[Config]

    @property
    def folders(self) -> list[Path]:
        return [Path(str(run.run.out)) for run in self.runs]

    @property
    def rule(self) -> rules.Rule:
        return rules.get(self.runs[0].rule.name, **self.runs[0].rule.options)

    def rows(self) -> list[list[dict[str, Any]]]:
        """The rows of every run so far."""
        return [record.rows(folder) for folder in self.folders]

    def errors(self) -> np.ndarray:
        """Test errors in percent, (seeds, epochs), of the epochs that all runs have finished."""
        errors = [[row["test_error"] for row in rows] for rows in self.rows()]
        return np.array([run[: min(map(len, errors))] for run in errors])

    def last(self) -> float:
        """The mean test error after the last epoch."""
        return float(self.errors()[:, -1].mean())

    def done(self) -> bool:
        return self.errors().shape[1] == self.runs[0].optim.epochs

    def seconds(self) -> float:
        """The training time of one run, on average."""
        return sum(row["seconds"] for rows in self.rows() for row in rows) / len(self.runs)

    @cached_property
    def peak(self) -> int:
        """Peak bytes of the second step, above parameters, statistics and momentum. The first one allocates scratch."""
        from minilocal.kernels.threads import threads, use_threads
        from minilocal.memory import Meter
        from minilocal.train import build

        config, before = self.runs[0], threads()
        dataset, learner = build(config)
        n = config.optim.batch_size
        x, y = dataset.normalise(dataset.train_x[:n], config.run.dtype), dataset.train_y[:n]
        use_threads(config.run.threads)  # each thread has its own scratch memory
        try:
            learner.step(x, y, lr=config.optim.lr)
            with Meter() as meter:
                learner.step(x, y, lr=config.optim.lr)
        finally:
            use_threads(before)
        return meter.peak


def findings(trained: Mapping[str, Runs], checkpointed: Runs) -> list[str]:
    """The summary of these runs in sentences, from their numbers."""
    bp, gll, link = (trained[name].last() for name in ("BP", "GLL", "BackLink"))
    seeds = len(trained["BP"].runs)
    peak = {name: rule.peak / trained["BP"].peak for name, rule in trained.items()}
    if gll <= bp:
        between = "GLL is not worse than BP here, so there is nothing to win back"
    elif link <= bp:
        between = "BackLink is not worse than BP here, and wins back all that GLL lost"
    elif link < gll:
        between = f"BackLink wins back {gll - link:.1f} of the {gll - bp:.1f} points between GLL and BP"
    else:
        between = "BackLink won nothing back in these runs"
    return [
        f"Last test error: BP {bp:.1f} %, GLL {gll:.1f} %, BackLink {link:.1f} %: {between}.",
        *([_seed_by_seed(trained)] if seeds > 1 else []),
        f"Peak bytes of a step, BP = 1: GLL {peak['GLL']:.2f}, BackLink {peak['BackLink']:.2f}; BP checkpointed at "
        f"the same boundaries {checkpointed.peak / trained['BP'].peak:.2f}, for one more forward.",
        f"{seeds} seed{'s' * (seeds > 1)}, a small network, small images: an illustration of the rules, no evidence "
        "for any of them.",
    ]


def _seed_by_seed(trained: Mapping[str, Runs]) -> str:
    bp, gll, link = (trained[name].errors()[:, -1] for name in ("BP", "GLL", "BackLink"))
    return (
        f"These are means of {len(bp)} seeds. BackLink ends below GLL in {(link < gll).sum()} of them, BP below both "
        f"in {((bp < gll) & (bp < link)).sum()}."
    )
