"""TorchLearner computes what minilocal computes: after two float64 steps the weights are equal."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import minilocal as ml
from minilocal.bench.torch_learner import TorchLearner, available
from minilocal.verify.compare import errors

needs_torch = pytest.mark.skipif(not available(), reason="PyTorch is only in the bench extra")
SGD = ml.optim.SGD(momentum=0.9, weight_decay=1e-3, nesterov=True)


def small(name: str) -> ml.nets.Net:
    if name == "mlp":
        return ml.nets.mlp((12, 11, 10, 9), classes=4, size=4, rng=ml.rng(0))
    if name in ("vgg16", "alexnet"):
        net = getattr(ml.nets, name)(classes=4, hidden=16, rng=ml.rng(0))
        for unit in net.units:
            for layer in getattr(unit, "layers", []):
                layer.rate = 0.0  # masks come from other generators
        return net
    return ml.nets.get(name, classes=4, size=8, rng=ml.rng(0))


def make_learner(net, rule, modules, dtype="float64"):
    learner = ml.Learner(net, rule, modules, rng=ml.rng(1), dtype=dtype, optimizer=SGD)
    for number, a in enumerate(learner.parameters().values()):
        a += 0.1 * ml.rng(number).standard_normal(a.shape)
    return learner


def batch(net, N=6):
    rng = ml.rng(2)
    return rng.standard_normal((N, *net.shape)), rng.integers(net.classes, size=N)


CASES = [
    ("resnet8", ml.rules.bp(), 1), ("resnet8", ml.rules.bp(), 3), ("resnet14", ml.rules.gll(), 4),
    ("resnet14", ml.rules.gll(aux="1c2f"), 7), ("resnet14", ml.rules.backlink(length=1, alpha=0.3), 7),
    ("resnet14", ml.rules.backlink(length=1, alpha=0.3, aux="1c2f"), 3),
    ("resnet14", ml.rules.backlink(length=2, alpha=0.3), 3),
    ("resnet14", ml.rules.backlink(length=3, alpha=0.3, weighting="unfolded"), 2),
    ("resnet14", ml.rules.backlink(length=1, alpha=0.3, error="total"), 3),  # no first unit is linked: the own error
    ("mlp", ml.rules.backlink(length=2, alpha=0.7), 2), ("mlp", ml.rules.bp(), 2),
    ("vgg16", ml.rules.backlink(length=1), 4), ("alexnet", ml.rules.gll(), 2),
]  # fmt: skip


@needs_torch
@pytest.mark.parametrize("layout", ["nchw", "channels_last"])
@pytest.mark.parametrize("name, rule, modules", CASES, ids=lambda v: getattr(v, "name", str(v)))
def test_two_steps_are_minilocals_steps(name, rule, modules, layout):
    net = small(name)
    ours = make_learner(net, rule, modules)
    torch_learner = TorchLearner(ours, layout=layout)
    assert all((torch_learner.arrays()[n] == a).all() for n, a in {**ours.parameters(), **ours.buffers()}.items())
    x, y = batch(net)
    for _ in range(2):
        losses = ours.step(x, y, lr=0.05)
        torch_losses = torch_learner.step(*torch_learner.batch(x, y), lr=0.05)
    np.testing.assert_allclose(losses[~np.isnan(losses)], [float(loss) for loss in torch_losses], rtol=1e-9)
    differences = errors(ours.parameters() | ours.buffers(), torch_learner.arrays())
    assert max(differences.values()) < 1e-9, max(differences.items(), key=lambda item: item[1])
    logits = torch_learner.predict(torch_learner.batch(x, y)[0])
    np.testing.assert_allclose(ours.predict(x), logits.numpy(), rtol=1e-8, atol=1e-9)


@needs_torch
def test_evaluation_leaves_training_as_it_was():
    """No dropout and no update of running statistics in `predict`; both are back in the next step."""
    net = small("vgg16")
    for unit in net.units:
        for layer in getattr(unit, "layers", []):
            layer.rate = 0.5
    ours = make_learner(net, ml.rules.bp(), 1)
    torch_learner = TorchLearner(ours)
    x, y = batch(net)
    before = torch_learner.arrays()
    images, labels = torch_learner.batch(x, y)
    np.testing.assert_allclose(ours.predict(x), torch_learner.predict(images).numpy(), rtol=1e-8, atol=1e-9)
    assert all((torch_learner.arrays()[name] == a).all() for name, a in before.items())
    assert torch_learner.root.training
    first, second = (float(torch_learner.step(images, labels, lr=0.0)[0]) for _ in range(2))
    assert first != second  # other masks


@needs_torch
def test_names_and_layouts_are_minilocals():
    net = small("resnet8")
    ours = make_learner(net, ml.rules.gll(aux="1c2f"), 3, "float32")
    torch_learner = TorchLearner(ours, layout="channels_last")
    names = {n for n in torch_learner.root.state_dict() if not n.endswith("num_batches_tracked")}
    assert names == {*ours.parameters(), *ours.buffers()}
    x, _ = torch_learner.batch(*batch(net))
    assert x.shape == (6, 3, 8, 8) and x.stride()[1] == 1 and str(x.dtype) == "torch.float32"


@needs_torch
@pytest.mark.parametrize("rule, says", [
    (ml.rules.predsim(), "modules that classify"), (ml.rules.ddg(), "knows BP, GLL and BackLink"),
    (ml.rules.pgl(), "knows BP, GLL and BackLink"), (ml.rules.dgl(buffer=2), "knows BP, GLL and BackLink"),
    (ml.rules.bp(keep="inputs"), "knows BP, GLL and BackLink"), (ml.rules.dni(), "knows BP, GLL and BackLink"),
    (ml.rules.bp(accumulate=2), "knows BP, GLL and BackLink"),
])  # fmt: skip
def test_a_rule_that_it_does_not_have_is_refused(rule, says):
    with pytest.raises(ml.UserError, match=says):
        TorchLearner(make_learner(small("resnet8"), rule, 2))


@needs_torch
@pytest.mark.parametrize("error", ["total", "own-scaled"])
def test_an_error_that_passes_a_whole_module_is_refused(error):
    with pytest.raises(ml.UserError, match="knows BP, GLL and BackLink"):
        TorchLearner(make_learner(small("resnet8"), ml.rules.backlink(error=error), 4))


@needs_torch
def test_other_optimisers_layers_and_layouts_are_refused():
    net = ml.nets.wrn(10, 1, size=8, rng=ml.rng(0))
    with pytest.raises(ml.UserError, match="no PreActivation"):
        TorchLearner(ml.Learner(net, ml.rules.bp(), 1, rng=ml.rng(0)))
    adam = ml.Learner(small("mlp"), ml.rules.bp(), 1, rng=ml.rng(0), optimizer=ml.optim.Adam())
    with pytest.raises(ml.UserError, match="SGD only"):
        TorchLearner(adam)
    with pytest.raises(ml.UserError, match="layout"):
        TorchLearner(make_learner(small("mlp"), ml.rules.bp(), 1), layout="nhwc")


def test_importing_the_measurements_does_not_import_torch():
    names = "minilocal.bench.torch_learner, minilocal.bench.harness, minilocal.cli.bench"
    code = f"import sys, {names}; print('torch' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "False"
