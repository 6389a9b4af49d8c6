"""Launches of a step: counted from shapes as the fake device counts them, and from a graph on a device."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest

import minilocal as ml
from minilocal.bench import launches, report
from minilocal.bench.captured import capture
from minilocal.bench.launches import captured_launches, graph_nodes, step_launches
from minilocal.bench.workload import Workload
from tests.fake import array, cuda, cuda_on_host, ledger
from tests.fake.device import fake

needs_kernels = pytest.mark.skipif(cuda_on_host.available() is not None, reason="no C++ compiler builds the kernels")
# What real CuPy 14.2 recorded for K = 16, copies and fills included; fewer are better
AT_MOST = {
    ("resnet32", "bp"): 395, ("resnet32", "gll"): 604, ("resnet32", "backlink"): 1084,
    ("resnet110", "bp"): 1294, ("resnet110", "gll"): 1504, ("resnet110", "backlink"): 1984,
}  # fmt: skip


@pytest.mark.parametrize("net, rule", AT_MOST)
def test_a_step_launches_no_more_than_it_did_on_cupy(net, rule):
    counted = step_launches(ml.nets.get(net, rng=ml.rng(0)), ml.rules.get(rule), 16, 512)
    assert 0 < counted.launches <= AT_MOST[net, rule]


def test_twice_the_images_are_the_same_launches_and_nearly_twice_the_bytes():
    net = ml.nets.get("resnet8", rng=ml.rng(0))
    one, two = (step_launches(net, ml.rules.backlink(), 4, n) for n in (256, 512))
    assert one.launches == two.launches
    assert 1.9 * one.moved < two.moved <= 2 * one.moved  # some partial sums do not grow


@needs_kernels
@pytest.mark.parametrize("rule", ["bp", "gll", "backlink"])
def test_shapes_give_what_the_fake_device_records(rule, monkeypatch):
    """An allocation is no launch, and no node of a graph."""
    done = ledger.done

    def noting(function, args, kwargs, results):
        done(function, args, kwargs, results)
        numbers.append(not getattr(function, "__name__", "").startswith("empty"))

    numbers: list[bool] = []
    monkeypatch.setattr(ledger, "done", noting)
    monkeypatch.setattr(cuda_on_host, "checked", False)  # tests/kernels looks at every load and store
    net = ml.nets.resnet(8, classes=3, size=8, rng=ml.rng(0))
    with warnings.catch_warnings(action="ignore"):
        counted = step_launches(net, ml.rules.get(rule), 2, 2)
        learner = ml.Learner(net, ml.rules.get(rule), 2, rng=ml.rng(0), device=fake, cuda_graph=False)
    x, y = fake.zeros((2, 8, 8, 3), "float32"), fake.zeros(2, int)
    learner.step(x, y, lr=0.0)
    numbers.clear()
    learner.step(x, y, lr=0.0)
    assert sum(numbers) - 3 == counted.launches  # the learning rate, epoch and step


def test_the_nodes_of_a_captured_step_are_counted_on_a_device(monkeypatch):
    def text(self):
        nodes = [f'"graph_1_node_{i}"[style="bold" label="{i}"];' for i in range(len(self._capture.steps))]
        return "\n".join(["digraph dot {", *nodes, '"graph_1_node_0" -> "graph_1_node_1";', "}"])

    monkeypatch.setattr(fake, "kernels", False)
    monkeypatch.setattr(cuda.Graph, "debug_dot_str", text, raising=False)
    monkeypatch.setattr(launches, "capture", _plain_products)
    small = ml.nets.mlp((6, 5), classes=3, size=4, rng=ml.rng(0))
    monkeypatch.setattr("minilocal.bench.workload.nets", SimpleNamespace(get=lambda name, rng: small))
    asked = Workload(net="mlp", modules=2, batch=2, device=fake)
    learner, done = asked.learner(), ledger.done
    x, y = fake.zeros((2, 4, 4, 3), "float32"), fake.zeros(2, int)
    learner.step(x, y, lr=0.0)
    started: list[int] = []

    def noting(*args):
        started.append(1)
        done(*args)

    monkeypatch.setattr(ledger, "done", noting)
    learner.step(x, y, lr=0.0)
    eager = len(started)
    assert captured_launches(asked) == eager - 3  # the learning rate, epoch and step


def _plain_products(xp, work, runs):
    """A capture, in which the library's products are captured too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array, "CUBLAS", "")
        return capture(xp, work, runs)


def test_nodes_are_counted_once_each_and_edges_not():
    dot = """digraph dot {
subgraph cluster_1 {
label="graph_1" graph[style="dashed"];
"graph_1_node_0"[style="solid" shape="rectangle" label="0
MEMSET"];
"graph_1_node_1"[style="bold" shape="octagon" label="1
conv2d
"];
"graph_1_node_0" -> "graph_1_node_1";
}
}"""
    assert graph_nodes(SimpleNamespace(debug_dot_str=lambda: dot)) == 2


def test_the_table_has_the_nodes_of_a_device_where_they_were_counted():
    row = {**Workload().row(), "launches": 395, "moved": 13.1e9}
    text = report.markdown({"launches": [row]})
    assert "| 395 " in text and "| 13.10 " in text and "nodes" not in text.partition("|")[2]
    assert "nodes on this device" in report.markdown({"launches": [{**row, "nodes": 395}]})
