"""Data augmentation: a batch cut out of raw images, chosen, padded, cropped, mirrored and normalised."""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.ops.dispatch import op_on


@op_on(lambda images, picks, table, *_: (table, images, picks))
def crop_flip_normalise(images: Array, picks: Array, table: Array, padding: int, mode: str) -> Array:
    """out[n, i, j, c] = table[padded[image, top + i, left + j, c], c], j from the right where mirrored.

    images (all, H, W, C) uint8; picks (N, 4) int32, rows (image, top, left, mirrored 0 or 1); table (256, C), the
    normalised value of each grey level  →  (N, H, W, C) of table's type. The padding, `padding` pixels on each side,
    is black (mode "constant") or the mirror image (mode "reflect").
    """
    xp, (_, H, W, C), N = namespace(images, picks, table), images.shape, len(picks)
    edges = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = xp.pad(images[picks[:, 0]], edges, mode=mode)
    _, top, left, mirrored = (picks[:, i, None] for i in range(4))
    j = xp.arange(W)[None]
    rows, columns = top + xp.arange(H)[None], left + j + mirrored * (W - 1 - 2 * j)
    cut = padded[xp.arange(N)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return table[cut, xp.arange(C)]
