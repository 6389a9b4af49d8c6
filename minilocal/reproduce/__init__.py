"""The papers' experiments, each a declarative file: trained at a scale, and shown beside what is printed.

load(name)            an experiment; NAMES lists them
plan(...)             its cells at a scale, with their configurations
opened(path, plan)    its folder, a sweep's, whose runs any number of processes train
results(plan, queue)  what they ended with
section(...)          the experiment's own tables and figures, for a report
"""

from minilocal.reproduce.cells import ExperimentCell, cells
from minilocal.reproduce.experiment import NAMES, SCALES, Experiment, load
from minilocal.reproduce.folder import opened
from minilocal.reproduce.plan import Plan, PlannedCell, plan
from minilocal.reproduce.results import Result, results
from minilocal.reproduce.section import section
from minilocal.reproduce.views import VIEWS, View

__all__ = [
    "NAMES", "SCALES", "VIEWS", "Experiment", "ExperimentCell", "Plan", "PlannedCell", "Result", "View", "cells",
    "load", "opened", "plan", "results", "section",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
