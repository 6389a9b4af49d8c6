"""What crosses a boundary between two modules, from the upper one's bottom into the lower one's top."""

from __future__ import annotations

from collections.abc import Sequence


class Crossing:
    """Four answers that the engine needs; this class gives those of "nothing"."""

    onward = False  # does an error that has passed a whole module go on into the one below?

    def reach(self, units: int) -> int:
        """How many units, counted from its top, of a module of `units` units an error from above may enter."""
        return 0

    def weights(self, j: int) -> tuple[float, float]:
        """(a, b): the unit j steps below the top takes a g_loc + b g_glb where it has both."""
        return 1.0, 1.0

    def warnings(self, sizes: Sequence[int]) -> list[str]:
        """What a user should know about modules of these sizes."""
        return []

    def describe(self) -> str:
        """In a few words: what crosses downward. Upward it is always h_k."""
        return "nothing"
