"""What ranks are asked to call: a function that they can import, a file, or a function in a file."""

from __future__ import annotations

import importlib
import inspect
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minilocal import source
from minilocal.errors import UserError, nearest

MAIN = "__mp_main__"  # the name under which ranks run the file of the script that started them, as multiprocessing does


class Work(NamedTuple):
    """A module's name or a file's path, and a function's qualified name in it; without one, the file is the program."""

    module: str | None
    file: str | None
    function: str | None


def described(work: Callable[..., Any] | str | os.PathLike[str]) -> Work:
    """The description of `work` by which another process finds it.

    Raises: UserError for a function that another process cannot import, and a file that does not exist.
    """
    if isinstance(work, str | os.PathLike):
        path, colon, function = os.fspath(work).partition(":")
        if not Path(path).is_file():
            raise UserError(f"launch({os.fspath(work)!r}): there is no file {path}: give FILE.py or FILE.py:FUNCTION.")
        return Work(None, str(Path(path).resolve()), function if colon else None)
    name, module = getattr(work, "__qualname__", None), getattr(work, "__module__", None)
    if not callable(work) or not name or not module or (hasattr(work, "__self__") and work.__self__ is not None):
        raise UserError(f"launch() was given {work!r}: give a function, FILE.py or FILE.py:FUNCTION.")
    if "<" in name:
        raise UserError(f"ranks cannot import {name}: define the function at the top of a file.")
    if module != "__main__":
        return Work(module, None, name)
    main = sys.modules["__main__"]
    if (spec := getattr(main, "__spec__", None)) is not None:
        return Work(spec.name, None, name)
    if (file := getattr(main, "__file__", None)) is None or not Path(file).is_file():
        raise UserError(
            f"{name} is defined in a notebook, where ranks cannot import it: put %%writefile work.py at the top of its "
            f'cell, and launch("work.py:{name}").'
        )
    return Work(None, str(Path(file).resolve()), name)


def call(work: Work, args: Sequence[Any], main: str | None) -> Any:
    """Call the work in this process; `main` is the file of the script that started the ranks."""
    if work.file is not None:
        sys.path.insert(0, str(Path(work.file).parent))
        if work.function is None:
            sys.argv = [work.file, *map(str, args)]
            runpy.run_path(work.file, run_name="__main__")
            return None
        module: Any = source.run(work.file, MAIN if work.file == main else Path(work.file).stem)
    else:
        module = importlib.import_module(work.module or "")
    function: Any = module
    for name in (work.function or "").split("."):
        if not hasattr(function, name):
            raise UserError(
                f"{work.file or work.module} has no function {work.function!r}{nearest(name, vars(module))}"
            )
        function = getattr(function, name)
    _check_arguments(function, work.function or "", args)
    return function(*args)


def _check_arguments(function: Callable[..., Any], name: str, args: Sequence[Any]) -> None:
    """Check that a function takes these arguments.

    Raises: UserError where it does not.
    """
    try:
        inspect.signature(function).bind(*args)
    except TypeError as error:
        raise UserError(f"launch({name}, ...) was given {len(args)} arguments for it: {error}.") from None
    except ValueError:  # a function without a signature
        return
