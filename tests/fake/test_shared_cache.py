"""The folder of built kernels is every test process's: whoever finds a kernel there finds a whole one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fake import cuda_on_host

pytestmark = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))

PROCESSES = 4
SLOW_COMPILER = '#!/bin/sh\nsleep 0.$(($$ % 3 + 1))\nexec {compiler} "$@"\n'  # the others come between two steps
BUILD = """
import sys
import numpy as np
from tests.fake import cuda_on_host
cuda_on_host.checked = False
sys.stdin.read()  # until all are here
for number in range(1, 3):
    x = np.zeros(1, np.float32)
    source = 'extern "C" __global__ void k(float *x) { x[0] = %d; }' % number
    cuda_on_host.RawKernel(source, "k")((1,), (1,), (x,))
    assert x[0] == number
"""


def test_processes_that_build_the_same_kernels_at_once_all_get_them(tmp_path):
    compiler, cache = tmp_path / "bin" / "g++", tmp_path / "cache"
    compiler.parent.mkdir()
    cache.mkdir()
    compiler.write_text(SLOW_COMPILER.format(compiler=shutil.which("g++")))
    compiler.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{compiler.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TMPDIR": str(cache),
    }
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", BUILD]
    builders: list[Any] = [subprocess.Popen(command, env=environment, **pipes) for _ in range(PROCESSES)]
    for builder in builders:
        builder.stdin.close()
    errors = [builder.stderr.read() for builder in builders]
    assert [builder.wait() for builder in builders] == [0] * PROCESSES, "\n".join(errors)
    (folder,) = cache.iterdir()
    assert sorted(f.name.partition("-")[0] for f in folder.iterdir()) == ["k", "k", "runner"], "nothing is left over"
