"""The bytes of a training step of each group, estimated from its configuration."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from minilocal import memory
from minilocal.errors import UserError
from minilocal.memory import CPU, GPU
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
            size, channels, classes = _images(group)
            machine = self._machine(group)
            constants = {"mean": (0.5,) * channels, "std": (0.5,) * channels}  # bytes do not depend on them
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the run has given them
                learner = learner_of(config, classes, channels, size, constants, device=machine.library)
                cut = [len(module.units) for module in learner.modules]
                when, images = learner.rule.when, config.optim.batch_size
                epochs = next((e for e in range(config.optim.epochs) if when.is_global(e)), 0)
                profile = memory.estimate(
                    learner.net, learner.rule, cut, images, dtype=config.run.dtype, optimizer=learner.optimizer,
                    epoch=epochs, machine=machine,
                )  # fmt: skip
        except UserError as error:
            self.remarks.append(f"The memory of {group.name} is not estimated: {error}")
            return None
        return profile.step / 1e6

    def _machine(self, group: Group) -> Any:
        on_cpu, threads = group.first.config.run.device == "cpu", _threads(group)
        place = ("cpu", threads) if on_cpu else ("gpu", None)
        if place not in self._machines:
            self._machines[place] = CPU(threads) if on_cpu else GPU()
        return self._machines[place]


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
