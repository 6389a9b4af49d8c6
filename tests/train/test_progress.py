"""The counters of a checkpoint: read as they were written, or refused in one line."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import pytest

from minilocal.errors import UserError
from minilocal.train.progress import Progress

WHOLE = asdict(Progress(3, 2, [1.5, 0.25], [64, 64], 1.25))


def test_what_was_written_is_read():
    assert asdict(Progress.from_json(WHOLE, "c.npz")) == WHOLE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": "3"}, "c.npz is damaged: its counter 'epoch' is '3'."),
        ({"step": 1.0}, "c.npz is damaged: its counter 'step' is 1.0."),
        ({"step": True}, "c.npz is damaged: its counter 'step' is True."),
        ({"epoch": [3]}, "c.npz is damaged: its counter 'epoch' is [3]."),
        ({"sums": [1.5, "x"]}, "c.npz is damaged: its counter 'sums' is [1.5, 'x']."),
        ({"counts": None}, "c.npz is damaged: its counter 'counts' is None."),
        ({"counts": [64, 1.5]}, "c.npz is damaged: its counter 'counts' is [64, 1.5]."),
        ({"seconds": None}, "c.npz is damaged: its counter 'seconds' is None."),
        ({"more": 1}, "its counter 'more' is unknown to this version"),
    ],
)
def test_what_is_damaged_is_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        Progress.from_json({**WHOLE, **change}, "c.npz")
