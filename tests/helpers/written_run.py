"""A run folder written by hand: a checked configuration, and rows of any test errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minilocal.config import resolve, tables_of

KEYS = {"net.name": "mlp", "net.modules": 2, "optim.epochs": 2}


def write_run(
    folder: Path,
    errors: Sequence[float | None],
    *,
    local: Sequence[float | None] = (),
    seconds: float | None = 2.0,
    environment: dict[str, Any] | None = None,
    **keys: Any,
) -> Path:
    """A run with these test errors in its first epochs; `net__name="resnet8"` and the like are its configuration.

    `local` is what the modules below the last have as errors of their own, in every row.
    """
    changes = {key.replace("__", "."): value for key, value in keys.items()}
    config, _ = resolve([("test", {**KEYS, **changes})])
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(tables_of(config)))
    facts = {"processor": "a processor", "threads": 2, "data": {"shape": [16, 16, 1], "classes": 10}}
    (folder / "environment.json").write_text(json.dumps(facts if environment is None else environment))
    rows = [
        {"epoch": n, "lr": 0.1, "losses": [1.0, e], "local_errors": [*local, e], "test_error": e, "seconds": seconds}
        for n, e in enumerate(errors, 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
