"""A net, a rule and an optimiser: the object that people hold."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import contract, inputs, streams
from minilocal.array import Array, is_device
from minilocal.device import device_namespace, on_device, on_its_device
from minilocal.engine import Engine, RecordedSteps, engine_for, evaluation
from minilocal.engine.build import build
from minilocal.engine.cuda_graph import refusal
from minilocal.engine.memory_advice import advising
from minilocal.errors import UserError, boolean
from minilocal.kernels.threads import one_blas_thread
from minilocal.kernels.underflow import underflow_is_zero
from minilocal.layers import Layer, PassContext
from minilocal.nets import Net
from minilocal.objectives import Batch
from minilocal.optim import Optimizer, State
from minilocal.rules import Rule
from minilocal.split import Modules, split
from minilocal.training_state import TrainingState
from minilocal.turns import Turns, in_turn

ASSEMBLED = {"modules", "on_device", "turns", "_training", "_engine", "_graphs"}


class Learner:
    """`net` cut into `modules` (K, a list of unit counts, or a published split as "infopro:16") and trained by `rule`.

    It copies the net's arrays to `device` as `dtype`, so several Learners may start from one net. It draws one key
    from `rng`, by which all its random streams are named. On a GPU, `cuda_graph` lets whole steps be recorded and
    replayed where that is possible; `cuda_graph_status` says whether. Without an `optimizer` the rule's recommendation
    is used (`rule.recommends`), or else SGD with momentum 0.9. Threads take turns, but not a prediction with a step.

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
        self.device, self._cuda_graph = inputs.device(device), boolean("cuda_graph", cuda_graph)
        self._assemble(split(self.net.units, modules, self.net.name), streams.new_key(rng))
        for message in self.rule.warnings([len(m.units) for m in self.modules], self.net.shapes):
            warnings.warn(message, stacklevel=2)

    def _assemble(self, parts: list[list[Layer]], key: int) -> None:
        """Build modules, arrays and engine, as they are before the first step."""
        self.turns, self.on_device = Turns(), on_device(self.device)  # `with learner.on_device:` its GPU is current
        self.modules = build(self.net, self.rule, parts, key)
        contract.check_objectives(self.modules, self.rule)
        self._make_arrays(key)

    @on_its_device
    def _make_arrays(self, key: int) -> None:
        """The arrays, and the engine that works on them."""
        xp = device_namespace(self.device)
        self._training = TrainingState(self.modules, xp, self.dtype, key)
        contract.check(self.modules, self.net, self.rule, self._training.arrays)
        self._engine = self._new_engine()
        self._graphs = self._recorded(xp) if is_device(xp) else None
        self._engine = self._graphs or self._engine

    def summary(self, batch_size: int = 128) -> str:
        """A table of units and modules: shapes, parameters, multiply-adds, auxiliary networks, bytes kept.

        The bytes are those that each module keeps under this rule with batches of this size.

        Raises: UserError for a batch size below 1.
        """
        from minilocal.summary import summary

        return summary(self, batch_size)

    def __repr__(self) -> str:
        sizes = ", ".join(str(len(m.units)) for m in self.modules)
        return (
            f"<Learner of {self.net.name} by {self.rule.name}: {len(self.modules)} modules of {sizes} units, "
            f"{self.optimizer}, {self.dtype} on {self.device}, epoch {self.epoch}>"
        )

    # ------------------------------------------------------------------ what it holds

    def parameters(self) -> dict[str, Array]:
        """{name: array} of everything that learns, auxiliary networks too: the live arrays, not copies."""
        return self._training.parameters()

    def buffers(self) -> dict[str, Array]:
        """{name: array} of the running statistics, and of averaged weights (MAN), live."""
        return self._training.buffers()

    @in_turn
    def load(self, arrays: Mapping[str, Array]) -> None:
        """Copy parameters and running statistics in; a subset is fine.

        Raises: UserError for a name that is not here, a shape that differs, or anything but finite floating-point
        numbers, of any width; then nothing has been copied.
        """
        inputs.weights(arrays, self._training.arrays, self.net.name)
        self._training.load(arrays)

    def optimizer_states(self) -> dict[str, State]:
        """{parameter: what the optimiser keeps for it}, live; without the parameters that have not been updated."""
        return self._training.optimizer_states

    @property
    def engine(self) -> Engine:
        """What runs the steps of this Learner's rule."""
        return self._engine

    @property
    def key(self) -> int:
        """The key that all random streams of this Learner are named by."""
        return self._training.key

    @property
    def epoch(self) -> int:
        """The epoch, counted from 0, set by the training loop: it decides PGL's phase and names the random streams.

        Setting it raises UserError for anything but a whole number, 0 or more.
        """
        return self._training.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if (number := inputs.epoch(epoch)) != self._training.epoch:
            self._training.epoch, self._training.steps = number, 0

    # ------------------------------------------------------------------ what it does

    def step(self, x: Array, y: Array, lr: float) -> Array:
        """One training step: gradients, optimiser, running statistics. Every update is made from the weights before it.

        x (N, H, W, C) float, y (N,) int  →  losses (K,), float64, NaN where a module has none; on a device they stay
        there until they are read. On a device the weights of a rule without delays are updated once, at the end.

        Raises: UserError for images or labels of the wrong shape, type or range, images that are not finite or beyond
        ±1e15 (seen on the host only), and a learning rate that is not finite or below 0; then nothing has changed.
        OutOfMemory where the memory does not suffice: some modules have been updated then, as after Ctrl-C.
        """
        with self.turns.lock, self.on_device:
            batch, rate, ctx = self._checked(x, y), inputs.rate(lr), self._context()
            eta: float | Array = rate
            if self._graphs is not None:
                eta, ctx = self._graphs.set_step(rate, ctx)
            update = partial(self._training.update, self.optimizer, eta)
            with advising(self._engine, batch.x, ctx.epoch), one_blas_thread(), underflow_is_zero():
                losses = self._engine.step(batch, ctx, update, True)
            self._training.lr, self._training.steps = rate, self._training.steps + 1
        return losses

    @in_turn
    def gradients(self, x: Array, y: Array) -> tuple[Array, dict[str, Array]]:
        """(losses (K,), {name: gradient}) of one batch, by the names of `parameters()`. Changes nothing.

        Raises: UserError as `step`, and for a rule with delays, whose gradients belong to other batches.
        """
        if self._engine.holds_batches:
            raise UserError(f"{self.rule.name} works on several batches and has no gradient of one: use step().")
        batch, grads, ctx = self._checked(x, y), dict[str, Array](), self._context()
        with advising(self._engine, batch.x, ctx.epoch), one_blas_thread(), underflow_is_zero():
            losses = self._engine.step(batch, ctx, grads.update, False)
        return losses, {name: grads[name] for name in self._training.names[0] if name in grads}

    @on_its_device
    def predict(self, x: Array) -> Array:
        """Logits (N, classes) in evaluation mode, by the main network alone. x (N, H, W, C) float.

        Raises: UserError for images, as `step`.
        """
        ctx, arrays = self._context(training=False), self._training.arrays
        return evaluation.logits(self.modules, self.net.head, self._images(x), ctx, arrays)

    @on_its_device
    def local_logits(self, x: Array) -> list[Array | None]:
        """Logits (N, classes) of every module's own classifier, first to last, in evaluation mode and one pass.

        None where a module has no classifier that learns (BP's lower modules; an objective that contrasts); the last
        entry is what `predict` returns, bit for bit. x (N, H, W, C) float.

        Raises: UserError for images, as `step`.
        """
        ctx, arrays = self._context(training=False), self._training.arrays
        return evaluation.local_logits(self.modules, self.net.head, self._images(x), ctx, arrays)

    @property
    def lr(self) -> float:
        """The learning rate of the last step, 0 before the first."""
        return self._training.lr

    @property
    def in_flight(self) -> list[int]:
        """The number of batches whose error is pending at each module between steps: 0 for a rule without delays."""
        return self._engine.batches_in_flight

    @in_turn
    def finish(self, lr: float | None = None) -> None:
        """Drain what a delayed rule has in flight, at the last step's learning rate unless another is given.

        Without it, what is in flight is dropped. A rule without delays has nothing in flight.

        Raises: UserError for a learning rate that is not finite or below 0.
        """
        rate = self._training.lr if lr is None else inputs.rate(lr)
        with one_blas_thread(), underflow_is_zero():
            self._engine.finish(partial(self._training.update, self.optimizer, rate))

    @property
    def cuda_graph_status(self) -> str:
        """In a line: whether steps are recorded as CUDA graphs, and why not; nothing where there is no GPU."""
        return "" if self._graphs is None else self._graphs.describe()

    @property
    def own_modules(self) -> range:
        """The modules that this process trains: all."""
        return range(len(self.modules))

    def _new_engine(self) -> Engine:
        """What runs the steps, with nothing in flight."""
        return engine_for(self.modules, self.rule, self._training.arrays)

    def _recorded(self, xp: Any) -> RecordedSteps | None:
        """The engine with its steps recorded as CUDA graphs, or with the reason why they are not."""
        refused = refusal(xp, self._cuda_graph, self.rule, self._engine, self.optimizer)
        prepare = partial(self._training.prepare, self.optimizer)
        return RecordedSteps(self._engine, self.modules, self.rule.when, xp, self.dtype, prepare, refused)

    def _context(self, training: bool = True) -> PassContext:
        return PassContext(training, self.key, self._training.epoch, self._training.steps)

    def _checked(self, x: Array, y: Array) -> Batch:
        x = self._images(x)
        return Batch(x, inputs.labels(y, x, self.net.classes))

    def _images(self, x: Array) -> Array:
        return inputs.images(x, self.net, self.dtype, next(iter(self._training.arrays.values())))

    # ------------------------------------------------------------------ what a checkpoint needs

    @in_turn
    def state(self) -> dict[str, np.ndarray]:
        """Everything that training continues from, as host copies: arrays, the optimiser's state, counters."""
        return self._training.to_arrays(self._engine.state())

    def own_state(self) -> dict[str, np.ndarray]:
        """The part of `state()` that this process trains: all of it."""
        return self.state()

    @in_turn
    def restore(self, saved: Mapping[str, np.ndarray]) -> None:
        """Continue from a `state()`.

        Raises: UserError where an array is missing, unknown, of another shape or not finite, the optimiser's and those
        in flight too, or what is in flight was made by another rule; then nothing has changed. That the optimiser is
        the same is for the caller to check.
        """
        self._restore(saved)

    def _restore(self, saved: Mapping[str, np.ndarray], diverged: bool = False) -> None:
        """`restore`; a copy of a Learner that has diverged holds numbers that are not finite, as the Learner does."""
        arrays = self._training.arrays
        checked = inputs.state(saved, arrays, self.parameters(), self.net.name, diverged=diverged)
        self._engine.restore(checked.in_flight, self.net.shape)
        self._training.restore(checked)

    def save(self, path: str | Path) -> None:
        """Write everything that training continues from into one .npz; `minilocal.load(path)` makes a Learner of it.

        Raises: UserError where it cannot be written; a file that was there before is intact then.
        """
        from minilocal.saved import save

        save(self, path)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle is made of: what the Learner was built from, and its state on the host."""
        return {
            "built": {name: a for name, a in vars(self).items() if name not in ASSEMBLED},
            "sizes": [len(m.units) for m in self.modules],
            "state": self.state(),
        }

    def __setstate__(self, copied: dict[str, Any]) -> None:
        vars(self).update(copied["built"])
        self._assemble(split(self.net.units, copied["sizes"]), int(copied["state"]["count:key"]))
        with self.on_device:
            self._restore(copied["state"], diverged=True)
