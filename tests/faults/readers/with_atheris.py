"""The same readers and the same judge under atheris, libFuzzer's guide for Python: `make fuzz READER=npz ATHERIS=1`.

It stops at the first finding, whose input is kept. It sees the steps within libraries too, so it begins more slowly.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.faults.readers.audit import watched
from tests.faults.readers.reader import LARGEST
from tests.faults.readers.table import READERS
from tests.faults.readers.trial import Trial


def main(name: str, minutes: float, seed: int, out: Path) -> None:
    """Does not return: libFuzzer ends the process."""
    import atheris

    reader = READERS[name]
    top = Path(tempfile.mkdtemp(prefix="minilocal-readers-")).resolve()
    (top / "folder").mkdir()
    (top / "seeds").mkdir()
    out.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(reader.make(top / "folder")):
        (top / "seeds" / str(number)).write_bytes(content)
        (top / "folder" / reader.file).write_bytes(content)
    trial = Trial(reader, top / "folder", watched())

    def one(content: bytes) -> None:
        if wrong := trial(content, steps=False).wrong:
            raise AssertionError("; ".join(wrong))

    for module in reader.modules:
        for value in vars(sys.modules[module]).values():
            if getattr(value, "__module__", "") == module and hasattr(value, "__code__"):
                atheris.instrument_func(value)
    options = [f"-max_total_time={int(60 * minutes)}", f"-seed={seed + 1}", f"-max_len={LARGEST}", "-timeout=60",
               "-rss_limit_mb=4096", f"-artifact_prefix={out}/{name}-"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(top / "seeds")], one)
    atheris.Fuzz()
