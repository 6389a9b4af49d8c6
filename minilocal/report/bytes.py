"""The bytes of a training step of each group, estimated from its configuration."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from minilocal import memory, rules
from minilocal.config import Config, from_tables, tables_of
from minilocal.errors import UserError, whole
from minilocal.learner import Learner
from minilocal.memory import CPU, GPU, MemoryProfile, PeriodMemory
from minilocal.nets.net import Size
from minilocal.report.groups import Group
from minilocal.summary import NetworkSize, network_size
from minilocal.train.from_config import learner_of

IMAGES: dict[str, tuple[Size, int, int]] = {  # size, channels, classes, of runs that do not record them
    "digits": (16, 1, 10), "digits-lt": (16, 1, 10), "cifar10": (32, 3, 10), "cifar10-lt": (32, 3, 10),
    "cifar100": (32, 3, 100), "svhn": (32, 3, 10), "stl10": (96, 3, 10), "mnist": (28, 1, 10),
    "fashion-mnist": (28, 1, 10),
}  # fmt: skip
KEYS = ("rule.", "net.", "data.name", "optim.name", "optim.momentum", "optim.nesterov", "optim.batch_size", "run.dtype")


class Memory:
    """Estimates by group. `of` returns megabytes, or None with a line in `remarks`.

    Each configuration is estimated once. The estimate is that of its device: of the CPU with the threads that the run
    had, or of a GPU without recorded steps.
    """

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self._known: dict[str, PeriodMemory | None] = {}
        self._machines: dict[tuple[str, int | None], Any] = {}  # each remembers what its kernels allocate

    def of(self, group: Group) -> float | None:
        """The peak of a step in MB above parameters, statistics and momentum; PGL's in a global epoch."""
        period = self.over_period(group)
        return None if period is None else period.peak.step / 1e6

    def over_period(self, group: Group, rule: Mapping[str, Any] | None = None) -> PeriodMemory | None:
        """The bytes of a step in the local and in the global epochs of the run; None with a line in `remarks`.

        With `rule`, {"name": "bp", "keep": "inputs"}, they are those of the same configuration under that rule; None
        without a further line where the group has one.
        """
        key = key_of(group, rule)
        if key not in self._known:
            self._known[key] = self._estimate(group, rule)
        return self._known[key]

    def tested(self, group: Group, rule: Mapping[str, Any] | None = None) -> NetworkSize | None:
        """The size of the network that is tested, with that rule if one is given; None where it cannot be built."""
        tables = tables_of(group.first.config)
        try:
            config = from_tables({**tables, "rule": dict(rule)}, "a baseline") if rule else group.first.config
            return network_size(learner_for(config, images_of(group), self._machine(group).library))
        except UserError:
            return None

    def _estimate(self, group: Group, rule: Mapping[str, Any] | None) -> PeriodMemory | None:
        tables = tables_of(group.first.config)
        try:
            config = from_tables({**tables, "rule": dict(rule)}, "a baseline") if rule else group.first.config
            return estimated_period(config, images_of(group), self._machine(group))
        except UserError as error:
            if rule is None:
                self.remarks.append(f"The memory of {group.name} is not estimated: {error}")
            elif self.over_period(group) is not None:
                name = f"{rule['name']} on the network of {group.name}"
                self.remarks.append(f"The memory of {name} is not estimated: {error}")
            return None

    def _machine(self, group: Group) -> Any:
        on_cpu, threads = group.first.config.run.device == "cpu", _threads(group)
        place = ("cpu", threads) if on_cpu else ("gpu", None)
        if place not in self._machines:
            self._machines[place] = CPU(threads) if on_cpu else GPU()
        return self._machines[place]


def key_of(group: Group, rule: Mapping[str, Any] | None = None) -> str:
    """What the bytes of a group's step depend on, with another rule than its own if one is given, as text."""
    settings = {key: value for key, value in group.settings.items() if key.startswith(KEYS)}
    if rule is not None:
        settings = {key: value for key, value in settings.items() if not key.startswith("rule.")}
        settings |= {f"rule.{option}": value for option, value in rules.options(rule["name"]).items()}
        settings |= {f"rule.{option}": value for option, value in rule.items()}
    place = [group.first.config.run.device.partition(":")[0], _threads(group)]
    return json.dumps([settings, place], sort_keys=True, default=str)


def estimated(config: Config, images: tuple[Size, int, int], machine: Any) -> MemoryProfile:
    """The bytes of a step of a configuration at its peak, as `estimated_period`: PGL's in a global epoch.

    Raises: UserError for a network that does not fit the images, or its number of modules.
    """
    return estimated_period(config, images, machine).peak


def estimated_period(config: Config, images: tuple[Size, int, int], machine: Any) -> PeriodMemory:
    """The bytes of a step of a configuration in its local and global epochs, for images of this size, channels and
    classes.

    Global epochs that its epochs do not reach do not count. `machine` is `memory.CPU()` or `memory.GPU()`.

    Raises: UserError for a network that does not fit the images, or its number of modules.
    """
    learner = learner_for(config, images, machine.library)
    cut = [len(module.units) for module in learner.modules]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # training gives them
        period = memory.over_period(
            learner.net, learner.rule, cut, config.optim.batch_size, dtype=config.run.dtype,
            optimizer=learner.optimizer, machine=machine,
        )  # fmt: skip
    if any(map(learner.rule.when.is_global, range(config.optim.epochs))):
        return period
    return PeriodMemory(period.local, period.local, 0.0)


def learner_for(config: Config, images: tuple[Size, int, int], library: Any) -> Learner:
    """The Learner of a configuration on abstract arrays of `library`, for images of this size, channels and classes.

    Raises: UserError where network, rule and modules do not fit.
    """
    size, channels, classes = images
    constants = {"mean": (0.5,) * channels, "std": (0.5,) * channels}  # no shape depends on them
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # training gives them
        return learner_of(config, classes, channels, size, constants, device=library)


def _threads(group: Group) -> int | None:
    threads = group.first.environment.get("threads")
    return threads if isinstance(threads, int) and threads > 0 else None


def images_of(group: Group) -> tuple[Size, int, int]:
    """Size, channels and classes of the images, as recorded or as known.

    Raises: UserError where neither is, and where the record is damaged.
    """
    recorded = group.first.environment.get("data", {})
    if isinstance(recorded, Mapping) and "shape" in recorded:
        try:
            H, W, channels, classes = (whole("size", n) for n in (*recorded["shape"], recorded["classes"]))
        except (UserError, KeyError, TypeError, ValueError):
            raise UserError(f"{group.first.folder}/environment.json: the shape of its images is damaged.") from None
        return H if H == W else (H, W), channels, classes
    name = group.first.config.data.name
    if name not in IMAGES:
        raise UserError(f"{group.first.folder} does not say of which shape the images of {name} are.")
    return IMAGES[name]
