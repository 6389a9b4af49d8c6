"""Modules on more devices than there are: a discrete-event simulation of a training step.

Measure(net, images).modules(modules)        the costs of modules, each part timed by itself
Placement(rule, costs, owned)                a rule, the modules' costs, and the modules of each device
simulate(placement, Link(...))               step time, idle shares, bytes, memory, and the bars of a Gantt chart
first_steps(placement, Link(...), steps=5)   the bars of the first steps, while the pipeline fills
iterations(rule, modules, steps)             the batch of each module in each iteration
"""

from __future__ import annotations

from minilocal.parallel.simulate.costs import ModuleCosts, PartCosts, merged, scaled
from minilocal.parallel.simulate.events import Bar, Link
from minilocal.parallel.simulate.iterations import iterations
from minilocal.parallel.simulate.program import Placement
from minilocal.parallel.simulate.schedule import Schedule, first_steps, simulate

__all__ = [
    "Bar",
    "Link",
    "ModuleCosts",
    "PartCosts",
    "Placement",
    "Schedule",
    "first_steps",
    "iterations",
    "merged",
    "scaled",
    "simulate",
]
