"""`make mutants`: mutants of the sample that have no verdict yet, then their part of the page.

    python -m tests.faults.mutants [--each N] [--seed N] [--again] [--only PART]
"""

from __future__ import annotations

import argparse

from tests.faults.mutants.run import all_files, measure_tests, try_mutants
from tests.faults.mutants.sample import EACH, SEED, sample, sample_part


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--each", type=int, default=EACH, help="places of each part")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", help="one part of the package")
    parser.add_argument("--again", action="store_true", help="also those that survived")
    parser.add_argument("--measure", nargs="*", help="only these files of tests under coverage.py; all without a name")
    options = parser.parse_args()
    if options.measure is not None:
        measure_tests(options.measure or all_files())
        return
    chosen = sample_part(options.only, options.each, options.seed) if options.only else sample(options.each, options.seed)
    try_mutants(chosen, options.again)


if __name__ == "__main__":
    main()
