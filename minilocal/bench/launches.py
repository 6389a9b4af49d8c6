"""Launches and bytes of a training step on a GPU, counted from shapes, and launches counted on the GPU itself.

    counted = step_launches(net, rules.bp(), 16, images=512)
    counted.launches, counted.moved

The engine runs on abstract arrays (memory/abstract_array.py), which count what CuPy would start. So a step is counted
on any machine in about a second, and a change of the engine or of a kernel shows in the numbers before a GPU runs it.
On a GPU, CUDA counts the nodes of a captured step.

The learning rate and the numbers of epoch and step are set outside a step's graph, and not counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from minilocal import streams
from minilocal.bench.captured import capture
from minilocal.bench.timing import Work
from minilocal.bench.workload import Workload
from minilocal.device import device_namespace
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.memory.abstract_array import AbstractNamespace
from minilocal.nets import Net
from minilocal.rules import Rule


class StepLaunches(NamedTuple):
    """What one step of full batches starts on a GPU.

    launches    kernels, copies and fills: the nodes of its CUDA graph
    moved       bytes of the arrays that they are given and write, each array once a launch; without SGD's
    """

    launches: int
    moved: int


def step_launches(net: Net, rule: Rule, modules: int | Sequence[int], images: int) -> StepLaunches:
    """Launches and bytes of a step of `images` images, as it is recorded in a CUDA graph.

    Raises: UserError as a `Learner`, where net, rule and modules do not fit.
    """
    library = AbstractNamespace(gpu=True)
    learner: Any = Learner(net, rule, modules, rng=streams.rng(0), device=library)
    x, y = library.empty((images, *net.shape), learner.dtype), library.empty((images,), int)
    learner.step(x, y, lr=0.0)  # velocities are made in the first step
    before = library.launches, library.moved
    learner.engine.set_step(0.0, PassContext())
    outside = library.launches, library.moved
    learner.step(x, y, lr=0.0)
    counts = zip((library.launches, library.moved), outside, before, strict=True)
    return StepLaunches(*((after - then) - (then - first) for after, then, first in counts))


def captured_launches(workload: Workload) -> int:
    """Launches of the step on its device: the nodes of its graph.

    Raises: NotCaptured where the library refuses to capture it.
    """
    xp, learner = device_namespace(workload.device), replace(workload, graph=False).learner()
    engine: Any = learner.engine
    x = xp.zeros((workload.batch, *learner.net.shape), learner.dtype)
    y = xp.zeros(workload.batch, int)
    for _ in range(2):  # kernels are built, velocities made
        learner.step(x, y, lr=0.0)

    def nodes(work: Work) -> int:
        captured = capture(xp, work, 1)
        number = graph_nodes(captured.graph)
        captured.release()
        return number

    return nodes(lambda: learner.step(x, y, lr=0.0)) - nodes(lambda: engine.set_step(0.0, PassContext()))


def graph_nodes(graph: Any) -> int:
    """The number of nodes of CuPy's CUDA graph, from the text in which CUDA prints it (Graphviz)."""
    return len(set(re.findall(r'"(graph_\d+_node_\d+)"\s*\[', graph.debug_dot_str())))
