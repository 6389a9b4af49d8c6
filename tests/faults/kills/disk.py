"""What a power cut would leave of a run's folder, as POSIX promises it.

On the disk are the bytes of each file as of its last fsync, and the names in a folder as of the folder's last fsync. A
folder that was made is there for certain only after an fsync of the one above it. What was there when the process began
counts as being on the disk. What is not on the disk may be lost or not, in any order; three cases are tried:

    lost    nothing of it is there: names are undone, and bytes too
    names   each name is as it was changed last, and a file has the bytes of its last fsync, none where it had none
    torn    as names, and of the bytes that follow those of the last fsync the first half is there

A file that was overwritten in place after its last fsync is torn to half of its new bytes. A real disk also has a cache
of its own, and may tear a write within a sector: neither is simulated.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tests.faults.kills.points import Point

CUTS = ("lost", "names", "torn")
Content = dict[str, bytes]  # of a folder, by name


class Disk:
    """Keeps, in the folder `kept` outside the run, what is on the disk; made in the process that will be killed."""

    def __init__(self, folder: Path, kept: Path) -> None:
        self.folder, self.kept = folder, kept
        self.names: dict[str, int] = {}  # as of the folder's last fsync: name → inode
        self.unsynced: list[str] = []  # folders that were made, and are not yet on the disk
        self.held: dict[int, int] = {}  # inode → a descriptor, so that no other file gets its number
        kept.mkdir()
        if folder.exists():
            self.names = self._inodes()
            for name, inode in self.names.items():
                shutil.copyfile(folder / name, kept / str(inode))
        self._write()

    def reached(self, point: Point) -> None:
        pass

    def replaced(self, path: Path) -> None:
        pass

    def created(self, path: Path) -> None:
        self.unsynced.append(str(path))
        self._write()

    def synced(self, path: Path) -> None:
        if not path.is_dir():
            inode = self._hold(path)
            shutil.copyfile(path, self.kept / str(inode))
            return
        if path == self.folder:
            self.names = self._inodes()
        self.unsynced = [created for created in self.unsynced if Path(created).parent != path]
        self._write()

    def _inodes(self) -> dict[str, int]:
        return {entry.name: self._hold(Path(entry)) for entry in os.scandir(self.folder)}

    def _hold(self, path: Path) -> int:
        inode = path.stat().st_ino
        if inode not in self.held:
            self.held[inode] = os.open(path, os.O_RDONLY)
        return inode

    def _write(self) -> None:
        text = json.dumps({"names": self.names, "unsynced": self.unsynced})
        (self.kept / "names.json").write_text(text)


def content(folder: Path) -> Content | None:
    """The bytes of each file; None where there is no folder."""
    return {p.name: p.read_bytes() for p in folder.iterdir()} if folder.exists() else None


def left(folder: Path, kept: Path, cut: str) -> Content | None:
    """What the cut leaves of the folder of a process that was killed: one of CUTS. None where the folder is gone."""
    recorded = json.loads((kept / "names.json").read_text())
    if cut == "lost":
        gone = bool(recorded["unsynced"])
        return None if gone else {name: _synced(kept, inode) for name, inode in recorded["names"].items()}
    if not folder.exists():
        return None
    result = {}
    for path in folder.iterdir():
        synced = _synced(kept, path.stat().st_ino)
        result[path.name] = _torn(synced, path.read_bytes()) if cut == "torn" else synced
    return result


def put(folder: Path, files: Content | None) -> None:
    """Makes the folder hold these files and no other."""
    shutil.rmtree(folder, ignore_errors=True)
    if files is not None:
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)


def _synced(kept: Path, inode: int) -> bytes:
    """The bytes of a file as of its last fsync."""
    path = kept / str(inode)
    return path.read_bytes() if path.exists() else b""


def _torn(synced: bytes, now: bytes) -> bytes:
    if now == synced:
        return now
    return now[: (len(synced) + len(now)) // 2] if now.startswith(synced) else now[: len(now) // 2]
