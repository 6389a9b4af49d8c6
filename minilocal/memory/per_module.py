"""The bytes that each module keeps in a step: at most, and while it is not its turn.

An array counts for the module whose unit or objective made it; what a module hands up counts for the one above, whose
input it is. The images count for no module, and the numbers of all modules at one moment add up to what is live then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilocal.array import Array
from minilocal.engine.hooks import Hook, Part, hooked
from minilocal.learner import Learner
from minilocal.memory.live import LiveBytes, owner_of
from minilocal.tree import tree_leaves


class KeptBytes:
    """`with Kept(learner, (x, y)) as kept: learner.step(x, y, lr)`, then bytes by module, counted from 0.

    most       of its units' and objective's caches and outputs at one moment
    waiting    of these while another module forwards: what an error from above is awaited with. For a rule with
               delays: what it holds between two steps, batches and stashed weights too
    """

    def __init__(self, learner: Learner, batch: Sequence[Array]) -> None:
        K = len(learner.modules)
        self.learner, self.most, self.waiting = learner, [0] * K, [0] * K
        self._live = LiveBytes(range(K), batch)
        hooks = [_KeptHook(self, k, len(m.units) - 1) for k, m in enumerate(learner.modules)]
        self._registered = hooked(learner.modules, hooks)

    def __enter__(self) -> KeptBytes:
        self._registered.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._registered.__exit__(*error)
        if not self.learner._engine.holds_batches:
            self.waiting[-1] = 0  # no module is above; what it was given, the module below may still hold
        seen: set[int] = set()
        for k, held in enumerate(_held(self.learner._engine)):
            owners = {id(a): a.nbytes for a in map(owner_of, held) if id(a) not in seen}
            self.waiting[k] = sum(owners.values())
            seen |= owners.keys()

    def track(self, k: int, out: Array, cache: Any, top: bool) -> None:
        """Count the output and the cache of a part of module k. The output of its top unit is the next one's input."""
        self._live.track(min(k + top, len(self.most) - 1), out)
        self._live.track(k, cache)
        now = list(self._live.now.values())
        self.most = [max(a, b) for a, b in zip(self.most, now, strict=True)]
        if not self.learner._engine.holds_batches:
            others = [0 if j in (k, k + 1) else n for j, n in enumerate(now)]
            self.waiting = [max(a, b) for a, b in zip(self.waiting, others, strict=True)]


class _KeptHook(Hook):
    """Tracks what the parts of module k keep after their forward."""

    def __init__(self, kept: KeptBytes, k: int, top: int) -> None:
        self.kept, self.k, self.top = kept, k, top

    def after_forward(self, part: Part, out: Array, cache: Any) -> Array:
        self.kept.track(self.k, out, cache, part == self.top)
        return out


def _held(engine: Any) -> list[list[Array]]:
    """What each module of a rule with delays holds between two steps, bottom to top; nothing for any other rule."""
    if hasattr(engine, "tickets"):
        found = []
        for k, tickets in enumerate(engine.tickets):
            nested: list[Any] = [(t.flight.batch, t.entry, t.caches, t.weights) for t in tickets]
            nested += [parcel.array for parcel in (engine.upward[k - 1] if k else ()) if parcel is not None]
            nested += [parcel.array for queue in engine.downward[k : k + 1] for parcel in queue if parcel is not None]
            found.append(tree_leaves([nested, engine.held if k == len(engine.tickets) - 1 else ()], None))
        return found
    if hasattr(engine, "buffers"):
        return [[], *(tree_leaves([(e.h, e.batch) for e in buffer.entries], None) for buffer in engine.buffers)]
    return []
