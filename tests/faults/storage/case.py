"""A case: what is tried in an empty folder, and that it raises an AssertionError where it did not end as it must."""

from __future__ import annotations

import shutil
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.storage.child import end_all


@dataclass(frozen=True)
class Case:
    """`work(folder)` tries it. `short` cases are those of the pytest form."""

    name: str
    work: Callable[[Path], None]
    short: bool = False


class Skipped(Exception):
    """This machine does not allow what the case needs; the text says what."""


@dataclass
class Result:
    """How many cases were tried, a line for each that did not hold, and for each that was left out."""

    tried: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def attempt(cases: Iterable[Case], top: Path, tell: bool = False) -> Result:
    """Try the cases one after the other, each in a folder of its own below `top`."""
    result = Result()
    for number, case in enumerate(cases):
        folder = top / f"case-{number}"
        folder.mkdir(parents=True)
        try:
            case.work(folder)
            result.tried += 1
        except Skipped as why:
            result.skipped.append(f"{case.name}: {why}")
        except Exception as error:
            result.tried += 1
            result.failures.append(f"{case.name}: {line_of(error)}")
            if tell:
                print(f"  {result.failures[-1]}", file=sys.stderr, flush=True)
        finally:
            end_all()
        shutil.rmtree(folder, ignore_errors=True)
    return result


def line_of(error: Exception) -> str:
    """What an error says, in a line; of one without words, where it was raised."""
    text = " ".join(str(error).split())[:400]
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}:{where.lineno}"
    return (
        f"{text} ({place})"
        if isinstance(error, AssertionError) and text
        else f"{type(error).__name__} {text} ({place})"
    )
