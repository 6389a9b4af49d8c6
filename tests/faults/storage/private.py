"""Mounts that only a forked process sees, where the machine allows them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

from tests.faults.storage.case import Skipped
from tests.faults.storage.child import Ended, forked

NEWNS, NEWUSER = 0x20000, 0x10000000  # linux/sched.h
PRIVATE, RECURSIVE, REMOUNT, READ_ONLY = 1 << 18, 1 << 14, 32, 1  # linux/mount.h
NOT_ALLOWED = 77


def in_private_mounts(folder: Path, work: Callable[[], int], limit: float = 120) -> Ended:
    """`work` in a forked process whose mounts nobody else sees, as root or as root of a user namespace.

    Raises: Skipped where the machine does not allow it.
    """

    def apart() -> int:
        try:
            _enter()
            mount_tmpfs(folder, "size=64m", try_only=True)
        except OSError:
            return NOT_ALLOWED
        return work()

    ended = forked(folder, apart, limit)
    if ended.status == NOT_ALLOWED:
        raise Skipped("this machine allows no private mounts")
    return ended


def mount_tmpfs(place: Path, options: str, try_only: bool = False) -> None:
    """Mount a tmpfs, or mount it again with other options: `size=80k`, `remount,ro`."""
    flags = REMOUNT * ("remount" in options) | READ_ONLY * ("ro" in options.split(","))
    data = ",".join(word for word in options.split(",") if word not in ("remount", "ro", "rw"))
    if try_only:
        place = place / "try"
        place.mkdir()
    _call("mount", b"tmpfs", os.fsencode(place), b"tmpfs", flags, data.encode() or None)
    if try_only:
        _call("umount", os.fsencode(place))
        place.rmdir()


def _enter() -> None:
    user, group = os.getuid(), os.getgid()
    if user == 0:
        _call("unshare", NEWNS)
    else:
        _call("unshare", NEWNS | NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _call("mount", b"none", b"/", None, PRIVATE | RECURSIVE, None)


def _call(name: str, *arguments: object) -> None:
    """A function of the C library. Raises: OSError."""
    values = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*values):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
