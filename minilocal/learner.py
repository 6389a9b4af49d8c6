"""A net, a rule and an optimiser: the object that people hold."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import contract, inputs, streams
from minilocal.array import Array, host_copy, namespace
from minilocal.device import device_namespace
from minilocal.engine import CudaGraphRecorder, Engine, OnGradients, engine_for, evaluation
from minilocal.engine.build import build, owners
from minilocal.errors import UserError
from minilocal.kernels.threads import one_blas_thread, partition
from minilocal.kernels.underflow import underflow_is_zero
from minilocal.layers import Layer, PassContext
from minilocal.layers.base import apart
from minilocal.nets import Net
from minilocal.objectives import Batch
from minilocal.optim import Optimizer, State
from minilocal.rules import Rule
from minilocal.split import Modules, split

ASSEMBLED = {"modules", "_names", "_arrays", "_engine", "_state", "_epoch", "_steps", "_lr", "_recorder"}


class Learner:
    """`net` cut into `modules` (K, a list of unit counts, or a published split as "infopro:16") and trained by `rule`.

    It copies the net's arrays to `device` as `dtype`, so several Learners may start from one net. It draws one key
    from `rng`, which names all its later chance. On a GPU, `cuda_graph` lets whole steps be recorded and started at
    once, where that can be (`recording` says); elsewhere there is nothing to record. Without an `optimizer` it is the
    one that the rule recommends (`rule.recommends`: Adam for DNI), or else SGD with momentum 0.9.

    >>> import minilocal as ml
    >>> net = ml.nets.mlp((16, 16), classes=4, size=2, rng=ml.rng(0))
    >>> learner = Learner(net, ml.rules.gll(), modules=3, rng=ml.rng(1))
    >>> learner.step(np.ones((8, 2, 2, 3), "float32"), np.arange(8) % 4, lr=0.1).shape
    (3,)

    Raises: UserError where modules, device or dtype do not fit, or a layer, objective or boundary breaks its contract.
    Warns where a link is longer than a module, or an auxiliary network is built with less than its name says.
    """

    def __init__(
        self,
        net: Net,
        rule: Rule,
        modules: Modules = 4,
        *,
        rng: np.random.Generator,
        device: Any = "cpu",
        dtype: Any = "float32",
        optimizer: Optimizer | None = None,
        cuda_graph: bool = True,
    ) -> None:
        self.net, self.rule, self.dtype = inputs.network(net), inputs.training_rule(rule), inputs.precision(dtype)
        self.optimizer: Optimizer = inputs.recipe(optimizer, self.rule)
        self.key, self.device, self._recordable = streams.new_key(rng), inputs.place(device), cuda_graph
        self._assemble(split(self.net.units, modules, self.net.name))
        for message in self.rule.warnings([len(m.units) for m in self.modules], self.net.shapes):
            warnings.warn(message, stacklevel=2)

    def _assemble(self, parts: list[list[Layer]]) -> None:
        """Modules, arrays and engine, as they are before the first step."""
        xp = device_namespace(self.device)
        self.modules = build(self.net, self.rule, parts, self.key)
        contract.hold_objectives(self.modules)
        kinds = [owners(self.modules, kind) for kind in ("parameters", "buffers")]
        apart(kinds[0] + kinds[1])
        own = [{n: a for _, arrays in kind for n, a in arrays.items()} for kind in kinds]
        self._names = list(own[0]), list(own[1])
        self._arrays = {n: xp.array(a, dtype=xp.dtype(self.dtype)) for arrays in own for n, a in arrays.items()}
        contract.hold(self.modules, self.net, self.rule, self._arrays)
        self._engine: Engine = engine_for(self.modules, self.rule, self._arrays)
        self._state: dict[str, State] = {}
        self._epoch, self._steps, self._lr = 0, 0, 0.0
        self._recorder: CudaGraphRecorder | None = None
        if xp is not np:
            self._recorder = CudaGraphRecorder(xp, self.dtype, self._not_recorded(xp))

    def summary(self, batch_size: int = 128) -> str:
        """A table of the units and modules: shapes, parameters, multiply-adds, auxiliary networks, and the bytes that
        each module keeps under this rule with batches of this size. It shows itself in a notebook.

        Raises: UserError for a batch size below 1.
        """
        from minilocal.summary import summary

        return summary(self, batch_size)

    def __repr__(self) -> str:
        sizes = ", ".join(str(len(m.units)) for m in self.modules)
        return (
            f"<Learner of {self.net.name} by {self.rule.name}: {len(self.modules)} modules of {sizes} units, "
            f"{self.optimizer}, {self.dtype} on {self.device}, epoch {self._epoch}>"
        )

    # ------------------------------------------------------------------ what it holds

    def parameters(self) -> dict[str, Array]:
        """{name: array} of everything that learns, auxiliary networks too: the live arrays, not copies."""
        return {name: self._arrays[name] for name in self._names[0]}

    def buffers(self) -> dict[str, Array]:
        """{name: array} of the running statistics, live."""
        return {name: self._arrays[name] for name in self._names[1]}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Copies parameters and running statistics in; a subset is fine.

        Raises: UserError for a name that is not here, a shape that differs, or numbers that are not finite; then
        nothing has been copied.
        """
        inputs.weights(arrays, self._arrays, self.net.name)
        self._copy(arrays)

    def _copy(self, arrays: Mapping[str, Array]) -> None:
        for name, a in arrays.items():
            here = self._arrays[name]
            here[...] = namespace(here).asarray(a)

    @property
    def epoch(self) -> int:
        """The epoch, counted from 0, set by who trains: it decides what the rule does and names the chance."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if (number := inputs.epoch(epoch)) != self._epoch:
            self._epoch, self._steps = number, 0

    # ------------------------------------------------------------------ what it does

    def step(self, x: Array, y: Array, lr: float) -> Array:
        """One training step: gradients, optimiser, running statistics. Every update is made from the weights before it.

        x (N, H, W, C) float, y (N,) int  →  losses (K,), float64, NaN where a module has none; on a device they stay
        there until they are read.

        Raises: UserError for images or labels of the wrong shape, type or range, images that are not finite (seen on
        the host only), and a learning rate that is not finite or below 0; then nothing has changed.
        """
        x, y = self._checked(x, y)
        rate = inputs.rate(lr)
        if self._recorder is None:
            losses = self._train(rate, x, y)
        else:
            self._recorder.set_step(rate, self._epoch, self._steps)
            phase = self.rule.when.is_global(self._epoch)
            losses = self._recorder.step(x, y, phase, partial(self._train, self._recorder.rate))
        self._lr = rate
        self._steps += 1
        return losses

    def _train(self, lr: float | Array, x: Array, y: Array) -> Array:
        """A step's losses. On a device the updates of a rule without delays wait for its end: one launch makes them."""
        if self._recorder is None or self._engine.holds_batches:
            return self._pass(x, y, partial(self._update, lr), update_stats=True)
        grads: dict[str, Array] = {}
        losses = self._pass(x, y, grads.update, update_stats=True)
        self._update(lr, grads)
        return losses

    def _update(self, lr: float | Array, grads: dict[str, Array]) -> None:
        updates = [(self._arrays[name], g, self._state.setdefault(name, {})) for name, g in grads.items()]
        self.optimizer.update(updates, lr)

    @property
    def cuda_graph_status(self) -> str:
        """In a line: whether steps are recorded as CUDA graphs, and why not; nothing where there is no GPU."""
        return "" if self._recorder is None else self._recorder.describe()

    def _not_recorded(self, xp: Any) -> str:
        """Why no step is recorded as a CUDA graph; nothing where it is tried."""
        if not self._recordable:
            return "cuda_graph is off"
        if self._engine.holds_batches:
            return f"{self.rule.name} holds batches over from step to step"
        if not getattr(self.optimizer, "recordable", False):
            return f"{type(self.optimizer).__name__} counts its steps on the host"
        return "" if hasattr(xp, "cuda") else f"{xp.__name__} has no CUDA graphs"

    def gradients(self, x: Array, y: Array) -> tuple[Array, dict[str, Array]]:
        """(losses (K,), {name: gradient}) of one batch, by the names of `parameters()`. Updates and commits nothing.

        Raises: UserError as `step`, and for a rule with delays, whose gradients belong to other batches.
        """
        if self._engine.holds_batches:
            raise UserError(f"{self.rule.name} works on several batches and has no gradient of one: use step().")
        grads: dict[str, Array] = {}
        losses = self._pass(*self._checked(x, y), grads.update, update_stats=False)
        return losses, {name: grads[name] for name in self._names[0] if name in grads}

    def predict(self, x: Array) -> Array:
        """Logits (N, classes) in evaluation mode, by the main network alone. x (N, H, W, C) float."""
        layers = (*self.net.units, self.net.head)
        return evaluation.logits(layers, self._images(x), PassContext(training=False, key=self.key), self._arrays)

    def local_logits(self, x: Array) -> list[Array | None]:
        """Logits (N, classes) of every module's own classifier, first to last, in evaluation mode and one pass.

        None where a module has no classifier that learns (BP's lower modules; an objective that contrasts); the last
        entry is what `predict` returns, bit for bit. x (N, H, W, C) float.
        """
        return evaluation.local_logits(
            self.modules, self.net.head, self._images(x), PassContext(training=False, key=self.key), self._arrays
        )

    @property
    def in_flight(self) -> list[int]:
        """How many batches await their error at each module between two steps: all 0 for a rule without delays."""
        return self._engine.in_flight

    def finish(self, lr: float | None = None) -> None:
        """Drains what a delayed rule still has in flight, at the last step's learning rate unless another is given.

        A run that does not ask drops it. A rule without delays has nothing there.
        """
        with one_blas_thread(), underflow_is_zero():
            self._engine.finish(partial(self._update, self._lr if lr is None else inputs.rate(lr)))

    def _pass(self, x: Array, y: Array, on_gradients: OnGradients, update_stats: bool) -> Array:
        micro = partition(x.shape[0], self.rule.accumulate)
        ctx = self._ctx()
        with one_blas_thread(), underflow_is_zero():
            if len(micro) == 1:
                return self._engine.step(Batch(x, y), ctx, on_gradients, update_stats)
            return self._accumulate(x, y, micro, on_gradients, update_stats)

    def _ctx(self) -> PassContext:
        clock = None if self._recorder is None else self._recorder.clock
        return PassContext(key=self.key, epoch=self._epoch, step=self._steps, clock=clock)

    def _accumulate(
        self, x: Array, y: Array, micro: list[tuple[int, int]], on_gradients: OnGradients, update_stats: bool
    ) -> Array:
        """The mean gradient of several micro-batches, each with its own batch statistics, weighed by their sizes."""
        total: dict[str, Array] = {}
        losses: Any = 0.0
        for part, (i, j) in enumerate(micro):
            share = (j - i) / x.shape[0]

            def add(grads: dict[str, Array], share: float = share) -> None:
                for name, g in grads.items():
                    total[name] = total[name] + share * g if name in total else share * g

            ctx = replace(self._ctx(), part=part)
            losses = losses + share * self._engine.step(Batch(x[i:j], y[i:j]), ctx, add, update_stats)
        on_gradients(total)
        return losses

    def _checked(self, x: Array, y: Array) -> tuple[Array, Array]:
        x = self._images(x)
        return x, inputs.labels(y, x, self.net.classes)

    def _images(self, x: Array) -> Array:
        return inputs.images(x, self.net, self.dtype, next(iter(self._arrays.values())))

    # ------------------------------------------------------------------ what a checkpoint needs

    def state(self) -> dict[str, np.ndarray]:
        """Everything that training goes on from, as host copies: arrays, the optimiser's state, counters."""
        saved = {f"array:{name}": host_copy(a) for name, a in self._arrays.items()}
        for name, state in self._state.items():
            saved |= {f"optim:{name}:{key}": host_copy(a) for key, a in state.items()}
        saved |= {f"flight:{name}": a for name, a in self._engine.state().items()}
        counts = {"key": self.key, "epoch": self._epoch, "steps": self._steps, "lr": self._lr}
        return saved | {f"count:{name}": host_copy(count) for name, count in counts.items()}

    def restore(self, saved: Mapping[str, np.ndarray]) -> None:
        """Goes on from a `state()`.

        Raises: UserError where an array is missing, unknown or of another shape, the optimiser's and those in flight
        too, or what is in flight was made by another rule; then nothing has changed. That the optimiser is the same
        is for the caller to know.
        """
        arrays, state, flight, counters = inputs.state(saved, self._arrays, self.parameters(), self.net.name)
        self._engine.restore(flight, self.net.shape)
        if self._recorder is not None:
            self._recorder.reset()
        self._copy(arrays)
        self._state = {
            name: {key: a if isinstance(a, int) else self._like(name, a) for key, a in held.items()}
            for name, held in state.items()
        }
        self.key, self._epoch, self._steps, self._lr = counters

    def _like(self, name: str, a: np.ndarray) -> Array:
        """A copy of `a` in the type of this parameter, where it lives."""
        w = self._arrays[name]
        return namespace(w).array(a, dtype=w.dtype)

    def save(self, path: str | Path) -> None:
        """Writes all that training goes on from into one .npz, which `minilocal.load(path)` makes a Learner of.

        Raises: UserError where it cannot be written; a file that was there before is intact then.
        """
        from minilocal.saved import save

        save(self, path)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle is made of: what it was built from, what else it was given, the state on the host."""
        return {
            "built": {name: a for name, a in vars(self).items() if name not in ASSEMBLED},
            "sizes": [len(m.units) for m in self.modules],
            "state": self.state(),
        }

    def __setstate__(self, kept: dict[str, Any]) -> None:
        vars(self).update(kept["built"])
        self._assemble(split(self.net.units, kept["sizes"]))
        self.restore(kept["state"])
