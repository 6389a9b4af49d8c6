"""The processes of `minilocal train`: how many, and whether this one starts the others or is one of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from io import StringIO

from minilocal.config import Source
from minilocal.errors import UserError
from minilocal.parallel.environment import place, started

KEY = "run.processes"


def run(
    train: Callable[[argparse.Namespace], int], checks: Callable[[argparse.Namespace], int], options: argparse.Namespace
) -> int:
    """Train in this process, as one of several ranks, or in ranks that are started here. Returns the exit status.

    `checks(options)` is the number of processes that are asked for, after every check of a configuration.
    """
    if started():
        from minilocal.parallel.launcher import rank

        return rank.run(lambda: train(options)) or 0
    with redirect_stderr(StringIO()):  # what the checks remark is printed by the process that trains
        processes = checks(options)
    if processes == 1:
        return train(options)
    from minilocal.parallel.launcher.launch import relaunch

    return relaunch(["train", *options.parser.words], processes)


def of_ranks(sources: list[Source]) -> list[Source]:
    """The sources and, among ranks, one more: the number of ranks.

    Raises: UserError where a source has another number.
    """
    if not started():
        return sources
    size = place().size
    for name, keys in reversed(sources):
        if keys.get(KEY, size) != size:
            raise UserError(
                f"{KEY} = {keys[KEY]!r} ({name}) met {size} ranks, which mpiexec or srun has started: leave it out, or "
                "give the same number."
            )
    return [*sources, ("mpiexec", {KEY: size})]


def apart(sources: Sequence[Source]) -> tuple[list[Source], list[Source]]:
    """(the sources without their numbers of processes, these numbers as sources of their own)."""
    others = [(name, {key: value for key, value in keys.items() if key != KEY}) for name, keys in sources]
    return others, [(name, {KEY: keys[KEY]}) for name, keys in sources if KEY in keys]
