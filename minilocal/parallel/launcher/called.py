"""A rank of `launch`: `python -m minilocal.parallel.launcher.called FOLDER` calls the work that FOLDER describes."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path

from minilocal.errors import UserError
from minilocal.kernels.threads import use_threads
from minilocal.ops.kinds import use_kernels
from minilocal.parallel import mpi
from minilocal.parallel.launcher import rank, values
from minilocal.parallel.launcher.work import Work, call


def main(folder: Path) -> None:
    """Call the work in this rank, and leave its result in the folder."""

    def work() -> None:
        comm = mpi.world()
        use_threads(mpi.cores_for(comm))
        task = json.loads((folder / "work.json").read_text())
        use_kernels(task["kernels"])
        sys.path[:] = task["path"]
        result = None
        try:
            result = call(Work(*task["work"]), values.load(folder / "arguments"), task["main"])
        except SystemExit as end:  # a program may end so; a function that does has left the others
            if end.code not in (0, None) or Work(*task["work"]).function is not None:
                raise
        values.save(folder / f"rank.{comm.rank}.result", result, "a rank's result")

    with suppress(UserError):  # `launch` raises it
        rank.run(work, quiet=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
