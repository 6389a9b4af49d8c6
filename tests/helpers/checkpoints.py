"""The checkpoint of a run that has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minilocal import record


def checkpoint(run: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Its arrays and its metadata."""
    saved = record.checkpoint(run)
    assert saved is not None, f"{run} has no checkpoint"
    return saved
