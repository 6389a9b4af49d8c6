"""A Learner as a table: its modules, their auxiliary networks, and the bytes that each keeps under its rule."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from minilocal import streams
from minilocal.engine import Module
from minilocal.engine.averages import averaged_unit
from minilocal.errors import UserError, whole
from minilocal.learner import Learner
from minilocal.memory.estimate import CPU, GPU, Machine
from minilocal.memory.per_module import KeptBytes
from minilocal.memory.profile import MemoryProfile, profile
from minilocal.nets import count
from minilocal.nets.summary import Summary, columns, rows_of, title

HEADS = ["unit", "output", "module", "parameters", "multiply-adds", "auxiliary", "keeps", "waits with"]
LEGEND = """\
multiply-adds  of one image, forward, without auxiliary networks; with the contexts of a module's first unit
auxiliary      parameters of the module's auxiliary network, or of its synthesiser
keeps          bytes of the module's activations at their peak, with its input and its auxiliary network's
waits with     bytes of these while other modules work, until an error from above arrives"""
Result = TypeVar("Result")


def summary(learner: Learner, batch_size: int = 128) -> Summary:
    """A table of the units and modules, with the bytes of a step on a batch of this size.

    The bytes are those of a real step, found by running the engine on abstract arrays; `learner` takes no step. The
    numbers of a module stand beside its last unit.

    Raises: UserError for a batch size below 1.
    """
    images = whole("batch_size", batch_size)
    net, modules = learner.net, learner.modules
    kept, step = _bytes(learner, images)
    *units, head = _rows(learner)
    auxiliary = [auxiliary_parameters(module, module is modules[-1]) for module in modules]
    cells = []
    for k, module in enumerate(modules):
        for u, (name, shape, own, macs) in enumerate(units[module.first : module.top + 1], module.first):
            row = [name, shape, str(k + 1), f"{own:,}", f"{macs:,}", "", "", ""]
            if u == module.top:
                row[5:] = [f"{auxiliary[k]:,}" if auxiliary[k] else "-", *_kept_cells(kept, k)]
            cells.append(row)
    name, shape, own, macs = head
    if own:
        cells.append([name, shape, str(len(modules)), f"{own:,}", f"{macs:,}", "", "", ""])
    size = network_size(learner)
    total = [f"{size.parameters:,}", f"{size.multiply_adds:,}", f"{sum(auxiliary):,}"]
    table = columns(HEADS, cells, ["total", "", str(len(modules)), *total, "", ""])
    legend = f"{LEGEND}{_averaged(modules)}"
    return Summary(f"{title(net)}\n{learner.rule.describe()}\n\n{table}\n\n{legend}\n\n{_last_lines(step, images)}")


class NetworkSize(NamedTuple):
    """Of a network: parameters, and the multiply-adds of a forward pass of one image."""

    parameters: int
    multiply_adds: int


def network_size(learner: Learner) -> NetworkSize:
    """The size of the network that is tested: units with their contexts, and the head, without auxiliary networks."""
    rows = _rows(learner)
    return NetworkSize(sum(row[2] for row in rows), sum(row[3] for row in rows))


def _rows(learner: Learner) -> list[tuple[str, str, int, int]]:
    """(name, output shape, parameters, multiply-adds for one image) of each unit that is tested, and of the head."""
    units = [unit for module in learner.modules for unit in module.units]
    return rows_of(learner.net.shape, [*units, learner.net.head])


def kept_bytes(learner: Learner, images: int) -> KeptBytes | None:
    """What each module keeps in a step of this many images, as `summary` has it; None where a layer reads numbers."""
    return _estimated(_kept, learner, images, CPU() if learner.device == "cpu" else GPU())


def auxiliary_parameters(module: Module, is_last: bool) -> int:
    """The parameters of a module's auxiliary network and synthesiser. The last module's objective is the net's head."""
    parts = [module.synthesiser] if is_last else [module.objective, module.synthesiser]
    return sum(count(part.parameters) for part in parts if part is not None)


def _averaged(modules: Sequence[Module]) -> str:
    """A line for the weights that are averaged from other modules; nothing where there are none."""
    units = [averaged_unit(module) for module in modules]
    number = sum(count(unit.averaged) for unit in units if unit is not None)
    return f"\n\nBehind the modules stand {number:,} averaged weights, which no gradient trains." if number else ""


def _kept_cells(kept: KeptBytes | None, k: int) -> list[str]:
    return ["?", "?"] if kept is None else [_mb(kept.peak[k]), _mb(kept.waiting[k])]


def _last_lines(step: MemoryProfile | None, images: int) -> str:
    if step is None:
        return "The bytes are not known: a layer of your own reads numbers, and abstract arrays have none."
    held, kept = step.parameters + step.statistics + step.optimizer, step.activations + step.auxiliary
    return (
        f"With {images} images a step takes {_mb(step.step)} at its peak, {_mb(kept)} of it activations, above\n"
        f"{_mb(held)} for parameters, statistics and the optimiser."
    )


def _mb(n: int) -> str:
    return f"{n / 1e6:,.2f} MB"


def _bytes(learner: Learner, images: int) -> tuple[KeptBytes | None, MemoryProfile | None]:
    """What each module keeps, and the profile of a step; None where a layer reads numbers."""
    machine = CPU() if learner.device == "cpu" else GPU()
    kept = _estimated(_kept, learner, images, machine)
    return kept, None if kept is None else _estimated(profile, learner, images, machine)


def _estimated(
    measured: Callable[[Learner, Any, Any], Result], learner: Learner, images: int, machine: Machine
) -> Result | None:
    """`measured` on abstract arrays; None where a layer reads numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `learner` has warned already
            return _on_abstract_arrays(measured, learner, images, machine)
    except (TypeError, AttributeError, UserError):
        return None


def _on_abstract_arrays(
    measured: Callable[[Learner, Any, Any], Result], learner: Learner, images: int, machine: Machine
) -> Result:
    """`measured` of a Learner like this one and a batch, both on abstract arrays."""
    library, sizes = machine.library, [len(m.units) for m in learner.modules]
    abstract = Learner(
        learner.net, learner.rule, sizes, rng=streams.rng(0), device=library, dtype=learner.dtype,
        optimizer=learner.optimizer,
    )  # fmt: skip
    abstract.epoch = learner.epoch
    machine.prepare(abstract)
    x: Any = library.empty((images, *learner.net.shape), learner.dtype)
    y: Any = library.empty((images,), int)
    return measured(abstract, x, y)


def _kept(learner: Learner, x: Any, y: Any) -> KeptBytes:
    """What each module keeps in the steady state."""
    for _ in range(learner.rule.least_batches(len(learner.modules)) - 1):
        learner.step(x, y, lr=0.0)
    with KeptBytes(learner, (x, y)) as kept:
        learner.step(x, y, lr=0.0)
    return kept
