"""Folders from which code is loaded: those of this user, in which nobody else can put a file."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path


def why_not_private(folder: Path) -> str:
    """Who else could put a file of theirs into `folder`, in words; "" where nobody can.

    The folder, with its links resolved, and each one above it belong to this user or to root, and nobody else may write
    in them: the rule by which OpenSSH trusts a list of keys (`safe_path` in its misc.c). Others may write in a sticky
    folder, such as /tmp, where each can rename only what is theirs, and a group may that has this user alone. What is
    not there yet is not looked at.

    Raises: OSError where a folder cannot be looked at.
    """
    place, user = Path(os.path.realpath(folder)), os.geteuid()
    for above in (place, *place.parents):
        try:
            about = above.stat()
        except FileNotFoundError:
            continue
        mode = stat.S_IMODE(about.st_mode)
        if about.st_uid not in (user, 0):
            return f"{above} belongs to another user, {_name(about.st_uid)}"
        if mode & stat.S_ISVTX and above != place:
            continue
        if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _alone_in(about.st_gid)):
            return f"others may write in {above} (mode {mode:04o}): chmod go-w {above}"
    return ""


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"number {user}"


def _alone_in(group: int) -> bool:
    """Whether a group is this user's own, as many systems give each one: of the same name, without other members."""
    try:
        name, entry = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return entry.gr_name == name and set(entry.gr_mem) <= {name}
