"""`python -m minilocal.teach student NAME.py`: the student's py:percent file beside the teacher's."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from minilocal.errors import UserError
from minilocal.teach.student import write_student

USAGE = "usage: python -m minilocal.teach student NAME.py [NAME.py ...]"


def main(words: Sequence[str]) -> int:
    """The command's status: 0, or 2 with one line on the error stream."""
    command, *names = words or [""]
    if command != "student" or not names:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        for name in names:
            print(write_student(name))
    except UserError as error:
        print(f"minilocal.teach: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
