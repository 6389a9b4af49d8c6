"""Which fast forms run on NumPy's arrays: those in NumPy, or those that Numba compiles.

numpy    kernels/cpu, the default
numba    kernels/numba, and kernels/cpu where it has no form (extra `fast`)
auto     numba where it is installed
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec

from minilocal.errors import UserError, first_line, unknown

KINDS = ("numpy", "numba", "auto")
INSTALL, OR = "in the clone, pip install -e '.[fast]'", "or take numpy"

_kind = "numpy"


def use_kernels(kind: str) -> None:
    """Set the kind of all operations on NumPy's arrays from here on, in every thread: "numpy", "numba" or "auto".

    Results of the two kinds differ by round-off. Within a kind they are the same to the last bit in every run.
    A forked process has its parent's kind, a spawned one begins with NumPy's.

    Raises: UserError for another name, for "numba" where it is not installed, and where it is and cannot be imported.
    """
    global _kind
    kind = checked_kind(kind)
    if kind == "numba":
        try:
            import_module("numba")
        except (ImportError, OSError) as error:  # as with a NumPy that is younger than it
            raise UserError(f"kernels = 'numba' met {first_line(error).rstrip('.')}: {INSTALL} -U, {OR}.") from None
        import_module("minilocal.kernels.numba")
    _kind = kind


def checked_kind(kind: str, who: str = "kernels") -> str:
    """What `kind` becomes here, "numpy" or "numba". Raises: UserError for another name, and without Numba."""
    if kind not in KINDS:
        raise unknown(who, kind, KINDS)
    installed = find_spec("numba") is not None
    if kind == "numba" and not installed:
        raise UserError(f"{who} = 'numba': Numba is not installed: {INSTALL}, {OR}.")
    return "numba" if kind != "numpy" and installed else "numpy"


def kernels() -> str:
    """The kind in use: "numpy" or "numba"."""
    return _kind


@contextmanager
def using(kind: str) -> Iterator[None]:
    """Have this kind within the block. Raises: UserError, as `use_kernels`."""
    before = kernels()
    use_kernels(kind)
    try:
        yield
    finally:
        use_kernels(before)
