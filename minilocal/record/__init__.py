"""Run folders: written so that a kill loses nothing, and read with every entry checked."""

from minilocal.record.environment import current_environment, device_facts
from minilocal.record.exported import ENTRY, is_exported, read_exported, write_exported
from minilocal.record.files import atomic_write, has_entry, os_errors_explained
from minilocal.record.find import run_folders
from minilocal.record.folder import RunFolder
from minilocal.record.lock import InUse, check_unlocked
from minilocal.record.place import beside, check_free, make_folders
from minilocal.record.read import checkpoint, config, recorded_environment, rows, saved_nothing

__all__ = [
    "ENTRY",
    "InUse",
    "RunFolder",
    "atomic_write",
    "beside",
    "check_free",
    "check_unlocked",
    "checkpoint",
    "config",
    "current_environment",
    "device_facts",
    "has_entry",
    "is_exported",
    "make_folders",
    "os_errors_explained",
    "read_exported",
    "recorded_environment",
    "rows",
    "run_folders",
    "saved_nothing",
    "write_exported",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
