"""Every layer alone on extreme inputs: its output, its error and its gradients are finite, whatever the kernels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minilocal.inputs import LARGEST
from minilocal.verify.layers import CASES, LayerCase, by_engine, inputs
from tests.helpers.host import host

FACTORS = (0.0, 2.0**-149, 2.0**-130, 2.0**-24, 2.0**15, LARGEST["float32"])  # the first but one: the least number


def cases() -> Iterator[tuple[LayerCase, float]]:
    """Each layer of the tables of `minilocal verify`, and the size of its inputs."""
    for case in CASES:
        if not case.large:
            yield from ((case, factor) for factor in FACTORS)


def wrong(case: LayerCase, factor: float) -> str:
    """The name of a result that is not finite, or that changes its bits with the threads' error handling."""
    t = inputs(case, "float32")
    sign = np.sign(host(t.x)) if factor == LARGEST["float32"] else host(t.x)
    t.x = (sign * np.float64(factor)).astype("float32")
    with np.errstate(all="ignore"):
        results = {name: host(a) for name, a in by_engine(t).items()}
    bad = next((name for name, a in results.items() if not np.isfinite(a).all()), "")
    if bad:
        return bad
    with np.errstate(all="raise", under="ignore"):  # underflow is 0 within a Learner, which says so to NumPy
        again = {name: host(a) for name, a in by_engine(t).items()}
    return next((f"{name}, by seterr" for name, a in again.items() if not np.array_equal(a, results[name])), "")
