"""The engine on a device against the engine on the host, from the same numbers: `run("cuda")` gives the rows."""

from minilocal.verify.device.rows import KINDS, run

__all__ = ["KINDS", "run"]
