"""From the flags of `minilocal sweep` to its cells, its folder, and the keys of this machine."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minilocal.cli.train import preset_source
from minilocal.config import FLAGS, SWITCHES, Source, read_file
from minilocal.device import check_device_name
from minilocal.errors import UserError, whole
from minilocal.parallel.environment import place
from minilocal.sweep import Axis, Choice, Queue, expand, without_machine
from minilocal.sweep.words import check_once, commas_explained, of_flag, of_seeds, of_settings, of_switch, values

READERS: dict[str, Callable[[str], Source]] = {"preset": preset_source, "config": read_file}
INSTEAD = {"run.out": "--out DIR", "run.processes": "--jobs N", "run.device": "--device"}
NOT_AN_AXIS = ("--out", "--processes", "--device")  # flags of `minilocal train`


def planned(options: argparse.Namespace) -> tuple[Queue, dict[str, Any]]:
    """The cells and their folder, and the keys of [run] that this machine has. Prints remarks on the grid to stderr.

    Raises: UserError for a grid that is empty or not valid, and a folder of another sweep.
    """
    axes = _axes(options)
    check_once([axis for axis in axes if axis.name not in READERS])
    grid, data, run = without_machine(axes, INSTEAD)  # the sweep's record keeps the keys of [data]
    if not grid:
        if options.out is None:
            raise UserError(
                "sweep: the grid is empty. Give values, as --lr 0.1,0.05 and --seeds 0-4, or the --out DIR of a sweep."
            )
        return Queue.read(Path(options.out)).on(data), run
    try:
        cells, remarks = expand(grid)
    except UserError as error:
        raise commas_explained(error, grid) from None
    for remark in remarks if place().rank == 0 else ():
        print(f"minilocal: {remark}", file=sys.stderr)
    out = Path(options.out) if options.out is not None else _default_folder(grid, [cell.name for cell in cells])
    return Queue.open(out, cells).on(data), run


def _axes(options: argparse.Namespace) -> list[Axis]:
    """The axes that the flags give, weakest first: presets, files, flags, --set."""
    axes = []
    for name, read in READERS.items():
        if texts := getattr(options, name):
            names = [word for text in texts for word in values(f"--{name}", text)]
            axes.append(Axis(name, [Choice(word, read(word)) for word in names]))
    for flag in FLAGS:
        texts = None if flag in NOT_AN_AXIS else getattr(options, flag[2:].replace("-", "_"))
        if texts:
            axes.append(of_switch(flag) if flag in SWITCHES else of_flag(flag, texts))
    if options.seeds is not None:
        axes.append(of_seeds(options.seeds))
    return axes + of_settings(options.set)


def _default_folder(grid: list[Axis], names: list[str]) -> Path:
    """sweeps/rule-alpha-1a2b3c4d5e: the keys that vary, and a hash of the cells."""
    keys = [axis.name for axis in grid if len(axis.choices) > 1]
    words = [key.partition(".")[0] if key.endswith(".name") else key.rpartition(".")[2] for key in keys]
    digest = hashlib.blake2b("\n".join(sorted(names)).encode(), digest_size=5).hexdigest()
    return Path("sweeps") / "-".join([*words, digest])


def devices(text: str | None) -> list[str]:
    """The devices in `cuda:0,1`: cuda:0 and cuda:1."""
    if text is None:
        return []
    words = values("--device", text)
    names = [f"{words[0].partition(':')[0]}:{word}" if word.isdecimal() else word for word in words]
    for name in names:
        check_device_name(name)
    if len(set(names)) < len(names):
        raise UserError(f"--device {text} names a device twice: give --jobs N for several processes on one.")
    return names


def jobs(number: int | None, devices: Sequence[str]) -> int:
    """The number of processes: one for each device, where none is asked for.

    Raises: UserError for less than one, and for fewer than devices.
    """
    if number is None:
        return max(1, len(devices))
    if whole("--jobs", number) < len(devices):
        raise UserError(f"--jobs {number} met {len(devices)} devices: give each of them a process.")
    return number
