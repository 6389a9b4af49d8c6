"""Run folders as tables and figures, and ours beside what the papers print.

folders → runs (each checked) → groups (seeds of one configuration) → panels (one network on one data set)
→ a document of figures and tables → HTML, Markdown, CSV, SVG
"""

from __future__ import annotations

from minilocal.report.build import Report, build
from minilocal.report.write import FORMATS, write

__all__ = ["FORMATS", "Report", "build", "write"]


def __dir__() -> list[str]:
    return sorted(__all__)
