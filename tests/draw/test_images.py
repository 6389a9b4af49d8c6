"""Rows of images: where each pixel stands, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from minilocal import draw
from minilocal.errors import UserError

GREY = np.array([[[0, 255], [51, 0]], [[255, 0], [0, 102]]], np.uint8)[..., None]  # two images of 2×2


def test_images_stand_in_rows_with_a_white_line_between_them():
    colour = np.zeros((2, 2, 2, 3))
    colour[1, :, :, 0] = [[0.5, 1.0], [2.0, -1.0]]
    figure = draw.images({"grey": GREY, "red": colour}, columns=["a", "b"], title="pictures")
    (axes,) = figure.axes
    sheet = np.asarray(axes.images[0].get_array())
    assert sheet.shape == (5, 5, 3)
    assert sheet[:2, :2, 0].tolist() == [[0, 1], [0.2, 0]] and (sheet[:2, :2] == sheet[:2, :2, :1]).all()
    assert sheet[:2, 3:, 1].tolist() == [[1, 0], [0, 0.4]]
    assert sheet[3:, 3:, 0].tolist() == [[0.5, 1], [1, 0]] and not sheet[3:, 3:, 1:].any()  # 2 and -1 are cut off
    assert (sheet[2] == 1).all() and (sheet[:, 2] == 1).all()
    assert [t.get_text() for t in axes.get_yticklabels()] == ["grey", "red"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["a", "b"]
    assert list(axes.get_yticks()) == [0.5, 3.5] == list(axes.get_xticks())
    assert figure.alt == "pictures. Rows of 2 images (a, b): grey, red."


def test_without_names_and_title_there_are_none():
    figure = draw.images({"x": GREY})
    assert not list(figure.axes[0].get_xticks()) and figure.alt == "Rows of 2 images: x."
    assert draw.to_svg(figure) == draw.to_svg(draw.images({"x": GREY}))


def test_what_is_no_row_of_images_is_one_line():
    wrong = [
        ({}, "no row"),
        ({"a": GREY[..., 0]}, r"'a' is uint8 \(2, 2, 2\): give \(N, H, W, 1 or 3\)"),
        ({"a": GREY.repeat(2, axis=3)}, r"\(2, 2, 2, 2\)"),
        ({"a": GREY.astype(int)}, "'a' is int64"),
        ({"a": GREY[:0]}, r"\(0, 2, 2, 1\)"),
        ({"a": GREY, "b": GREY[:1]}, r"the rows have \[\(1, 2, 2\), \(2, 2, 2\)\]"),
    ]
    for rows, says in wrong:
        with pytest.raises(UserError, match=says):
            draw.images(rows)
    with pytest.raises(UserError, match="3 columns met rows of 2 images"):
        draw.images({"a": GREY}, columns=["1", "2", "3"])
