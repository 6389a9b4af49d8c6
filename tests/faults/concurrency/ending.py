"""Programs that end while a thread is in a step."""

from __future__ import annotations

import subprocess
import sys

from tests.faults.concurrency.learners import trained

PROGRAM = """
import sys, threading, time
import minilocal as ml
from tests.faults.concurrency.learners import learner, step

ml.use_threads(int(sys.argv[1]))
ml.use_kernels(sys.argv[2])
daemon, wait = sys.argv[3] == "daemon", float(sys.argv[4])
begun = threading.Event()

def steps():
    one = learner()
    for number in range(10**6 if daemon else 20):
        step(one, 0, number)
        begun.set()
    print("done")

threading.Thread(target=steps, daemon=daemon).start()
begun.wait()
time.sleep(wait)
"""


def at_exit(kind: str, kernels: str, times: int = 20) -> str:
    """No traceback and exit status 0, at instants 1.3 ms apart; a thread that is no daemon ends its work."""
    trained()  # with Numba's kernels: what is compiled here is not told of by the programs
    out = "" if kind == "daemon" else "done\n"
    for i in range(times):
        words = [str(1 + i % 3), kernels, kind, f"{0.0013 * i:.4f}"]
        done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=60)
        if (done.returncode, done.stdout, done.stderr) != (0, out, ""):
            return f"exit {i}: status {done.returncode}, {done.stdout!r}, {done.stderr[-500:]!r}"
    return ""
