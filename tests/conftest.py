"""Side by side, each test process works on one thread: more would only take the neighbours' cores."""

import os

import minilocal as ml

if "PYTEST_XDIST_WORKER" in os.environ:
    ml.use_threads(1)
