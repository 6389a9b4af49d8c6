"""Run folders: written so that a kill loses nothing, read back without trust."""

from minilocal.record.files import written_aside
from minilocal.record.folder import Folder, checkpoint, config, recorded_environment, rows
from minilocal.record.origin import current_environment

__all__ = ["Folder", "checkpoint", "config", "current_environment", "recorded_environment", "rows", "written_aside"]
