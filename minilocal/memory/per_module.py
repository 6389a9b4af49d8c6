"""The bytes that each module keeps in a step: at most, and while it is not its turn.

An array counts for the module whose unit or objective made it; what a module hands up counts for the one above, whose
input it is. The images count for no module, and the numbers of all modules at one moment add up to what is live then.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from minilocal.array import Array
from minilocal.engine.hooks import Part, Unit, owner_of, sleeved
from minilocal.engine.in_flight import tree_leaves
from minilocal.learner import Learner


class KeptBytes:
    """`with Kept(learner, (x, y)) as kept: learner.step(x, y, lr)`, then bytes by module, counted from 0.

    most       of its units' and objective's caches and outputs at one moment
    waiting    of these while another module forwards: what an error from above is awaited with. For a rule with
               delays: what it holds between two steps, batches and stashed weights too
    """

    def __init__(self, learner: Learner, batch: Sequence[Array]) -> None:
        K = len(learner.modules)
        self.learner, self.now, self.most, self.waiting = learner, [0] * K, [0] * K, [0] * K
        self._known = {id(owner_of(a)) for a in batch}

    def __enter__(self) -> KeptBytes:
        tops = [id(m.units[-1]) for m in self.learner.modules[:-1]]

        def unit(k: int, it: Any) -> Unit:
            return Unit(self, (k, k + 1) if id(it) in tops else k, it, it.name)

        self._sleeves = sleeved(self.learner.modules, unit, lambda k, name, it: Part(self, k, it, name))
        self._sleeves.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._sleeves.__exit__(*error)
        if not self.learner._engine.holds_batches:
            self.waiting[-1] = 0  # no module is above; what it was given, the module below may still hold
        seen: set[int] = set()
        for k, held in enumerate(_held(self.learner._engine)):
            owners = {id(a): a.nbytes for a in map(owner_of, held) if id(a) not in seen}
            self.waiting[k] = sum(owners.values())
            seen |= owners.keys()

    def keep(self, kind: Any, nested: Any) -> None:
        """Counts what the arrays in `nested` keep alive, until it is gone.

        `kind` is the module that made them, or (it, the one above) where the first of them is handed up.
        """
        if kind == "gradients":
            return
        k, above = kind if isinstance(kind, tuple) else (kind, kind)
        out = owner_of(nested[0])
        for array in tree_leaves(nested, None):
            owner = owner_of(array)
            if owner.ndim and id(owner) not in self._known:
                self._known.add(id(owner))
                at = above if owner is out else k
                self.now[at] += owner.nbytes
                weakref.finalize(owner, self._gone, id(owner), at, owner.nbytes)
        self.most = [max(a, b) for a, b in zip(self.most, self.now, strict=True)]
        if not self.learner._engine.holds_batches:
            others = [0 if j in (k, k + 1) else n for j, n in enumerate(self.now)]
            self.waiting = [max(a, b) for a, b in zip(self.waiting, others, strict=True)]

    def _gone(self, owner: int, at: int, nbytes: int) -> None:
        self._known.discard(owner)
        self.now[at] -= nbytes

    def look(self, at: str, point: bool = False) -> None:
        """Nothing is metered here."""


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
