"""The bytes that each module keeps in a step: at its peak, and while other modules work.

An array counts for the module whose unit or objective made it. A module's output counts for the module above, whose
input it is. The images count for no module. So the bytes of all modules at one moment add up to the live bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilocal.array import Array
from minilocal.engine.hooks import Hook, Part, hooked
from minilocal.learner import Learner
from minilocal.memory.live import LiveBytes, owner_of


class KeptBytes:
    """`with KeptBytes(learner, (x, y)) as kept: learner.step(x, y, lr)`, then bytes for each module, from 0.

    peak       the most of its units' and objective's caches and outputs at one moment
    waiting    the most of these while another module forwards: what is kept until an error from above arrives. For a
               rule with delays: what the module holds between two steps, batches and stashed weights too
    """

    def __init__(self, learner: Learner, batch: Sequence[Array]) -> None:
        K = len(learner.modules)
        self.engine, self.peak, self.waiting = learner.engine, [0] * K, [0] * K
        self._live = LiveBytes(range(K), batch)
        hooks = [_KeptHook(self, k, len(m.units) - 1) for k, m in enumerate(learner.modules)]
        self._registered = hooked(learner.modules, hooks)

    def __enter__(self) -> KeptBytes:
        self._registered.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._registered.__exit__(*error)
        if self.engine.holds_batches:
            self._count_held()
        else:
            self.waiting[-1] = 0  # no module is above it; its input may still be held by the module below

    def _count_held(self) -> None:
        """Bytes held between steps, each memory counted once, for the lowest module that holds it."""
        counted: set[int] = set()
        for k, arrays in enumerate(self.engine.held_arrays()):
            owners = {id(a): a.nbytes for a in map(owner_of, arrays) if id(a) not in counted}
            self.waiting[k] = sum(owners.values())
            counted |= owners.keys()

    def track(self, k: int, out: Array, cache: Any, top: bool) -> None:
        """Count the output and the cache of a part of module k. A `top` output is the input of the module above."""
        self._live.track(min(k + top, len(self.peak) - 1), out)
        self._live.track(k, cache)
        now = list(self._live.now.values())
        self.peak = list(map(max, self.peak, now))
        if not self.engine.holds_batches:
            others = [0 if j in (k, k + 1) else n for j, n in enumerate(now)]
            self.waiting = list(map(max, self.waiting, others))


class _KeptHook(Hook):
    """Tracks what the parts of module k keep after their forward."""

    def __init__(self, kept: KeptBytes, k: int, top: int) -> None:
        self.kept, self.k, self.top = kept, k, top

    def after_forward(self, part: Part, out: Array, cache: Any) -> Array:
        self.kept.track(self.k, out, cache, part == self.top)
        return out
