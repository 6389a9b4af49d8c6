"""`python -m tests.faults.storage [GROUP ...] [--short] [--without MECHANISM]`: the cases of some groups, as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.faults.storage.groups import GROUPS, measure

parser = argparse.ArgumentParser(prog="python -m tests.faults.storage")
parser.add_argument("groups", nargs="*", default=list(GROUPS))
parser.add_argument("--short", action="store_true")
parser.add_argument("--only", default="")
parser.add_argument("--tell", action="store_true")
options = parser.parse_args()
for name in options.groups or GROUPS:
    began = time.perf_counter()
    result = measure(name, short=options.short, only=options.only, tell=options.tell)
    print(json.dumps({"group": name, "seconds": round(time.perf_counter() - began, 1), **vars(result)}))
sys.exit(0)
