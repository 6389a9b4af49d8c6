"""The images of each class, in CIFAR-10 and in its long-tailed part: BackLink, Fig. 6."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minilocal import draw
from minilocal.data.official.cifar import CIFAR10
from minilocal.data.subset import LONG_TAIL, long_tail_sizes
from minilocal.report.document import Part, Picture, Table
from minilocal.report.figures import at_page_size
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result


def classes(plan: Plan, results: Sequence[Result]) -> list[Part]:
    """The training images of each class, from the rule by which "cifar10-lt" is drawn. No image is loaded."""
    whole = np.array(CIFAR10.train_counts)
    tail = long_tail_sizes(whole, LONG_TAIL, CIFAR10.name)
    counts = {"CIFAR-10": whole.tolist(), "long-tailed CIFAR-10": tail.tolist()}
    numbers = [str(c) for c in range(len(whole))]
    figure = draw.curves(counts, points=numbers, along="class c", label="training images", title="Class distributions")
    text = (
        f"Class c of the long-tailed set has ⌊{whole.max()} / {LONG_TAIL:g}ᶜ⌋ training images. The largest class has "
        f"{tail.max() / tail.min():.1f} times as many as the smallest. The test images are those of CIFAR-10."
    )
    rows = [{"class": c, **{name: str(n[int(c)]) for name, n in counts.items()}} for c in numbers] + [
        {"class": "all", **{name: str(sum(n)) for name, n in counts.items()}}
    ]
    return [text, Picture("classes", at_page_size(figure), "Training images of each class."), Table(rows)]
