"""Which steps from line to line a reader takes, in its own modules: a step that is new shows the way to new inputs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from types import CodeType, FrameType
from typing import Any

Step = tuple[int, int, int]


class Lines:
    """Collects (code, line, next line) of functions in these modules while it is on; slow, but of Python 3.11 too."""

    def __init__(self, modules: Iterable[str]) -> None:
        self.files = {importlib.import_module(name).__file__ for name in modules}
        self.numbers: dict[CodeType, int] = {}
        self.steps: set[Step] = set()

    def __enter__(self) -> Lines:
        self.steps = set()
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        if code.co_filename not in self.files:
            return None
        number = self.numbers.setdefault(code, len(self.numbers))
        last, steps = 0, self.steps

        def inside(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal last
            if event == "line":
                steps.add((number, last, frame.f_lineno))
                last = frame.f_lineno
            return inside

        return inside
