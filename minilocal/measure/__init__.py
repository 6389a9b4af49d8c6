"""Measurements: bytes and seconds, and what crosses boundaries."""

from minilocal.measure.memory import Meter
from minilocal.measure.predict import Device, Host, predict
from minilocal.measure.usage import Usage, usage

__all__ = ["Device", "Host", "Meter", "Usage", "predict", "usage"]


def __dir__() -> list[str]:
    return sorted(__all__)
