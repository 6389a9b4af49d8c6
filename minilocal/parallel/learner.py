"""A Learner whose modules are trained by several MPI ranks at the same time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np

from minilocal import inputs
from minilocal import learner as one_process
from minilocal.array import Array, host_copy, to_host
from minilocal.costs import measure
from minilocal.device import device_namespace, on_its_device
from minilocal.engine import Engine, MicroBatches, evaluation
from minilocal.engine.build import owners
from minilocal.errors import UserError
from minilocal.kernels.threads import one_blas_thread
from minilocal.kernels.underflow import underflow_is_zero
from minilocal.nets import Net
from minilocal.optim import Optimizer, State
from minilocal.parallel.asynchronous import AsynchronousRank
from minilocal.parallel.contexts import from_below, to_above
from minilocal.parallel.delayed import DelayedRank, merged
from minilocal.parallel.folder import on_first_alone
from minilocal.parallel.group import Ranks
from minilocal.parallel.interlocking import InterlockingRank
from minilocal.parallel.launcher.cause import note
from minilocal.parallel.mpi import world
from minilocal.parallel.ranks import owned
from minilocal.parallel.segment import Segment
from minilocal.parallel.synchronous import SynchronousRank, unit_inputs
from minilocal.parallel.wire import Neighbour
from minilocal.rules import Rule
from minilocal.split import Modules

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")
Logits = list[Array | None]
Rank = SynchronousRank | DelayedRank | AsynchronousRank


class Learner(one_process.Learner):
    """A Learner in each of the ranks of `comm`, all MPI processes by default; a rank trains neighbouring modules.

    Every rank builds it from the same net, rule and `rng`, and calls the same methods in the same order with the same
    batches. On the CPU all weights are those of a Learner in one process, bit for bit.

    `step` returns a rank's own losses, NaN for the modules of other ranks. `predict` and `local_logits` return the same
    on every rank; `parameters`, `buffers`, `optimizer_states`, `gradients`, `state` and `losses` are whole on rank 0.

    `loads` is the cost of each module, by which ranks get equal shares: its multiply-adds by default.

    Raises: UserError as `minilocal.Learner`, for more ranks than modules, and for loads that are not one a module.
    """

    def __init__(
        self,
        net: Net,
        rule: Rule,
        modules: Modules = 4,
        *,
        rng: np.random.Generator,
        comm: MPI.Intracomm | None = None,
        device: Any = "cpu",
        dtype: Any = "float32",
        optimizer: Optimizer | None = None,
        loads: Sequence[float] | None = None,
    ) -> None:
        self.comm = world() if comm is None else comm
        self.loads = loads
        super().__init__(net, rule, modules, rng=rng, device=device, dtype=dtype, optimizer=optimizer, cuda_graph=False)

    def _new_engine(self) -> Engine:
        comm, xp = self.comm, device_namespace(self.device)
        sizes = [len(module.units) for module in self.modules]
        self.ranks = owned(self._costs(sizes), comm.size)
        self.below = Neighbour(comm, comm.rank - 1, xp) if comm.rank > 0 else None
        self.above = Neighbour(comm, comm.rank + 1, xp) if comm.rank < comm.size - 1 else None
        note(modules=f"{self.own_modules.start + 1}-{self.own_modules.stop}")
        own = [self.modules[k] for k in self.own_modules]
        kinds = (owners(own, kind) for kind in ("parameters", "buffers"))
        self.own_names = {name for kind in kinds for _, arrays in kind for name in arrays}
        at = self.modules, self.rule, self._training.arrays, Segment(self.own_modules, self.below, self.above)
        if self.rule.boundary.delayed:
            self._rank: Rank = DelayedRank(*at, comm, self.net.shape)
        elif self.rule.when.engine == "asynchronous":
            self._rank = AsynchronousRank(*at)
        elif self.rule.boundary.one_loss:
            self._rank = InterlockingRank(*at)
        else:
            self._rank = SynchronousRank(*at)
        if self.rule.accumulate == 1:
            return self._rank
        assert isinstance(self._rank, SynchronousRank), "compose refuses micro-batches elsewhere"
        return MicroBatches(self._rank, self.rule.accumulate)

    def _costs(self, sizes: Sequence[int]) -> Sequence[float]:
        """The cost of each module. Raises: UserError for `loads` of another number of modules."""
        if self.loads is None:
            return measure(self.net, self.rule, len(sizes), "flops").of(sizes)
        if len(self.loads) != len(sizes):
            raise UserError(f"{len(self.loads)} loads met {len(sizes)} modules: give a number for each of them.")
        return self.loads

    def _recorded(self, xp: Any) -> None:
        """None: messages between ranks are no part of a CUDA graph."""

    def process_group(self) -> Ranks:
        """Its ranks, for the training loop of `minilocal.fit`."""
        return Ranks(self.comm)

    @property
    def own_modules(self) -> range:
        """The modules that this rank trains."""
        return self.ranks[self.comm.rank]

    # ------------------------------------------------------------------ what it holds, whole on rank 0

    def parameters(self) -> dict[str, Array]:
        """{name: array} of everything that learns. On rank 0 all are up to date, elsewhere this rank's own."""
        self._gather_arrays()
        return self._training.parameters()

    def buffers(self) -> dict[str, Array]:
        """{name: array} of the running statistics; as `parameters`."""
        self._gather_arrays()
        return self._training.buffers()

    @on_its_device
    def optimizer_states(self) -> dict[str, State]:
        """{parameter: what the optimiser keeps for it}, host copies: on rank 0 of all, elsewhere of this rank's own."""
        self._rank.flush()
        states = self._training.optimizer_states
        own = {n: {key: host_copy(a) for key, a in states[n].items()} for n in states if n in self.own_names}
        return self._gathered(own)

    @on_its_device
    def load(self, arrays: Mapping[str, Array]) -> None:
        """Copy parameters and running statistics in, those that rank 0 gives. Raises: UserError, on every rank."""
        self._rank.flush()

        def checked() -> dict[str, np.ndarray]:
            inputs.weights(arrays, self._training.arrays, self.net.name)
            return {name: to_host(a) for name, a in arrays.items()}

        self._training.load(self.comm.bcast(on_first_alone(self.comm, checked)))

    def losses(self, losses: Array) -> np.ndarray:
        """The losses (K,) of all ranks, from those that `step` returned on each of them: on rank 0, NaN elsewhere."""
        own = to_host(losses)
        parts = self.comm.gather(own[self.own_modules.start : self.own_modules.stop])
        return np.full_like(own, np.nan) if parts is None else np.concatenate(parts)

    @on_its_device
    def state(self) -> dict[str, np.ndarray]:
        """Everything that training continues from: on rank 0 as a Learner in one process has it, elsewhere nothing.

        Raises: RuntimeError where two ranks hold different copies of a unit.
        """
        self._rank.flush()
        self._check_copies()
        arrays, engines = self.comm.gather(self.own_state()), self.comm.gather(self._rank.state())
        if arrays is None or engines is None:
            return {}
        in_flight = merged(engines) if isinstance(self._rank, DelayedRank) else union(engines)
        return union(arrays) | {f"flight:{name}": a for name, a in in_flight.items()}

    @on_its_device
    def own_state(self) -> dict[str, np.ndarray]:
        """This rank's own arrays, the optimiser's state of them, and the counters; no other rank is asked."""
        return self._training.to_arrays({}, self.own_names)

    @on_its_device
    def restore(self, saved: Mapping[str, np.ndarray]) -> None:
        """Continue from the `state()` that rank 0 gives, of these ranks, of others or of one process.

        Raises: UserError as in one process, on every rank.
        """
        self._rank.flush()
        saved = self.comm.bcast(dict(saved) if self._first else None)
        checked = inputs.state(saved, self._training.arrays, self._training.parameters(), self.net.name)
        self._rank.restore(checked.in_flight, self.net.shape)
        self._training.restore(checked)

    def save(self, path: str | Path) -> None:
        """Write everything that training continues from into one .npz, on rank 0; as `minilocal.Learner.save`."""
        from minilocal.saved import save

        state = self.state()
        if self._first:
            save(self, path, state)

    def __getstate__(self) -> NoReturn:
        raise UserError(
            "a Learner of several ranks cannot be copied or pickled: save(path) writes a file, and "
            "minilocal.load(path) makes a Learner of it."
        )

    # ------------------------------------------------------------------ what it does

    @on_its_device
    def gradients(self, x: Array, y: Array) -> tuple[Array, dict[str, Array]]:
        """(losses (K,), {name: gradient}) of one batch: on rank 0 of all modules, elsewhere of this rank's own.

        Raises: UserError as in one process.
        """
        self._rank.flush()
        losses, grads = super().gradients(x, y)
        gathered = self._gathered({name: to_host(g) for name, g in grads.items() if name in self.own_names})
        xp = device_namespace(self.device)
        return xp.asarray(self.losses(losses)), {
            name: xp.asarray(gathered[name]) for name in self._training.names[0] if name in gathered
        }

    @on_its_device
    def finish(self, lr: float | None = None) -> None:
        """Drain what a delayed rule has in flight in all ranks; as in one process."""
        self._rank.flush()
        super().finish(lr)

    def predict(self, x: Array) -> Array:
        """Logits (N, classes) in evaluation mode, on every rank. x (N, H, W, C) float."""
        return self.whole(self.own_logits(x, local=False))[-1]

    def local_logits(self, x: Array) -> Logits:
        """Logits (N, classes) of every module's own classifier, on every rank; as in one process."""
        return self.whole(self.own_logits(x))

    @on_its_device
    def own_logits(self, x: Array, local: bool = True) -> Logits:
        """Those of `local_logits` that this rank computes, None elsewhere; without `local` the network's alone.

        A rank passes its output on to the one above, and may be asked for the next images then.
        """
        x, ctx, p = self._images(x), self._context(training=False), self._training.arrays
        self._rank.flush()
        chain, last = unit_inputs(self.modules, self.net.shape), len(self.modules) - 1
        parts, segment = list[Logits](), Segment(self.own_modules, self.below, self.above)
        with one_blas_thread(), underflow_is_zero():
            for i in evaluation.portions(x):
                images, logits = x[i : i + evaluation.IMAGES], Logits()
                h, at = from_below(segment, self.rule, self.modules, images, ctx, chain)
                for k in self.own_modules:
                    module = self.modules[k]
                    h, at = evaluation.output(module, h, at, p)
                    if k == last:
                        logits.append(self.net.head.forward(h, ctx, p)[0])
                    else:
                        logits.append(evaluation.classified(module, h, ctx, p) if local else None)
                to_above(segment, self.rule, h, at)
                parts.append(logits)
        before, after = self.own_modules.start, last + 1 - self.own_modules.stop
        return [*[None] * before, *evaluation.joined(parts), *[None] * after]

    # ------------------------------------------------------------------ between ranks

    @property
    def _first(self) -> bool:
        return self.comm.rank == 0

    def _gathered(self, own: dict[str, T]) -> dict[str, T]:
        """The entries of all ranks on rank 0, elsewhere this rank's."""
        parts = self.comm.gather(own)
        return own if parts is None else union(parts)

    @on_its_device
    def _gather_arrays(self) -> None:
        """Bring every array of rank 0 up to date."""
        self._rank.flush()
        own: dict[str, Array] = {n: to_host(a) for n, a in self._training.arrays.items() if n in self.own_names}
        self._training.load(self._gathered(own))

    @on_its_device
    def whole(self, own: Sequence[Array | None]) -> list[Any]:
        """One array per entry, on every rank: that of the one rank that has it, None where none has."""
        parts = self.comm.allgather([None if a is None else to_host(a) for a in own])
        xp = device_namespace(self.device)
        first = (next((a for a in entries if a is not None), None) for entries in zip(*parts, strict=True))
        return [None if a is None else xp.asarray(a) for a in first]

    def _check_copies(self) -> None:
        """Check that the ranks below and above hold the same copies of linked units.

        Raises: RuntimeError where they do not.
        """
        if not isinstance(self._rank, SynchronousRank):
            return
        if self.below is not None:
            self.below.send_number(self._digest(self._rank.copied))
        if self.above is not None and self.above.receive_number() != self._digest(self._rank.shared):
            names = ", ".join(name for of_unit in self._rank.shared.values() for name in of_unit)
            raise RuntimeError(f"ranks {self.comm.rank} and {self.comm.rank + 1} hold different copies of {names}")

    def _digest(self, units: Mapping[int, Sequence[str]]) -> int:
        """A hash of these parameters and of what the optimiser keeps for them, a signed number of 64 bits."""
        names = {name for of_unit in units.values() for name in of_unit}
        hasher = hashlib.blake2b(digest_size=8)
        saved = self._training.to_arrays({}, names)
        for entry, a in sorted(saved.items()):  # the optimiser's entries stand in the order of their first updates
            if not entry.startswith("count:"):
                hasher.update(entry.encode())
                hasher.update(np.ascontiguousarray(a).data)
        return int.from_bytes(hasher.digest(), "little", signed=True)


def union(parts: Sequence[Mapping[str, T]]) -> dict[str, T]:
    """The entries of all parts, those of the first before others of the same name."""
    return {name: value for part in reversed(parts) for name, value in part.items()}
