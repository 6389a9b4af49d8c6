"""The compiled updates are the plain ones, bit for bit: no product and sum are rounded once, no number is widened."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from minilocal import streams
from minilocal.kernels import threads
from tests.helpers.plain import plain

pytest.importorskip("numba", reason="compiled by Numba: pip install 'minilocal[fast]'")

from minilocal.kernels.numba import parameters
from minilocal.kernels.numba.adam import adam
from minilocal.kernels.numba.sgd import sgd

SHAPES: list[tuple[int, ...]] = [(7,), (0, 3), (3, 3, 9, 10), (5, 2 * parameters.PART // 7), (1,), (300, 1001)]
SPECIAL = (0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40, 1e30)
RATES = {"number": lambda dtype: 0.1, "array": lambda dtype: np.array([0.1], dtype)}
FORMS: dict[str, Any] = {"sgd": sgd, "adam": adam}
each_rate = pytest.mark.parametrize("rate", RATES)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_decay = pytest.mark.parametrize("decay", [0.0, 1e-3])


def arrays(number: int, dtype: str) -> list[tuple[np.ndarray, ...]]:
    """For each shape so many arrays, in which one number of ten is special."""
    rng = streams.rng(0)

    def one(shape: tuple[int, ...]) -> np.ndarray:
        special = rng.choice(SPECIAL, shape)
        return np.asarray(np.where(rng.random(shape) < 0.1, special, rng.standard_normal(shape)), dtype)

    return [tuple(one(shape) for _ in range(number)) for shape in SHAPES]


def bits(a: np.ndarray) -> bytes:
    """All NaN are one."""
    return a.dtype.str.encode() + np.where(np.isnan(a), a.dtype.type(np.nan), a).tobytes()


def moved(update: Any, updates: list[Any], *numbers: Any) -> list[list[bytes]]:
    """The bits of every array that is to be updated, on copies. The gradient may be anything afterwards."""
    mine = [tuple(a.copy() if isinstance(a, np.ndarray) else a for a in each) for each in updates]
    with np.errstate(all="ignore"):
        update(mine, *numbers)
    return [[bits(a) for i, a in enumerate(each) if i != 1 and isinstance(a, np.ndarray)] for each in mine]


@each_dtype
@each_decay
@each_rate
@pytest.mark.parametrize("momentum, nesterov", [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd_has_the_bits_of_the_plain_code(momentum, nesterov, decay, rate, dtype):
    updates = [(w, g, v if momentum else None) for w, g, v in arrays(3, dtype)]
    numbers = RATES[rate](dtype), momentum, decay, nesterov
    assert moved(sgd, updates, *numbers) == moved(plain.sgd, updates, *numbers)


@each_dtype
@each_decay
@each_rate
def test_adam_has_the_bits_of_the_plain_code(decay, rate, dtype):
    updates = [(w, g, m, np.abs(s), t) for t, (w, g, m, s) in enumerate(arrays(4, dtype), 1)]
    numbers = RATES[rate](dtype), 0.9, 0.999, 1e-8, decay
    assert moved(adam, updates, *numbers) == moved(plain.adam, updates, *numbers)


@pytest.mark.parametrize("number", [1, 3])
def test_any_number_of_threads_gives_the_same_bits(number):
    before = threads.threads()
    threads.use_threads(number)
    try:
        test_sgd_has_the_bits_of_the_plain_code(0.9, True, 1e-3, "number", "float32")
        test_adam_has_the_bits_of_the_plain_code(1e-3, "number", "float32")
    finally:
        threads.use_threads(before)


@pytest.mark.parametrize("name, numbers", [("sgd", (0.9, 1e-3, True)), ("adam", (0.9, 0.999, 1e-8, 1e-3))])
@pytest.mark.parametrize("view, kind", [(True, "float32"), (False, "float64"), (True, "float64")])
def test_views_and_gradients_of_another_type_are_moved_where_they_lie(view, kind, name, numbers):
    rng = streams.rng(0)
    ours = [rng.random((60, 30), "float32") for _ in range(4)]
    theirs = [a.copy() for a in ours]
    for update, arrays in ((FORMS[name], ours), (getattr(plain, name), theirs)):
        w, g, m, s = (a.T if view else a for a in arrays)
        update([(w, g.astype(kind), m) if name == "sgd" else (w, g.astype(kind), m, s, 2)], 0.1, *numbers)
    assert all(map(np.array_equal, ours, theirs))


def test_without_parameters_nothing_happens():
    sgd([], 0.1, 0.9, 0.0, False)
    adam([], 0.1, 0.9, 0.999, 1e-8, 0.0)


@pytest.mark.parametrize("name, numbers", [("sgd", (0.9, 0.0, False)), ("adam", (0.9, 0.999, 1e-8, 0.0))])
def test_a_gradient_of_another_shape_is_refused_or_spread_as_in_the_plain_code(name, numbers):
    """Compiled code would read what lies beyond it."""
    w, more = np.ones((3, 4), "float32"), (2,) if name == "adam" else ()
    means = [np.zeros((3, 4), "float32") for _ in range(2 if name == "adam" else 1)]
    with pytest.raises(ValueError, match="broadcast"):
        FORMS[name]([(w, np.ones(5, "float32"), *means, *more)], 0.1, *numbers)
    results = []
    for update in (FORMS[name], getattr(plain, name)):
        arrays = [w.copy(), np.ones((1, 4), "float32"), *(a.copy() for a in means)]
        update([(*arrays, *more)], 0.1, *numbers)
        results.append(arrays[0])
    ours, theirs = results
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("name, numbers", [("sgd", (0.9, 0.0, False)), ("adam", (0.9, 0.999, 1e-8, 0.0))])
def test_a_parameter_that_cannot_be_written_has_the_plain_codes_error(name, numbers):
    w, more = np.ones(5, "float32"), (2,) if name == "adam" else ()
    w.flags.writeable = False
    means = [np.zeros(5, "float32") for _ in range(2 if name == "adam" else 1)]
    with pytest.raises(ValueError, match="read-only"):
        FORMS[name]([(w, np.ones(5, "float32"), *means, *more)], 0.1, *numbers)


def test_arrays_out_of_a_pickle_are_moved_by_the_compiled_loop():
    """Their dtype is an object of its own, equal to that of a new array."""
    w = pickle.loads(pickle.dumps(np.ones(5, "float32")))
    assert parameters.fits(w, np.ones(5, "float32"), None)
    assert not parameters.fits(w, np.ones(5), None)
