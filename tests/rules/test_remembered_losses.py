"""Ten training losses of each rule against numbers computed once by autograd and eight lines of SGD."""

import numpy as np
import pytest

from tests.helpers.toy import RULES, by_engine
from tests.rules.remembered import REMEMBERED, TOLERANCE


@pytest.mark.parametrize("name", RULES)
def test_ten_remembered_steps(name):
    ours, remembered = by_engine(name), np.array(REMEMBERED[name])
    assert np.array_equal(np.isnan(ours), np.isnan(remembered))
    assert np.nanmax(np.abs(ours - remembered)) <= TOLERANCE
