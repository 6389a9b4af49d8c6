"""Measured costs: one measurement for each form of a part, kept in a file, with the bytes that a step keeps."""

from __future__ import annotations

import json

import pytest

import minilocal as ml
from minilocal import UserError, memory
from minilocal.parallel.simulate import PartCosts, Placement, simulate
from minilocal.parallel.simulate.costs_file import kept_in, load, save
from minilocal.parallel.simulate.measure import Measure, form

IMAGES = 8


def learner(rule=None, modules=3, net="resnet14"):
    return ml.Learner(ml.nets.get(net, rng=ml.rng(0), size=8), rule or ml.rules.gll(aux="1c2f"), modules, rng=ml.rng(1))


def timed(table, **options):
    forms: list[str] = []
    one = learner(**options)
    return Measure(one.net, IMAGES, table, least=0.0, on_part=forms.append).modules(one.modules), forms


def test_parts_of_one_form_are_measured_once():
    table: dict[str, PartCosts] = {}
    costs, forms = timed(table)
    assert len(forms) == len(set(forms)) == len(table) == 6 + 3  # stem, block, and first blocks of stages; three heads
    assert [len(module.units) for module in costs] == [3, 2, 2]
    assert timed(table)[1] == []
    assert len(timed(table, modules=7)[1]) == 1  # a head where K = 3 has none
    assert costs[0].units[1] is costs[0].units[2]
    assert len(timed(table, rule=ml.rules.gll(aux="0c1f"))[1]) == 2  # the last module has the same head


def test_forms_differ_with_shapes_and_settings_and_not_with_names():
    relu, other = ml.layers.ReLU("a"), ml.layers.ReLU("b")
    assert form(relu, (4, 4, 3), "8 images") == form(other, (4, 4, 3), "8 images")
    forms = [form(relu, (4, 4, 3), "8 images"), form(relu, (2, 8, 3), "8 images"), form(relu, (4, 4, 3), "9 images")]
    flipped = [form(ml.layers.MaxPool(size), (4, 4, 3), "8 images") for size in (1, 2)]
    assert len({*forms, *flipped}) == 5


def test_every_part_takes_time_and_its_bytes_are_those_of_its_arrays():
    costs, _ = timed({})
    net = learner().net
    for module in costs:
        for part in (*module.units, module.objective):
            assert min(part.forward, part.backward, part.backward_weights, part.update) > 0
    units = [unit for module in costs for unit in module.units]
    assert [u.output for u in units] == [4 * IMAGES * h * w * c for h, w, c in net.shapes]
    assert [u.parameters for u in units] == [4 * sum(a.size for a in u.parameters.values()) for u in net.units]
    assert [module.input for module in costs] == [4 * IMAGES * 8 * 8 * 3, units[2].output, units[4].output]


def test_what_units_keep_is_what_a_step_of_backpropagation_keeps():
    (costs,), _ = timed({}, rule=ml.rules.bp(), modules=1)
    kept = costs.kept(range(len(costs.units))) + costs.objective.kept
    estimate = memory.estimate(learner().net, ml.rules.bp(), 1, IMAGES)
    assert kept == pytest.approx(max(estimate.curve), rel=0.03)


@pytest.mark.parametrize("rule", [ml.rules.bp(), ml.rules.gll(aux="1c2f"), ml.rules.backlink(length=2, aux="1c2f")])
def test_memory_on_one_device_is_the_estimate_without_workspace(rule):
    costs, _ = timed({}, rule=rule)
    (nbytes,) = simulate(Placement(rule, costs, [range(3)])).memory
    estimate = memory.estimate(learner().net, rule, 3, IMAGES)
    left_out = estimate.workspace + estimate.scratch + estimate.statistics
    assert nbytes == pytest.approx(estimate.total - left_out, rel=0.13)  # gradients on their way are in the estimate


def test_a_synthesiser_and_an_objective_of_two_branches_have_costs():
    for rule in (ml.rules.dni(), ml.rules.infopro(lambdas=(1.0, 1.0, 1.0, 1.0))):
        costs, _ = timed({}, rule=rule, modules=2, net="resnet8")
        beside = costs[0].synthesiser or costs[0].objective
        assert beside.forward > 0 and beside.backward_weights > 0 and beside.kept > 0 and beside.parameters > 0


def test_a_table_is_kept_in_a_file_also_when_the_rest_fails(tmp_path):
    path = tmp_path / "costs.json"
    with pytest.raises(ZeroDivisionError), kept_in(path) as table:
        table["a"] = PartCosts(1.0, 2.0, 1.5, 0.5, 10, 20, 30)
        raise ZeroDivisionError
    before = path.stat().st_mtime_ns
    with kept_in(path) as table:
        assert table == {"a": PartCosts(1.0, 2.0, 1.5, 0.5, 10, 20, 30)}
    assert path.stat().st_mtime_ns == before
    assert "numpy" in json.loads(path.read_text())["environment"]["packages"]
    save({}, path)
    assert load(path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is damaged: it is not an object"),
        ('{"rows": []}', 'has no "parts"'),
        ('{"parts": {"a": {"forward": 1}}}', "'a' needs the numbers forward, backward"),
        (json.dumps({"parts": {"a": vars(PartCosts(forward=-1.0))}}), "forward of 'a' = -1.0 is outside"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "costs.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        load(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
