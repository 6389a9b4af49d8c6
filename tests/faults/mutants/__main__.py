"""Tries the mutants of the samples that have no verdict yet; `make mutants` also writes their section of the page.

python -m tests.faults.mutants [--each N] [--seed N] [--only PART] [--again] [--minutes N]
"""

from __future__ import annotations

import argparse
from math import inf

from tests.faults.mutants.run import try_mutants
from tests.faults.mutants.sample import EACH, SEEDS, sample_part
from tests.faults.mutants.table import OWN


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--each", type=int, default=EACH, help="places of each part")
    parser.add_argument("--seed", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--only", nargs="*", choices=OWN, default=list(OWN), help="parts of the package")
    parser.add_argument(
        "--again", action="store_true", help="also those that survived, but for the listed ones that compute the same"
    )
    parser.add_argument("--minutes", type=float, default=inf, help="none begins after so many")
    options = parser.parse_args()
    mutants = [m for seed in options.seed for part in options.only for m in sample_part(part, options.each, seed)]
    try_mutants(list(dict.fromkeys(mutants)), options.again, options.minutes)


if __name__ == "__main__":
    main()
