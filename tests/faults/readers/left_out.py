"""Code of the package that opens files and is no reader of users' files, each with the reason."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import minilocal

PACKAGE = Path(minilocal.__file__).parent
NAMES = {
    "open", "read_text", "read_bytes", "loads", "raw_decode", "DictReader", "ZipFile", "GzipFile", "loadmat", "fdopen",
    "pread", "genops", "Unpickler", "memmap", "fromfile", "read_json", "opened_npz", "parsed",
}  # fmt: skip

OTHERS = ("boundaries.open", "Queue.open", "cls.open")  # functions of the package that have such a name, and no file

OWN = "a file of the package itself"
WRITES = "it writes, and reads nothing"
SYSTEM = "a file of the operating system"
LEFT_OUT = {
    "minilocal.cli": "the null device",
    "minilocal.cli.train": OWN,
    "minilocal.cli.verify": WRITES,
    "minilocal.data.digits": OWN,
    "minilocal.data.download": "what a server sends; the part `storage` has it",
    "minilocal.data.fetch": "bytes are copied and their sum is compared; the part `storage` has it",
    "minilocal.draw.style": "a picture that it has drawn itself, in memory",
    "minilocal.explorer.page": OWN,
    "minilocal.kernels.numba.cache": "compiled code, which runs by its nature, in a folder of this user alone",
    "minilocal.parallel.environment": "a pipe without content",
    "minilocal.parallel.launcher.called": "what the process that starts a rank has just written, in a private folder",
    "minilocal.parallel.launcher.cma": SYSTEM,
    "minilocal.parallel.launcher.follow": "a pipe without content",
    "minilocal.parallel.launcher.leftovers": SYSTEM,
    "minilocal.parallel.launcher.rank": "the null device",
    "minilocal.published": OWN,
    "minilocal.record.environment": SYSTEM,
    "minilocal.record.folder": WRITES,
    "minilocal.rules.from_file": "a user's own rule, which runs by its nature",
}


def modules_that_read() -> set[str]:
    """The modules in which one of these functions is called."""
    result = set()
    word = re.compile(rf"\b({'|'.join(NAMES)}|np\.load)\(")
    texts = {path: path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
    for path, text in texts.items():
        for node in ast.walk(ast.parse(text)) if word.search(text) else ():
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                whole = ast.unparse(node.func)
                if whole not in OTHERS and (name in NAMES or whole == "np.load"):
                    result.add(
                        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
                    )
    return result
