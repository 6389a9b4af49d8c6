"""The bytes of a training step of each group, estimated from its configuration."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from minilocal import memory
from minilocal.config import Config
from minilocal.errors import UserError
from minilocal.memory import CPU, GPU, MemoryProfile
from minilocal.nets.net import Size
from minilocal.report.groups import Group
from minilocal.train.from_config import learner_of

IMAGES: dict[str, tuple[Size, int, int]] = {  # size, channels, classes, of runs that do not record them
    "digits": (16, 1, 10), "cifar10": (32, 3, 10), "cifar10-lt": (32, 3, 10), "cifar100": (32, 3, 100),
    "svhn": (32, 3, 10), "stl10": (96, 3, 10), "mnist": (28, 1, 10), "fashion-mnist": (28, 1, 10),
}  # fmt: skip
KEYS = ("rule.", "net.", "data.name", "optim.name", "optim.momentum", "optim.nesterov", "optim.batch_size", "run.dtype")


class Memory:
    """Estimates by group. `of` returns megabytes, or None with a line in `remarks`.

    Each configuration is estimated once. The estimate is that of its device: of the CPU with the threads that the run
    had, or of a GPU without recorded steps.
    """

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self._known: dict[str, float | None] = {}
        self._machines: dict[tuple[str, int | None], Any] = {}  # each remembers what its kernels allocate

    def of(self, group: Group) -> float | None:
        """The peak of a step in MB above parameters, statistics and momentum; PGL's in a global epoch."""
        settings = {key: value for key, value in group.settings.items() if key.startswith(KEYS)}
        place = [group.first.config.run.device.partition(":")[0], _threads(group)]
        key = json.dumps([settings, place], sort_keys=True, default=str)
        if key not in self._known:
            self._known[key] = self._estimate(group)
        return self._known[key]

    def _estimate(self, group: Group) -> float | None:
        config = group.first.config
        try:
            return estimated(config, _images(group), self._machine(group)).step / 1e6
        except UserError as error:
            self.remarks.append(f"The memory of {group.name} is not estimated: {error}")
            return None

    def _machine(self, group: Group) -> Any:
        on_cpu, threads = group.first.config.run.device == "cpu", _threads(group)
        place = ("cpu", threads) if on_cpu else ("gpu", None)
        if place not in self._machines:
            self._machines[place] = CPU(threads) if on_cpu else GPU()
        return self._machines[place]


def estimated(config: Config, images: tuple[Size, int, int], machine: Any) -> MemoryProfile:
    """The bytes of a step of a configuration, for images of this size, channels and classes; PGL's in a global epoch.

    `machine` is `memory.CPU()` or `memory.GPU()`.

    Raises: UserError for a network that does not fit the images, or its number of modules.
    """
    size, channels, classes = images
    constants = {"mean": (0.5,) * channels, "std": (0.5,) * channels}  # bytes do not depend on them
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # training gives them
        learner = learner_of(config, classes, channels, size, constants, device=machine.library)
        cut = [len(module.units) for module in learner.modules]
        epoch = next((e for e in range(config.optim.epochs) if learner.rule.when.is_global(e)), 0)
        return memory.estimate(
            learner.net, learner.rule, cut, config.optim.batch_size, dtype=config.run.dtype,
            optimizer=learner.optimizer, epoch=epoch, machine=machine,
        )  # fmt: skip


def _threads(group: Group) -> int | None:
    threads = group.first.environment.get("threads")
    return threads if isinstance(threads, int) and threads > 0 else None


def _images(group: Group) -> tuple[Size, int, int]:
    """Size, channels and classes of the images, as recorded or as known.

    Raises: UserError where neither is.
    """
    recorded = group.first.environment.get("data", {})
    if isinstance(recorded, Mapping) and "shape" in recorded:
        H, W, channels = recorded["shape"]
        return H if H == W else (H, W), channels, recorded["classes"]
    name = group.first.config.data.name
    if name not in IMAGES:
        raise UserError(f"{group.first.folder} does not say of which shape the images of {name} are.")
    return IMAGES[name]
