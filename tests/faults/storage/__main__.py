"""`python -m tests.faults.storage [GROUP ...] [--short] [--broken]`: the cases of some groups, a line of JSON each."""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.faults.storage import broken
from tests.faults.storage.groups import GROUPS, measure

parser = argparse.ArgumentParser(prog="python -m tests.faults.storage", description=__doc__)
parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
parser.add_argument("--short", action="store_true", help="the cases of the pytest form only")
parser.add_argument("--only", metavar="TEXT", default="", help="the cases whose names have this text")
parser.add_argument("--broken", action="store_true", help="without what the cases rely on, in place of the groups")
options = parser.parse_args()
held = True
if options.broken:
    for row in broken.measure():
        print(json.dumps(vars(row)), flush=True)
        held &= row.red > 0
for name in () if options.broken else options.groups or GROUPS:
    began = time.perf_counter()
    result = measure(name, short=options.short, only=options.only, tell=True)
    print(json.dumps({"group": name, "seconds": round(time.perf_counter() - began, 1), **vars(result)}), flush=True)
    held &= not result.failures
sys.exit(0 if held else 1)
