"""A rank's segment of the network: the modules that it trains, and its neighbours."""

from __future__ import annotations

from typing import NamedTuple

from minilocal.parallel.wire import Neighbour


class Segment(NamedTuple):
    """The modules `own`, and the ranks that train those `below` and `above` them; None at an end of the network."""

    own: range
    below: Neighbour | None
    above: Neighbour | None
