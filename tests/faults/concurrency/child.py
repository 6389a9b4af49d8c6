"""Run by `part.py`: one case, in a process of its own.

    child.py MODULE FUNCTION KERNELS WITHOUT ARGUMENTS

MODULE and FUNCTION are of this folder, ARGUMENTS a JSON list. WITHOUT names in `without.py` what is taken out first, or
is "". Prints what is wrong, a line; nothing where all is well.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module


def main() -> None:
    module, function, kernels, without, arguments = sys.argv[1:]
    if without:
        getattr(import_module("tests.faults.concurrency.without"), without)()
    import minilocal as ml

    ml.use_kernels(kernels)
    print(getattr(import_module(f"tests.faults.concurrency.{module}"), function)(*json.loads(arguments)))


if __name__ == "__main__":
    main()
