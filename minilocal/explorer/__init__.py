"""The explorer: one page that shows what a rule does at a point of network, K, l, α and auxiliary network.

    choices     what can be chosen
    boundary    the errors that pass each boundary, locks, and messages, by the rule's answers
    nbytes      predicted bytes
    schedule    a simulated step on K devices
    errors      published test errors, and ours
    points      all of it as data
    page        one HTML file around that data, with a script that draws it

JavaScript does no more than a line between two numbers of images, and α^n and (1-α)^n.
"""

from __future__ import annotations

from minilocal.explorer.page import html, write

__all__ = ["html", "write"]


def __dir__() -> list[str]:
    return sorted(__all__)
