"""`make fuzz READER=NAME`: mutated files for one reader.

python -m tests.faults.readers NAME [--minutes 10] [--seed 0]     one reader
python -m tests.faults.readers NAME FILE                          one file again
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.readers.audit import Watch, watched
from tests.faults.readers.fuzz import Tried, tried
from tests.faults.readers.reader import Reader
from tests.faults.readers.table import READERS
from tests.faults.readers.trial import Trial

OUT = Path("build/readers")


def line(name: str, result: Tried) -> str:
    """The result of one reader."""
    return f"{name}: {result.inputs} inputs, {result.refused} refused, {result.kept} reached new lines"


def once(reader: Reader, content: bytes, watch: Watch | None = None) -> list[str]:
    """What is wrong with how the reader takes this content, in this process."""
    with tempfile.TemporaryDirectory(prefix="minilocal-readers-") as top:
        folder = Path(top).resolve()
        seeds = reader.make(folder)
        (folder / reader.file).write_bytes(seeds[0])
        trial = Trial(reader, folder, watch or Watch())
        trial(seeds[0])
        return trial(content).wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.readers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("reader", choices=READERS, metavar="NAME", help=", ".join(READERS))
    parser.add_argument("file", nargs="?", type=Path, help="an input that was saved, to be read again")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the clock (10)")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations (0)")
    parser.add_argument("--atheris", action="store_true", help="by atheris, where it is installed, for one reader")
    options = parser.parse_args()
    if options.atheris:
        from tests.faults.readers.with_atheris import main as by_atheris

        by_atheris(options.reader, options.minutes, options.seed, OUT)
    if options.file is not None:
        wrong = once(READERS[options.reader], options.file.read_bytes(), watched())
        print("\n".join(wrong) or "nothing is wrong")
        return int(bool(wrong))
    result = tried(READERS[options.reader], seed=options.seed, seconds=60 * options.minutes, out=OUT)
    print(line(options.reader, result), *result.findings, sep="\n  ")
    return int(bool(result.findings))


if __name__ == "__main__":
    sys.exit(main())
