"""Units, objectives and guesses of a Learner, each put into a sleeve that notes what goes by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from minilocal.array import Array
from minilocal.engine import Module


class Watcher(Protocol):
    """What a sleeve calls: `keep` with all that a call has made, `look` before and after it."""

    def keep(self, kind: Any, nested: Any) -> None: ...

    def look(self, at: str, point: bool = False) -> None: ...


class Sleeve:
    """Passes on whatever it is asked for. It holds none of the arrays that go by."""

    def __init__(self, watch: Watcher, kind: Any, inner: Any, name: str) -> None:
        self._watch, self._kind, self._inner, self._name = watch, kind, inner, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def forward(self, x: Array, *others: Any) -> tuple[Array, Any]:
        self._watch.look("the engine")
        out, cache = self._inner.forward(x, *others)
        self._watch.keep(self._kind, (out, cache))
        self._watch.look(f"forward of {self._name}", point=True)
        return out, cache

    def _after(self, error: Array | None, grads: dict[str, Array]) -> tuple[Array | None, dict[str, Array]]:
        self._watch.keep("gradients", grads)
        self._watch.look(f"backward of {self._name}", point=True)
        return error, grads


class Unit(Sleeve):
    def backward(self, dy: Array, cache: Any, p: Any = None, need: Any = "both") -> tuple[Array | None, Any]:
        self._watch.look("the engine")
        held = [cache, dy]
        del cache, dy
        return self._after(*self._inner.backward(held.pop(), held.pop(), p, need))


class Part(Sleeve):
    def backward(self, cache: Any, p: Any = None, need: Any = "both") -> tuple[Array | None, Any]:
        self._watch.look("the engine")
        held = [cache]
        del cache
        return self._after(*self._inner.backward(held.pop(), p, need))

    def gradients(self, cache: Any, error: Array | None, p: Any = None) -> dict[str, Array]:
        self._watch.look("the engine")
        return self._after(None, self._inner.gradients(cache, error, p))[1]


@contextmanager
def sleeved(
    modules: Sequence[Module], unit: Callable[[int, Any], Unit], part: Callable[[int, str, Any], Part]
) -> Iterator[None]:
    """Inside the block every unit is what `unit(k, it)` makes of it, every objective and guess `part(k, name, it)`."""
    before = [(list(m.units), m.objective, m.synthesiser) for m in modules]
    try:
        for k, module in enumerate(modules):
            wrapped: list[Any] = [unit(k, it) for it in module.units]
            module.units[:] = wrapped
            for name in ("objective", "synthesiser"):
                if (it := getattr(module, name)) is not None:
                    object.__setattr__(module, name, part(k, name, it))
        yield
    finally:
        for module, (units, objective, synthesiser) in zip(modules, before, strict=True):
            module.units[:] = units
            object.__setattr__(module, "objective", objective)
            object.__setattr__(module, "synthesiser", synthesiser)


def owner_of(array: Array) -> Array:
    """The array whose memory this one looks into."""
    while hasattr(getattr(array, "base", None), "dtype"):
        array = array.base
    return array
