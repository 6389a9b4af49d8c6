"""Measurements: bytes."""

from minilocal.measure.memory import Meter

__all__ = ["Meter"]
