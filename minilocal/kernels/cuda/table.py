"""Arrays of any number and sizes in one launch: their addresses stand in a table among the kernel's own arguments.

The table travels with the launch: nothing is copied to the device, so a step may be recorded. Arguments have 4 KB, of
which a table takes BYTES. A block works on THREADS·EACH numbers of one row, which it finds by the rows' first blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilocal.array import Array
from minilocal.kernels.cuda.launch import Kernel, blocks

BYTES = 3840
THREADS, EACH = 256, 4  # of a block, and numbers of a thread

FIND = """
// The row of this block: the last one whose first block is this one or before it.
__device__ int find_row(const Table& table, int count) {
    int mine = 0, end = count;
    while (end - mine > 1) {
        const int middle = (mine + end) / 2;
        if (table.first[middle] <= (int)blockIdx.x) mine = middle; else end = middle;
    }
    return mine;
}
"""


class Table:
    """Rows of arrays of one size each, and of numbers (`double`), under these names.

    `source` is the structure for a kernel, `const Table table, int count`, and the function `find_row`.
    """

    def __init__(self, arrays: Sequence[str], numbers: Sequence[str] = ()) -> None:
        self.most = BYTES // (8 * len(arrays) + 8 * len(numbers) + 8)  # rows of a launch
        columns = [*((a, "u8") for a in arrays), *((n, "f8") for n in numbers), ("size", "i4"), ("first", "i4")]
        self.dtype = np.dtype([(name, kind, self.most) for name, kind in columns])
        members = [f"T *{a}[MOST]" for a in arrays] + [f"double {n}[MOST]" for n in numbers]
        self.source = f"struct Table {{ {'; '.join(members)}; int size[MOST], first[MOST]; }};" + FIND

    def launch(self, kernel: Kernel, rows: Sequence[tuple[Any, ...]], *more: Any) -> None:
        """Run the kernel on all rows; its arguments are the table, the number of rows in it, and `more`.

        A row is (array or None, ..., number, ...) in the order of the names. Its first array has its size.
        """
        rows = [row for row in rows if row[0].size]
        for i in range(0, len(rows), self.most):
            table, work = self._filled(rows[i : i + self.most])
            args = (table, len(rows[i : i + self.most]), *more)
            kernel(rows[0][0], (work,), (THREADS,), args, MOST=self.most, THREADS=THREADS, EACH=EACH)

    def _filled(self, rows: Sequence[tuple[Any, ...]]) -> tuple[np.ndarray[Any, Any], int]:
        """(a structure that is passed by value, the number of blocks)"""
        table, cells, work = np.zeros(1, self.dtype), [], 0
        for row in rows:
            cells.append((*map(_cell, row), row[0].size, work))
            work += blocks(row[0].size, THREADS * EACH)
        for name, column in zip(self.dtype.names or (), zip(*cells, strict=True), strict=True):
            table[name][0, : len(rows)] = column
        return table, work


def fits(arrays: Sequence[Array | None], like: Array) -> bool:
    """Whether a kernel may take these arrays by their addresses: numbers of `like`'s type without gaps."""
    return all(a is None or (a.flags.c_contiguous and a.dtype == like.dtype) for a in arrays)


def _cell(value: Any) -> Any:
    return 0 if value is None else value if isinstance(value, float) else value.data.ptr
