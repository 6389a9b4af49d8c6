"""One abstract CPU for all estimates of a file: it traces each kernel once."""

from __future__ import annotations

import pytest

from minilocal.memory import CPU


@pytest.fixture(scope="module")
def host():
    return CPU()
