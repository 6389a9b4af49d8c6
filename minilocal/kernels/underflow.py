"""A number too small for a float is 0, and no error, whatever `numpy.seterr` says of underflow.

Exponentials of a softmax underflow in any training, and gradients do; 0 is what they should be. Overflow, division by
zero and invalid numbers are not touched: NumPy reports them as the caller asked. GPUs report none of the four.
"""

from __future__ import annotations

import numpy as np


def underflow_is_zero() -> np.errstate:
    """For a `with` block, or as a decorator."""
    return np.errstate(under="ignore")
