"""Another source of a data set's files than its official addresses: a mirror, a folder of this machine, or a file."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from minilocal.data.layout import Layout
from minilocal.errors import UserError


def source_of(source: str, layout: Layout, name: str) -> str | Path:
    """The address or the path of the file `name`.

    source   the address of a folder or of the file itself, http or https; a folder of this machine, or the file itself

    Raises: UserError for another scheme, and for a folder without the file.
    """
    if "://" in source:
        address = urlsplit(source)
        if address.scheme not in ("http", "https") or not address.netloc:
            raise UserError(f"source {source!r} is no address: give http://... or https://..., or a path.")
        return source if address.path.rpartition("/")[2] == name else f"{source.rstrip('/')}/{name}"
    path = Path(source).expanduser()
    if not path.is_dir():
        return path
    inside = [file for file in (path / name, path / layout.folder / name) if file.is_file()]
    if not inside:
        raise UserError(f"source {source} has no {name}, as the official file is called.")
    return inside[0]
