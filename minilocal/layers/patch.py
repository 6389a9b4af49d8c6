"""One patch of a map that is cut into n×n."""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.errors import UserError, whole
from minilocal.layers.base import Arrays, Layer, Need, PassContext, Shape, whole_sizes


class Patch(Layer[Shape]):
    """The patch in row i and column j of a map cut into n×n: y = x there;   dx = dy there, and 0 elsewhere.

    x (N, H, W, C)  →  (N, ⌊(i+1) H / n⌋ - ⌊i H / n⌋, ⌊(j+1) W / n⌋ - ⌊j W / n⌋, C). Keeps the shape of x. `forward` and
    `out_shape` raise UserError for maps of fewer than n rows or columns.

    Raises: UserError for an n below 1, and a row or column outside 0 ... n-1.
    """

    def __init__(self, row: int, column: int, patches: int, *, name: str = "") -> None:
        super().__init__(name)
        (self.patches,) = whole_sizes(self, patches=patches)
        self.row, self.column = (
            whole(f"Patch {of}", value, 0, self.patches - 1, give=f"0 to {self.patches - 1}, counted from the corner")
            for of, value in (("row", row), ("column", column))
        )

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Shape]:
        self.out_shape(x.shape[1:])
        return self.of(x).copy(), x.shape

    def backward(
        self, dy: Array, cache: Shape, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        if need == "weights":
            return None, {}
        dx = namespace(dy).zeros(cache, dy.dtype)
        self.of(dx)[...] = dy
        return dx, {}

    def of(self, x: Array) -> Array:
        """The patch of maps or images (N, H, W, C), a view."""
        return x[:, self._range(self.row, x.shape[1]), self._range(self.column, x.shape[2])]

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3 or min(shape[:2]) < self.patches:
            name = f" {self.name!r}" if self.name else ""
            raise UserError(
                f"Patch{name} was given {shape} per sample: it cuts images (H, W, C) of at least {self.patches} rows "
                "and columns. Use larger images, or fewer patches."
            )
        rows, columns = self._range(self.row, shape[0]), self._range(self.column, shape[1])
        return rows.stop - rows.start, columns.stop - columns.start, shape[2]

    def _range(self, index: int, side: int) -> slice:
        return slice(index * side // self.patches, (index + 1) * side // self.patches)
