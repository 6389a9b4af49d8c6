"""Fetch a file from the first source that has the right one: resume a broken download, check it, put it in place.

Bytes go to `NAME.part` beside the file. They are kept when a connection breaks or the user stops, and the next attempt
requests the rest (HTTP Range) from any source; the checksum shows whether the parts fit. Only a file that passes its
check is renamed to its name. Where no checksum is known nothing is resumed, and only the length is checked.
"""

from __future__ import annotations

import fcntl
import http
import http.client
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from minilocal.data.container import has_sum
from minilocal.errors import UserError

ATTEMPTS = 3  # per source; only an attempt that received bytes is followed by another
TIMEOUT = 30.0  # seconds without an answer
CHUNK = 1 << 18


class SourceError(Exception):
    """A source did not give the file; the text says why. The next source is tried."""


class RangeTooLong(SourceError):
    """The source's file is shorter than the bytes that are here: they belong to another file."""


class ConnectionLost(SourceError):
    """The connection ended early: the received bytes are kept, and the rest can be requested."""


def fetch(name: str, sources: Sequence[str], folder: Path, checksum: str | None, length: int | None) -> Path:
    """The path `folder`/`name`, fetched from the first of `sources` that has it.

    checksum   "sha256:hex", or None where it is not known
    length     in bytes, or None

    Raises: UserError, one line with every source and its error, when no source has the file; and when it cannot be
    written.
    """
    final, part = folder / name, folder / f"{name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # so two runs that start together fetch once
            if final.is_file():
                part.unlink(missing_ok=True)
                return final
            faults = []
            for url in sources:
                try:
                    _from_source(url, part, checksum, length)
                except SourceError as fault:
                    faults.append(f"{url}: {fault}")
                    continue
                _put_in_place(part, final)
                return final
            kept = part.stat().st_size if part.exists() else 0
            if not kept:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{name} cannot be written to {folder}: {error.strerror or error}.") from None
    again = f" {kept} bytes are kept: the same command goes on from there." if kept and checksum else ""
    raise UserError(
        f"{name} could not be fetched. {'; '.join(faults) or 'No source is known'}.{again} "
        f"Or put the file into {folder} yourself."
    )


def _from_source(url: str, part: Path, checksum: str | None, length: int | None) -> None:
    """Fill `part` from one source, requesting the rest as long as each attempt receives bytes."""
    attempts = ATTEMPTS
    while True:
        if checksum is None:
            part.write_bytes(b"")
        before = part.stat().st_size
        attempts -= 1
        try:
            _download(url, part, length)
        except RangeTooLong:
            part.write_bytes(b"")
            continue
        except ConnectionLost:
            if checksum is None or attempts <= 0 or part.stat().st_size <= before:
                raise
            continue
        if checksum is None or has_sum(part, checksum):
            return
        part.write_bytes(b"")
        if not before:  # these bytes all came from this source
            raise SourceError(f"its file has another checksum than {checksum.partition(':')[2][:12]}...; dropped")


def _download(url: str, part: Path, length: int | None) -> None:
    """Append to `part` the missing bytes of the file at `url`."""
    have = part.stat().st_size
    if length is not None and have >= length:
        if have == length:
            return
        part.write_bytes(b"")
        have = 0
    headers = {"User-Agent": "minilocal", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
            start = _start(response, have)
            total = _total(response, start)
            if length is not None and total is not None and total != length:
                raise SourceError(f"its file has {total} bytes, the official one {length}")
            with part.open("r+b") as file:
                file.truncate(start)
                file.seek(start)
                _copy(response, file, start, total or length, url)
                file.flush()
                os.fsync(file.fileno())
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            raise RangeTooLong(f"it has fewer than {have} bytes") from None
        raise SourceError(f"HTTP {error.code} {error.reason}") from None
    except (urllib.error.URLError, ValueError) as error:
        raise SourceError(f"{getattr(error, 'reason', error)}") from None
    except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
        raise ConnectionLost(f"the connection broke ({error or type(error).__name__})") from None


def _start(response: Any, have: int) -> int:
    """The position of the body in the file: `have` where the server honoured the range, 0 where it ignored it."""
    if "html" in response.headers.get("Content-Type", ""):
        raise SourceError("it sent a web page instead of the file")
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    content_range = response.headers.get("Content-Range", "")
    match = re.match(r"bytes (\d+)-", content_range)
    if not match or int(match[1]) != have:
        raise SourceError(f"asked for the bytes from {have}, it answered {content_range!r}")
    return have


def _total(response: Any, start: int) -> int | None:
    """The length of the whole file, or None where the server does not send the length of the body."""
    rest = response.headers.get("Content-Length")
    return start + int(rest) if rest is not None and rest.isdecimal() else None


def _copy(response: Any, file: IO[bytes], start: int, total: int | None, url: str) -> None:
    """Copy the body into the file, with a progress bar on a terminal."""
    from tqdm import tqdm

    done, address = start, urlsplit(url)
    label = f"{address.path.rpartition('/')[2]} from {address.netloc}"
    with tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=label, disable=None, leave=False) as bar:
        while block := response.read(CHUNK):
            if not done and block.lstrip()[:1] == b"<":
                raise SourceError("it sent a web page instead of the file")
            file.write(block)
            done += len(block)
            bar.update(len(block))
    if total is not None and done != total:
        raise ConnectionLost(f"the connection ended after {done} of {total} bytes")


def _put_in_place(part: Path, final: Path) -> None:
    os.replace(part, final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # without it a power cut may undo the rename
    finally:
        os.close(folder)
