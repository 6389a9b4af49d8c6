"""A Python file of the user's as a module: what the file says now, and nothing is written beside it.

Python keeps bytecode in __pycache__, and takes a source of the same length and second for the same. An edit between two
cells of a notebook can be quicker than that.
"""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType


class _Source(SourceFileLoader):
    """Compiles the file each time."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def run(path: Path | str, name: str) -> ModuleType:
    """Run the file as the module `name`, which then is in `sys.modules`; not where the file raises.

    Raises: what the file raises; OSError where it cannot be read.
    """
    spec = spec_from_file_location(name, path, loader=_Source(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)  # dataclasses look up their module there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
