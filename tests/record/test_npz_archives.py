"""Archives of arrays: what one may unpack to, in every reader of one."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import record
from minilocal.record.npz import FREE, opened_npz
from minilocal.record.read import read_checkpoint
from minilocal.train.weights import read_weights

READERS: dict[str, Any] = {
    "checkpoint": read_checkpoint,
    "exported run": record.read_exported,
    "learner.save": ml.load,
    "weights": read_weights,
}


def bomb(path: Path, megabytes: int) -> Path:
    """An array of zeros of so many megabytes, compressed to a thousandth."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (megabytes << 18,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w.npy", "w") as file:
        file.write(header.getvalue())
        for _ in range(megabytes):
            file.write(bytes(1 << 20))
    return path


@pytest.mark.parametrize("reader", READERS)
def test_a_small_file_that_unpacks_to_much_is_refused_before_it_is_unpacked(reader, tmp_path):
    path = bomb(tmp_path / "w.npz", 400)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ml.UserError, match=r"it unpacks to 419,\d\d\d,\d\d\d bytes, more than weights can be"):
        READERS[reader](path)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what a process has held at most")
def test_no_more_than_the_bound_is_read(tmp_path):
    """The peak of a process that reads such a file, above that of one that only imports: less than the free bytes."""
    path = bomb(tmp_path / "w.npz", 400)
    peaks = []
    for work in ("pass", f"record.read_exported({str(path)!r})"):
        code = f"from minilocal import record\ntry:\n    {work}\nexcept ValueError:\n    pass\n"
        code += "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks.append(1024 * int(done.stdout))
    assert peaks[1] - peaks[0] < FREE


def test_what_the_package_writes_is_within_the_bound(tmp_path):
    arrays = {"zeros": np.zeros(FREE // 8, "float32"), "ones": np.ones(5)}
    writers: dict[str, Any] = {"stored": np.savez, "compressed": np.savez_compressed}
    for name, write in writers.items():
        write(tmp_path / f"{name}.npz", **arrays)
        with opened_npz(tmp_path / f"{name}.npz") as entries:
            assert all(np.array_equal(entries[key], a) for key, a in arrays.items())


def test_an_entry_that_unpacks_to_more_than_it_states_is_damaged(tmp_path):
    """The directory says 80 bytes; zipfile reads no more, and its sum is another."""
    path = bomb(tmp_path / "w.npz", 100)
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = content.index(mark) + offset
        content[at : at + 4] = (80).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ml.UserError, match=r"w.npz cannot be read"):
        record.read_exported(path)
