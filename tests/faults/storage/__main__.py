"""`python -m tests.faults.storage [GROUP ...] [--short] [--broken]`: the cases of some groups, a line of JSON each."""

from __future__ import annotations

import argparse
import json
import os
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
    began, before = time.perf_counter(), sum(os.times()[:4])
    result = measure(name, short=options.short, only=options.only, tell=True)
    took = {"seconds": time.perf_counter() - began, "of which computed": sum(os.times()[:4]) - before}
    print(json.dumps({"group": name, **{what: round(t, 1) for what, t in took.items()}, **vars(result)}), flush=True)
    held &= not result.failures
sys.exit(0 if held else 1)
