"""A seeded sample of mutants, the same number of places in each part."""

from __future__ import annotations

import random

from tests.faults.mutants.places import Mutant, changes, places
from tests.faults.mutants.table import OWN, ROOT, modules

SEEDS = (20261127, 20261128, 20261129)
"""Two samples, and a fresh one that was drawn after their survivors had been mended."""
EACH = 35
"""Places a part: 9 parts make 315 mutants of each seed."""


def sample_part(part: str, count: int = EACH, seed: int = SEEDS[0]) -> list[Mutant]:
    """`count` places of the part without replacement, and at each of them one of its mutants; fewer where it has fewer.

    The order is that of the drawing, so a larger count begins with the same mutants.
    """
    random_order = random.Random(f"{seed} {part}")
    sources = {module: (ROOT / module).read_text() for module in modules(part)}
    all_places = [place for module, source in sources.items() for place in places(module, source)]
    random_order.shuffle(all_places)
    chosen: list[Mutant] = []
    for place in all_places:
        if len(chosen) == count:
            break
        candidates = random_order.sample(place, len(place))
        chosen += [m for m in candidates if changes(sources[m.module], m)][:1]
    return chosen


def sample(count: int = EACH, seed: int = SEEDS[0]) -> list[Mutant]:
    """The sample of every part."""
    return [mutant for part in OWN for mutant in sample_part(part, count, seed)]
