"""The command line: one file a command, imported when that command is called.

A mistake that the user can correct is one line on stderr, with exit status 2. A run stopped by a signal is one line,
with status 128 plus the signal's number: 130 after Ctrl-C, 143 after SIGTERM. Everything else keeps its traceback.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from minilocal.errors import UserError, printable, unknown
from minilocal.signals import stopping

COMMANDS = {
    "demo": "BP, GLL and BackLink on the embedded digits: a table and a report, in about a minute",
    "train": "one run, from flags or a TOML file; resumes",
    "sweep": "a grid of runs: several values of any flag, seeds; by many processes, GPUs, or Slurm tasks; resumes",
    "reproduce": "a table or figure of a paper at a scale that your machine bears, ours beside the printed numbers",
    "report": "run folders, finished or not, as tables and figures, beside the published numbers",
    "predict": "a trained run on its test images, or on yours",
    "export": "a trained run as one small file of weights",
    "verify": "every equation, layer, head and rule against automatic differentiation",
    "locality": "which errors cross each boundary, measured by perturbation, and which locks a rule breaks",
    "memory": "bytes of a training step under each rule, predicted from shapes and measured",
    "explorer": "one page with sliders for network, rule, K, l and α: what crosses, bytes, a schedule, errors",
    "simulate": "the step time of a rule on more devices than there are, and its Gantt chart",
    "bench": "seconds of steps and layers, against PyTorch and against the roofline of the machine",
    "data": "fetch, verify or show a data set",
    "doctor": "versions, threads, GPU and data sets, each of them tried",
}


def main(words: Sequence[str] | None = None) -> int:
    """Run `minilocal WORDS`, by default those of the command line, and return the exit status."""
    words = sys.argv[1:] if words is None else list(words)
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a letter that the terminal cannot show becomes \u03b1
    with stopping(), warnings.catch_warnings():
        warnings.showwarning = _once()
        try:
            status = _dispatch(words)
            sys.stdout.flush()  # here, so that an error of writing is caught below and not at the end of Python
            return status
        except UserError as error:
            return _one_line(str(error), 2)
        except KeyboardInterrupt as stop:
            return _one_line(str(stop) or "stopped", 128 + getattr(stop, "number", signal.SIGINT))
        except BrokenPipeError:  # the reader of the output has ended: `minilocal data show | head`
            _print_no_more()
            return 1
        except MemoryError as error:
            return _one_line(_no_memory(error), 2)
        except OSError as error:
            if error.filename is not None:  # of whichever file: a name too long, a link to itself, no permission
                return _one_line(f"{error.filename}: {error.strerror or error}.", 2)
            if error.errno != errno.ENOSPC:
                raise
            _print_no_more()  # files have `os_errors_explained`: here the disk of stdout is full
            return _one_line("the output cannot be written: no space left. Free some, or send it elsewhere.", 2)


def _dispatch(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        from minilocal import __version__

        print(f"minilocal {__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    command = importlib.import_module(f"minilocal.cli.{name}")
    parser = command.parser()
    try:
        options = parser.parse(rest)
    except UserError as error:
        return _raise_once(error)
    return int(command.run(options))


def _raise_once(error: UserError) -> int:
    """Raise the error; among ranks on the first one, once all of them have met it."""
    from minilocal.parallel.environment import started

    def work() -> int:
        raise error

    if not started():
        return work()
    from minilocal.parallel.launcher import rank

    return rank.run(work) or 0


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {does}" for name, does in COMMANDS.items()]
    return "\n".join(
        ["usage: minilocal COMMAND ...", "", *lines, "", "minilocal COMMAND --help shows the options of a command."]
    )


def _no_memory(error: MemoryError) -> str:
    """A line about memory that no engine has named: data, weights, a measurement."""
    reason = str(error).partition("\n")[0].strip().rstrip(".")
    return (
        f"out of memory{f' ({reason})' if reason else ''}: use a smaller --batch-size, more --modules or fewer images; "
        "minilocal memory predicts a step, and nvidia-smi shows who holds a GPU's memory."
    )


def _open_streams() -> None:
    """Open the null device in place of a closed standard stream, as after `>&-`: else a file gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115  (they live as long as the process)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _print_no_more() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(text: str, status: int) -> int:
    print(f"minilocal: {printable(' '.join(text.split()))}", file=sys.stderr)
    return status


def _once() -> Any:
    """A `showwarning` that prints each different warning once, in one line."""
    shown: set[str] = set()

    def show(message: Any, *where: Any, **details: Any) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            _one_line(f"warning: {message}", 0)

    return show
