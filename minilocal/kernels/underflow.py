"""Underflow to 0 is no error, whatever `numpy.seterr` says.

Exponentials of a softmax underflow in any training, and gradients do; 0 is the right result. Overflow, division by zero
and invalid numbers are reported as the caller asked. GPUs report none of the four.
"""

from __future__ import annotations

import numpy as np


def underflow_is_zero() -> np.errstate:
    """A context, or decorator, in which an underflow gives 0 silently."""
    return np.errstate(under="ignore")
