"""Every CUDA kernel goes through NVIDIA's compiler, for a GPU that is not there, and keeps its numbers in registers."""

import re
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from minilocal import ops
from minilocal.kernels import cuda
from minilocal.kernels.cuda import augment, batch_norm, dropout, pool, softmax
from minilocal.kernels.cuda.relu import RELU_BACKWARD
from minilocal.kernels.cuda.sgd import EACH, MOST, SGD, THREADS
from minilocal.ops.dispatch import fast_ops

SUMS = {"THREADS": 256}
BUILDS = [
    (batch_norm.SUMS, {"WIDE": 0, "DEEP": 4, **SUMS}),
    (batch_norm.STATISTICS, {"WIDE": 1, "THREADS": 512}),
    (batch_norm.APPLY, {"WIDE": 0, "DEEP": 4, "ROWS": 8, "ADD": 1, "RELU": 1}),
    (batch_norm.BACKWARD_SUMS, {"WIDE": 0, "DEEP": 2, "RELU": 1, "KEEP": 1, **SUMS}),
    (batch_norm.GRADIENTS, {"WIDE": 1, "THREADS": 512}),
    (batch_norm.BACKWARD, {"WIDE": 0, "DEEP": 2, "ROWS": 8, "RELU": 1}),
    (batch_norm.UPDATE_RUNNING, {}),
    (RELU_BACKWARD, {"EACH": 4}),
    (softmax.ROW, {"LANES": 32, "ROWS": 8, "LABEL_BYTES": 8}),
    (softmax.MEAN, {"THREADS": 256}),
    (pool.FORWARD, {"SIDE": 3, "STRIDE": 2, "INDEX_BYTES": 1}),
    (pool.BACKWARD, {"SIDE": 3, "STRIDE": 2, "INDEX_BYTES": 1}),
    (pool.FORWARD, {"SIDE": 17, "STRIDE": 17, "INDEX_BYTES": 2}),
    (pool.BACKWARD, {"SIDE": 17, "STRIDE": 17, "INDEX_BYTES": 2}),
    (augment.CROP, {}),
    (dropout.MASK, {}),
    (SGD, {"MOST": MOST, "THREADS": THREADS, "EACH": EACH}),
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


def every_source(char):
    """The kernels in one file, each in a namespace of its own: nvcc takes its time for every file."""
    recorder: Any = Recorder(char)
    for kernel, constants in BUILDS:
        kernel(recorder, (1,), (1,), (), **{name: value or {"f": 4, "d": 2}[char] for name, value in constants.items()})
    text = ""
    for i, (source, options) in enumerate(recorder.built):
        source = "".join(f"#define {o[2:].replace('=', ' ', 1)}\n" for o in options if o.startswith("-D")) + source
        undo = "".join(f"#undef {name}\n" for name in re.findall(r"#define (\w+)", source))
        source = source.replace('extern "C"', "")
        text += f"namespace kernel{i} {{\n{source}\n}}\n{undo}"
    return text


@pytest.mark.skipif(not shutil.which("nvcc"), reason="no nvcc on this machine")
@pytest.mark.parametrize("char", "fd")
def test_nvcc_takes_them_without_a_spill(char, tmp_path):
    (tmp_path / "all.cu").write_text(every_source(char))
    command = ["nvcc", "-cubin", "-arch=sm_80", "--std=c++17", "-Xptxas", "-v", "-o", str(tmp_path / "all.cubin")]
    done = subprocess.run([*command, str(tmp_path / "all.cu")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = re.findall(r"Compiling entry function '(\w+)'", done.stderr)
    spills = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)
    assert len(built) == len(BUILDS) and len(spills) >= len(BUILDS)
    assert all(row == ("0", "0", "0") for row in spills), list(zip(built, spills, strict=False))


@pytest.mark.parametrize("name", cuda.FORMS)
def test_operations_run_them_on_float32_and_float64(name):
    arrays: list[Any] = [Recorder(char) for char in "fdi"]
    single, double, whole = (fast_ops(array, array) for array in arrays)
    assert name in ops.__all__
    assert single[name] is double[name] is getattr(cuda, name)
    assert name not in whole
