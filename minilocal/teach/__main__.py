"""What a teacher does with a py:percent file.

python -m minilocal.teach student NAME.py                     the student's NAME.student.py beside it
python -m minilocal.teach student NAME.py ... --out FOLDER    the student's notebooks, FOLDER/NAME.ipynb
python -m minilocal.teach notebook NAME.py                    the teacher's NAME.ipynb beside it, not executed
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from minilocal.errors import UserError
from minilocal.teach.student import write_notebook, write_student


def parser() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser("python -m minilocal.teach", description="Notebooks from py:percent files.")
    commands = words.add_subparsers(dest="command", required=True)
    student = commands.add_parser("student", help="the student's copy: NAME.student.py, or a notebook in --out")
    student.add_argument("--out", metavar="FOLDER", help="write notebooks, FOLDER/NAME.ipynb")
    notebook = commands.add_parser("notebook", help="the teacher's NAME.ipynb, not executed")
    for command in (student, notebook):
        command.add_argument("files", nargs="+", metavar="NAME.py")
    return words


def main(words: Sequence[str]) -> int:
    """The command's status: 0, or 2 with one line on the error stream."""
    chosen = parser().parse_args(words)
    try:
        for name in chosen.files:
            print(write_student(name, chosen.out) if chosen.command == "student" else write_notebook(name))
    except UserError as error:
        print(f"minilocal.teach: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
