"""Fetch, verify and describe a data set:  python datasets.py cifar10 [--data-dir D] [--no-download]."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from minilocal import data
from minilocal.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the description of a data set; 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="datasets.py", description="Fetch, verify and describe a data set.")
    parser.add_argument("name", metavar="NAME", help=", ".join(data.NAMES))
    parser.add_argument("--data-dir", metavar="D", help=f"the folder of the files ({data.default_folder()})")
    parser.add_argument("--no-download", action="store_true", help="use only files that are there")
    chosen = parser.parse_args(arguments)
    try:
        print(data.describe(data.load(chosen.name, dir=chosen.data_dir, download=not chosen.no_download)))
    except UserError as error:
        print(f"datasets.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
