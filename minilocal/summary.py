"""A Learner as a table: its modules, their auxiliary networks, and the bytes that each keeps under this rule."""

from __future__ import annotations

import warnings
from typing import Any

from minilocal import streams
from minilocal.errors import UserError, whole
from minilocal.learner import Learner
from minilocal.memory.estimate import CPU, GPU
from minilocal.memory.per_module import KeptBytes
from minilocal.memory.profile import MemoryProfile, profile
from minilocal.nets import count
from minilocal.nets.summary import Summary, columns, rows, title

HEADS = ["unit", "output", "module", "parameters", "multiply-adds", "auxiliary", "keeps", "waits with"]
LEGEND = """\
multiply-adds  of one image, forward, without auxiliary networks
auxiliary      parameters of the module's auxiliary network, or of what guesses its error
keeps          bytes of the module's activations at most, its input and its auxiliary network's among them
waits with     bytes of these while other modules work: what an error from above is awaited with"""


def summary(learner: Learner, batch_size: int = 128) -> Summary:
    """Every unit of the network and every module of the Learner; bytes are those of a batch of this size.

    The bytes are found by running the engine on arrays without memory, so they are those of a real step, and no step is
    taken. A module's numbers stand beside its last unit.

    Raises: UserError for a batch size below 1.
    """
    images = whole("batch_size", batch_size)
    net, K = learner.net, len(learner.modules)
    kept, used = _bytes(learner, images)
    cells, total_aux, unit = [], 0, 0
    found = rows(net)
    for k, module in enumerate(learner.modules):
        parts = [
            p
            for p in (module.objective, module.synthesiser)
            if p is not None and (k < K - 1 or p is module.synthesiser)
        ]
        aux = sum(count(part.parameters) for part in parts)
        total_aux += aux
        for u in range(len(module.units)):
            name, shape, size, macs = found[unit]
            row = [name, shape, str(k + 1), f"{size:,}", f"{macs:,}", "", "", ""]
            if u == len(module.units) - 1:
                row[5:] = [f"{aux:,}" if aux else "-", *_pair(kept, k)]
            cells.append(row)
            unit += 1
    name, shape, size, macs = found[-1]
    if size:
        cells.append([name, shape, str(K), f"{size:,}", f"{macs:,}", "", "", ""])
    sizes = [sum(r[i] for r in found) for i in (2, 3)]  # type: ignore[misc]
    last = ["total", "", str(K), f"{sizes[0]:,}", f"{sizes[1]:,}", f"{total_aux:,}", "", ""]
    table = columns(HEADS, cells, last)
    return Summary(f"{title(net)}\n{learner.rule.describe()}\n\n{table}\n\n{LEGEND}\n\n{_signature(used, images)}")


def _pair(kept: KeptBytes | None, k: int) -> list[str]:
    return ["?", "?"] if kept is None else [_mb(kept.most[k]), _mb(kept.waiting[k])]


def _signature(used: MemoryProfile | None, images: int) -> str:
    if used is None:
        return "The bytes are not known: a layer of your own reads numbers, and there are none to be read."
    held, kept = used.parameters + used.statistics + used.optimizer, used.activations + used.auxiliary
    return (
        f"With {images} images a step takes {_mb(used.step)} at its peak, {_mb(kept)} of it activations, above\n"
        f"{_mb(held)} for parameters, statistics and the optimiser."
    )


def _mb(n: int) -> str:
    return f"{n / 1e6:,.2f} MB"


def _bytes(learner: Learner, images: int) -> tuple[KeptBytes | None, MemoryProfile | None]:
    """What each module keeps, and what a step takes; None where a layer cannot run without numbers."""
    machine = CPU() if learner.device == "cpu" else GPU()
    library, sizes = machine.library, [len(m.units) for m in learner.modules]
    found: list[Any] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it has warned already
            for _ in range(2):
                ghost = Learner(
                    learner.net, learner.rule, sizes, rng=streams.rng(0), device=library, dtype=learner.dtype,
                    optimizer=learner.optimizer,
                )  # fmt: skip
                ghost.epoch = learner.epoch
                machine.prepare(ghost)
                x: Any = library.empty((images, *learner.net.shape), learner.dtype)
                y: Any = library.empty((images,), int)
                found.append(_kept(ghost, x, y) if not found else profile(ghost, x, y))
    except (TypeError, AttributeError, UserError):
        return None, None
    return found[0], found[1]


def _kept(ghost: Learner, x: Any, y: Any) -> KeptBytes:
    """In the steady state."""
    for _ in range(ghost.rule.least_batches(len(ghost.modules)) - 1):
        ghost.step(x, y, lr=0.0)
    with KeptBytes(ghost, (x, y)) as kept:
        ghost.step(x, y, lr=0.0)
    return kept
