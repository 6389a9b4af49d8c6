"""Pipes, devices, folders and links in place of an input or an output: one line, and nothing hangs or changes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.faults.storage import links
from tests.faults.storage.case import Case
from tests.faults.storage.child import Child, command
from tests.faults.storage.expect import content, one_line, well
from tests.faults.storage.links import KINDS, ends
from tests.faults.storage.small import run_words


def cases() -> Iterator[Case]:
    for name in INPUTS:
        for kind in (
            "a pipe",
            "a device",
            "a link to /dev/zero",
            "a link to /dev/null",
            "a folder",
            "a link to itself",
            "a dangling link",
            "a socket",
        ):
            yield Case(
                f"{name}: {kind}",
                partial(as_input, name=name, kind=kind),
                kind == "a pipe" and not name.startswith("train"),
            )


INPUTS: dict[str, list[str]] = {
    "predict --images": ["predict", "run", "--images", "odd.npz"],
    "predict FILE": ["predict", "odd.npz"],
    "--dataset npz:": ["train", "--dataset", "npz:odd.npz", "--net", "mlp", "--out", "new"],
    "--dataset folder:": ["train", "--dataset", "folder:odd.npz", "--net", "mlp", "--out", "new"],
    "data npz:": ["data", "npz:odd.npz"],
    "data --data-dir": ["data", "cifar10", "--no-download", "--data-dir", "odd.npz"],
    "train --config": ["train", "--config", "odd.npz", "--out", "new"],
    "train --resume": ["train", "--resume", "odd.npz"],
    "net.weights": ["train", *run_words("")[1:-2], "--set", "net.weights=odd.npz", "--out", "new"],
    "report": ["report", "odd.npz"],
    "export": ["export", "odd.npz"],
    "export --table": ["export", "--table", "odd.npz"],
    "export --out": ["export", "run", "--out", "odd.npz"],
    "predict --out": ["predict", "run", "--out", "odd.npz"],
    "simulate --costs": ["simulate", "--net", "mlp", "--modules", "2", "--costs", "odd.npz"],
    "explorer --results": ["explorer", "--net", "resnet20", "--results", "odd.npz"],
    "rule FILE.py:NAME": ["train", "--rule", "odd.npz:mine", "--net", "mlp", "--out", "new"],
    "reproduce FILE.toml": ["reproduce", "odd.npz"],
    "reproduce --out": ["reproduce", "alignment", "--status", "--out", "odd.npz"],
    "sweep --out": ["sweep", "--status", "--net", "mlp", "--out", "odd.npz"],
    "sweep --config": ["sweep", "--config", "odd.npz", "--list"],
    "ml.load": [],
}  # fmt: skip


def as_input(folder: Path, name: str, kind: str) -> None:
    well(command(folder, *run_words("run", epochs=1)))
    if name == "rule FILE.py:NAME":
        KINDS[kind](folder, folder / "odd.py")
        words = [word.replace("odd.npz", "odd.py") for word in INPUTS[name]]
    elif name == "reproduce FILE.toml":
        KINDS[kind](folder, folder / "odd.toml")
        words = ["reproduce", "odd.toml"]
    else:
        KINDS[kind](folder, folder / "odd.npz")
        words = INPUTS[name]
    before = content(folder)
    if name == "ml.load":
        one_line(Child(folder, loaded).wait(links.LIMIT))
    else:
        ended = ends(folder, words)
        well_so = kind == "a folder" or name in (*MAY_MAKE, *SHOWS)
        assert ended.status == 2 or well_so, f"accepted: {ended}"
    after = {path: text for path, text in content(folder).items() if path in before}
    assert after == before or name in MAY_MAKE, "something has changed"


MAY_MAKE = (
    "export --out",
    "predict --out",
    "simulate --costs",
    "report",
)  # in place of a dangling link, or into a folder
SHOWS = ("reproduce --out", "sweep --out")  # the state of a folder that is not there yet


def loaded() -> int:
    import sys

    import minilocal as ml
    from minilocal.errors import UserError

    try:
        ml.load("odd.npz")
    except UserError as error:
        print(f"minilocal: {error}", file=sys.stderr)
        return 2
    return 0
