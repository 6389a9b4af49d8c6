"""What a module costs under a rule, in multiply-adds, seconds or bytes, and the cut whose largest module costs least.

measure(net, rule, modules, by)        the costs of K modules, wherever they are cut
"""

from minilocal.costs.costs import MEASURES, Costs, measure

__all__ = ["MEASURES", "Costs", "measure"]


def __dir__() -> list[str]:
    return sorted(__all__)
