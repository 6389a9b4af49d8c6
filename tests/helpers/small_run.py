"""A run of a second, for tests of what happens to runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minilocal.config import Config, resolve

KEYS = {
    "net.name": "mlp",
    "net.modules": 2,
    "data.limit_train": 40,
    "data.limit_test": 20,
    "optim.batch_size": 16,
    "optim.epochs": 2,
    "optim.lr": 0.05,
    "optim.schedule": "constant",
    "run.threads": 1,
}
STEPS = 3  # in an epoch: 16, 16 and 8 images
SMALL = [  # one epoch of it, by flags
    "--net", "mlp", "--modules", "2", "--limit-train", "40", "--limit-test", "20", "--batch-size", "16",
    "--epochs", "1", "--lr", "0.01", "--threads", "1",
]  # fmt: skip


def configuration(out: Path | None, **keys: Any) -> Config:
    """The small run, with `net__name="resnet8"` and the like in place of its own."""
    changes = {key.replace("__", "."): value for key, value in keys.items()}
    where = {} if out is None else {"run.out": str(out)}
    return resolve([("test", {**KEYS, **where, **changes})])[0]


def words(**keys: Any) -> list[str]:
    """The same on the command line, but for --out."""
    changes = {**KEYS, **{key.replace("__", "."): value for key, value in keys.items()}}
    return [f"--set={key}={str(value).lower()}" for key, value in changes.items()]


def training(out: str, **keys: Any) -> list[str]:
    """`minilocal train` of it into `out`, quietly."""
    return ["train", *words(**keys), "--quiet", "--out", out]
