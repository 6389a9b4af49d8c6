"""One request for a file, or for what is missing of it: bounded in length and in time.

A server may answer anything: a web page, another range, more bytes than the file has, a byte a second, or nothing. Each
ends in one of the errors here, and `fetch` decides what comes next.
"""

from __future__ import annotations

import http
import http.client
import os
import queue
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from minilocal.errors import printable, reason

ANSWER = 60.0  # seconds for the address, the connection, redirections and all headers together
STALL = 30.0  # seconds without a byte
WINDOW, SLOWEST = 60.0, 1000  # in each window of seconds, this many bytes a second: a modem is faster
LARGEST = 1 << 33  # bytes, where the length is not known: more than any published file
CHUNK = 1 << 18


class SourceError(Exception):
    """A source did not give the file; the text says why. The next source is tried."""


class RangeRefused(SourceError):
    """The source did not give the range that was requested: the whole file may be."""


class ConnectionLost(SourceError):
    """The connection ended early, or was too slow: the received bytes are kept, and the rest can be requested."""


def download(url: str, part: Path, length: int | None) -> None:
    """Append to `part` the missing bytes of the file at `url`, whose length is known or not.

    Raises: SourceError; OSError where `part` cannot be written.
    """
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
        with _answer(urllib.request.Request(url, headers=headers)) as response:
            start = _start(response, have)
            total = _total(response, start)
            if length is not None and total is not None and total != length:
                in_range = have and response.status == http.HTTPStatus.PARTIAL_CONTENT
                error = RangeRefused if in_range else SourceError
                raise error(f"its file has {total} bytes, the official one {length}")
            with part.open("r+b") as file:
                file.truncate(start)
                file.seek(start)
                _copy(response, file, start, total or length, url)
                file.flush()
                os.fsync(file.fileno())
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            raise RangeRefused(f"it has fewer than {have} bytes") from None
        raise SourceError(f"HTTP {error.code} {printable(error.reason)[:80]}") from None
    except urllib.error.URLError as error:
        cause = error.reason
        raise SourceError(reason(cause) if isinstance(cause, BaseException) else printable(cause)[:300]) from None
    except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
        raise ConnectionLost(f"the connection broke ({reason(error)})") from None
    except ValueError as error:
        raise SourceError(reason(error)) from None


def _answer(request: urllib.request.Request) -> Any:
    """The response, with its headers read, within `ANSWER` seconds.

    A name server cannot be given a time limit, nor can headers that come a byte at a time. So another thread waits for
    them; where they come too late, it is left to its fate.
    """
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(request, timeout=STALL))
        except BaseException as error:
            answers.put(error)

    threading.Thread(target=ask, name="minilocal download", daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER)
    except queue.Empty:
        raise SourceError(f"no answer within {ANSWER:g} seconds") from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _start(response: Any, have: int) -> int:
    """The position of the body in the file: `have` where the range was honoured, 0 where it was ignored.

    Raises: RangeRefused for any other range.
    """
    if "html" in response.headers.get("Content-Type", ""):
        raise SourceError("it sent a web page instead of the file")
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    stated = response.headers.get("Content-Range", "")
    match = re.match(r"bytes (\d{1,15})-", stated)
    if not match or int(match[1]) != have:
        error = RangeRefused if have else SourceError
        raise error(f"asked for the bytes from {have}, it answered {printable(stated)[:80]!r}")
    return have


def _total(response: Any, start: int) -> int | None:
    """The length of the whole file, or None where the server does not send the length of the body."""
    rest = response.headers.get("Content-Length")
    return start + int(rest) if rest is not None and re.fullmatch(r"\d{1,15}", rest) else None


def _copy(response: Any, file: IO[bytes], start: int, total: int | None, url: str) -> None:
    """Copy the body into the file, with a progress bar on a terminal.

    Raises: SourceError where there is more of it than `total`, and nothing of it is kept; ConnectionLost where there is
    less, or it comes too slowly.
    """
    from tqdm import tqdm

    most = LARGEST if total is None else total
    done, address = start, urlsplit(url)
    began, before = time.monotonic(), start
    label = f"{address.path.rpartition('/')[2]} from {address.netloc}"
    with tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=label, disable=None, leave=False) as bar:
        while block := response.read1(CHUNK):
            if not done and block.lstrip()[:1] == b"<":
                raise SourceError("it sent a web page instead of the file")
            done += len(block)
            if done > most:
                file.truncate(start)
                raise SourceError(f"it sent more than {most} bytes, which the file has; dropped")
            file.write(block)
            bar.update(len(block))
            if (now := time.monotonic()) - began > WINDOW:
                if done - before < SLOWEST * (now - began):
                    raise ConnectionLost(f"fewer than {SLOWEST} bytes a second came, {done} in all")
                began, before = now, done
    if total is not None and done != total:
        raise ConnectionLost(f"the connection ended after {done} of {total} bytes")
