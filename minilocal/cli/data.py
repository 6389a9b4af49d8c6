"""`minilocal data`: the data sets and where they lie; with a name, fetch, verify and show one."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from minilocal.cli.parser import Parser
from minilocal.errors import UserError

if TYPE_CHECKING:
    from minilocal.data import DataSet

FORMATS = "png, svg"


def parser() -> Parser:
    """The options of `minilocal data`."""
    from minilocal import data

    p = Parser("data", __doc__)
    p.add_argument("name", nargs="?", metavar="NAME", help=f"{', '.join(data.NAMES)}; without it, all of them")
    p.add_argument("--data-dir", metavar="DIR", help=f"the folder of the files ({data.default_folder()})")
    p.add_argument(
        "--source",
        metavar="WHERE",
        help="fetch from here: a mirror's address (https://...), a folder or a file; verified all the same",
    )
    p.add_argument("--no-download", action="store_true", help="use only files that are there")
    p.add_output("--sheet", metavar="FILE", help=f"a contact sheet of the first images of each class ({FORMATS})")
    return p


def run(options: argparse.Namespace) -> int:
    """Print the state of every data set, or fetch, verify and describe one."""
    from minilocal import data

    if options.sheet:
        _check_format(options.sheet)
    if options.name is None:
        if options.source is not None:
            raise UserError(
                "data: --source needs the name of a data set, as in minilocal data cifar10 --source FOLDER."
            )
        if options.no_download:
            raise UserError("data: --no-download needs the name of a data set: without one nothing is fetched.")
        if options.sheet:
            raise UserError(
                "data: --sheet needs the name of a data set, as in minilocal data digits --sheet digits.png."
            )
        for name, state in states(options.data_dir):
            print(f"{name:<15}{state}")
        return 0
    dataset = data.load(options.name, dir=options.data_dir, download=not options.no_download, source=options.source)
    print(data.describe(dataset))
    if options.sheet:
        sheet(dataset, options.sheet)
        print(f"a contact sheet is in {options.sheet}")
    return 0


def states(data_dir: str | None) -> list[tuple[str, str]]:
    """(name, its folder or the command that fetches it) of each data set. Nothing is read or fetched."""
    from pathlib import Path

    from minilocal.data import default_folder
    from minilocal.data.copies import absent, copies
    from minilocal.data.official import FORMATS

    folder = Path(data_dir).expanduser() if data_dir is not None else default_folder()
    rows = [("digits", "in the package")]
    for name, official in FORMATS.items():
        flag = f" --data-dir {shlex.quote(data_dir)}" if data_dir else ""
        state = f"not in {folder}; fetch it: minilocal data {name}{flag}"
        for layout, place in copies(official, folder)[:1]:
            missing = ", ".join(absent(layout, place))
            state = f"{place}, without {missing}" if missing else str(place)
        rows.append((name, state))
    return [
        *rows,
        ("cifar10-lt", "CIFAR-10 with classes that fall by a ratio of 1.3: from the files of cifar10"),
        ("digits-lt", "the digits with the same ratio, in the package"),
        ("npz:PATH", "your own images: train_x, train_y, test_x, test_y"),
        ("folder:PATH", "your own pictures, PNG or JPEG: PATH/train/CLASS/*.png, PATH/test/CLASS/*.png"),
    ]


def _check_format(path: str) -> None:
    if not path.lower().endswith(tuple(f".{kind}" for kind in FORMATS.split(", "))):
        raise UserError(f"data: --sheet {path} has no known format: end it in one of {FORMATS}.")


def sheet(dataset: DataSet, path: str, columns: int = 10) -> None:
    """Write a picture of the first training images of each class, one named row for each of the first ten classes.

    Raises: UserError for images of neither 1, 3 nor 4 channels.
    """
    import numpy as np

    from minilocal.data import contact_sheet
    from minilocal.draw import to_png, to_svg
    from minilocal.draw.sheet import sheet as contact_figure
    from minilocal.record import atomic_write

    if dataset.channels not in (1, 3, 4):
        raise UserError(
            f"data: --sheet cannot show {dataset.name}, whose images have {dataset.channels} channels, as colours: "
            "1 (grey), 3 (red, green, blue) or 4 (and opacity)."
        )
    y = dataset.train_y
    rows = [np.flatnonzero(y == c)[:columns] for c in range(min(len(dataset.classes), 10))]
    white = np.full((1, *dataset.train_x.shape[1:]), 255, np.uint8)  # where a class has fewer images than columns
    images = np.concatenate(
        [np.concatenate([dataset.train_x[row], white.repeat(columns - len(row), 0)]) for row in rows]
    )
    figure = contact_figure(contact_sheet(images, columns), dataset.classes[: len(rows)])
    with atomic_write(path) as file:
        file.write(to_svg(figure).encode() if path.lower().endswith(".svg") else to_png(figure))
