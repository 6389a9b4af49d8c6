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
        ({"epoch": "3"}, "c.npz is damaged: its counters: Expected `int`, got `str` - at `$.epoch`."),
        ({"sums": [1.5, "x"]}, "c.npz is damaged: its counters: Expected `float`, got `str` - at `$.sums[1]`."),
        ({"counts": None}, "c.npz is damaged: its counters: Expected `array`, got `null` - at `$.counts`."),
        ({"more": 1}, "its counter 'more' is unknown to this version"),
    ],
)
def test_what_is_damaged_is_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        Progress.from_json({**WHOLE, **change}, "c.npz")
