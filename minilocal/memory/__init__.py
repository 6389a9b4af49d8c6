"""Bytes of a training step: estimated from shapes, measured, and attributed."""

from minilocal.memory.estimate import CPU, GPU, estimate
from minilocal.memory.meter import Meter
from minilocal.memory.period import PeriodMemory, over_period
from minilocal.memory.profile import MemoryProfile, profile

__all__ = ["CPU", "GPU", "MemoryProfile", "Meter", "PeriodMemory", "estimate", "over_period", "profile"]


def __dir__() -> list[str]:
    return sorted(__all__)
