"""Measurements: bytes, and what crosses boundaries."""

from minilocal.measure.memory import Meter

__all__ = ["Meter"]
