"""Modules on more devices than there are: a discrete-event simulation of a training step.

Measure(net, images).modules(modules)  the costs of modules, each part timed by itself
Placement(rule, costs, owned)         a rule, the modules' costs, and the modules of each device
simulate(placement, Link(...))        step time, idle shares, bytes, memory, and the bars of a Gantt chart
"""

from __future__ import annotations

from minilocal.parallel.simulate.costs import ModuleCosts, PartCosts, merged, scaled
from minilocal.parallel.simulate.events import Bar, Link
from minilocal.parallel.simulate.program import Placement
from minilocal.parallel.simulate.schedule import Schedule, simulate

__all__ = ["Bar", "Link", "ModuleCosts", "PartCosts", "Placement", "Schedule", "merged", "scaled", "simulate"]
