"""The plain code of every operation, by its name: `plain.conv2d(x, W)`, whatever the arrays."""

from types import SimpleNamespace

from minilocal import ops
from minilocal.ops import dispatch

NAMES = sorted(set(ops.__all__) - {"reference"})
plain = SimpleNamespace(**{name: dispatch.plain(getattr(ops, name)) for name in NAMES})
