"""Every CUDA kernel goes through NVIDIA's compiler, for a GPU that is not there, and keeps its numbers in registers."""

from typing import Any

import numpy as np
import pytest

from minilocal import ops
from minilocal.kernels import cuda
from minilocal.kernels.cuda import augment, batch_norm, dropout, pool, running_stats, softmax
from minilocal.kernels.cuda.mix import MIX
from minilocal.kernels.cuda.mix import TABLE as PAIRS
from minilocal.kernels.cuda.relu import RELU_BACKWARD
from minilocal.kernels.cuda.sgd import SGD
from minilocal.kernels.cuda.sgd import TABLE as UPDATES
from minilocal.ops.dispatch import fast_ops
from tests.kernels import nvrtc

SUMS = {"THREADS": 256, "GROUPS": 32}
ROWS = {"MOST": 96, "THREADS": 256, "EACH": 4}  # of a table
BUILDS = [
    (batch_norm.STATISTICS, {"WIDE": 0, "DEEP": 4, **SUMS}),
    (batch_norm.APPLY, {"WIDE": 0, "DEEP": 4, "ROWS": 8, "ADD": 1, "RELU": 1}),
    (batch_norm.GRADIENTS, {"WIDE": 0, "DEEP": 2, "RELU": 1, "KEEP": 1, **SUMS}),
    (batch_norm.BACKWARD, {"WIDE": 0, "DEEP": 2, "ROWS": 8, "RELU": 1}),
    (running_stats.UPDATE_RUNNING, ROWS),
    (RELU_BACKWARD, {"EACH": 4}),
    (softmax.ROW, {"LANES": 32, "ROWS": 8, "LABEL_BYTES": 8}),
    (softmax.MEAN, {"THREADS": 256}),
    (pool.FORWARD, {"SIDE": 3, "STRIDE": 2, "INDEX_BYTES": 1}),
    (pool.BACKWARD, {"SIDE": 3, "STRIDE": 2, "INDEX_BYTES": 1}),
    (pool.FORWARD, {"SIDE": 17, "STRIDE": 17, "INDEX_BYTES": 2}),
    (pool.BACKWARD, {"SIDE": 17, "STRIDE": 17, "INDEX_BYTES": 2}),
    (pool.MEAN, {"WIDE": 0, "THREADS": 256}),
    (pool.MEAN_BACKWARD, {"WIDE": 0, "ROWS": 8}),
    (augment.CROP, {}),
    (dropout.MASK, {}),
    (SGD, ROWS | {"MOST": UPDATES.most}),
    (MIX, ROWS | {"MOST": PAIRS.most}),
]


class Recorder:
    """A library whose kernels are only noted: what `Kernel` gives to the compiler for arrays of one type."""

    def __init__(self, char):
        self.dtype, self.built, self.__name__ = np.dtype(char), [], f"recorder {id(self)}"

    def __array_namespace__(self):
        return self

    def RawKernel(self, source, name, options):
        self.built.append((source, options))
        return lambda grid, block, args: None


def sized(constants, char):
    """The constants of a build for numbers of this type: rows of WIDE of them are 16 bytes."""
    return {name: value or {"f": 4, "d": 2}[char] for name, value in constants.items()}


@pytest.mark.skipif(nvrtc.missing() is not None, reason=str(nvrtc.missing()))
@pytest.mark.parametrize("char, sm", [("f", 75), ("f", 80), ("f", 90), ("d", 80)])
def test_nvrtc_takes_them_without_a_spill(char, sm):
    for kernel, constants in BUILDS:
        used = nvrtc.build(kernel, char, sized(constants, char), sm)
        assert used.stack == used.spilled == 0 and used.shared <= 48 << 10, f"{kernel.name}, {char}, sm_{sm}: {used}"


@pytest.mark.parametrize("name", cuda.FORMS)
def test_operations_run_them_on_float32_and_float64(name):
    arrays: list[Any] = [Recorder(char) for char in "fdi"]
    single, double, whole = (fast_ops(array, array) for array in arrays)
    assert name in ops.__all__
    assert single[name] is double[name] is getattr(cuda, name)
    assert name not in whole


if __name__ == "__main__":
    for kernel, constants in BUILDS:
        for char, sm in ((char, sm) for char in "fd" for sm in (75, 80, 90)):
            used = nvrtc.build(kernel, char, sized(constants, char), sm)
            print(f"{kernel.name:28} {char} sm_{sm}  {used}", flush=True)
