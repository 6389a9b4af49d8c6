"""Run folders: written so that a kill loses nothing, read back without trust."""

from minilocal.record.environment import current_environment
from minilocal.record.files import written_aside
from minilocal.record.folder import Folder, beside, check_free
from minilocal.record.read import checkpoint, config, recorded_environment, rows, saved_nothing

__all__ = [
    "Folder", "beside", "check_free", "checkpoint", "config", "current_environment", "recorded_environment", "rows",
    "saved_nothing", "written_aside",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
