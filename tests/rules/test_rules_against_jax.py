"""Each rule against the gradient of its stop-gradient loss by JAX, in float64."""

import pytest

from minilocal.verify.compare import DOUBLE
from minilocal.verify.rules import CASES
from minilocal.verify.synchronous import named, relative_errors


@pytest.mark.parametrize("case", [case for cases in CASES.values() for case in cases], ids=str)
def test_losses_and_gradients(case):
    errors = relative_errors(case)
    assert max(errors.values()) <= DOUBLE, errors


@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
@pytest.mark.parametrize("length", [0, 1, 2, 3])
@pytest.mark.parametrize("modules", [2, 3, 4])
def test_backlink_of_every_length_on_an_mlp(modules, length, weighting):
    errors = relative_errors(named("backlink", "mlp", modules, length=length, alpha=0.25, weighting=weighting))
    assert max(errors.values()) <= DOUBLE, errors
