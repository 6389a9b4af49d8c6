"""Every experiment's file: it loads, has cells at each scale, and their configurations can be built."""

from __future__ import annotations

import pytest

from minilocal import rules
from minilocal.report.bytes import IMAGES
from minilocal.reproduce import NAMES, SCALES, VIEWS, load, plan
from minilocal.reproduce.experiment import NEEDS_RUNS
from minilocal.split import split
from minilocal.train.from_config import learner_of

FIGURES = ("backlink-fig2", "backlink-fig3", "backlink-fig4", "backlink-fig5", "backlink-fig6", "backlink-fig7",
           "backlink-fig9", "backlink-fig10", "fdg-fig3", "fdg-fig4", "fdg-run-time")  # fmt: skip
BEYOND = ("readings-of-error", "literal-and-unfolded", "backlink-infopro", "backlink-aux-adapt", "pgl-backlink",
          "memory-baselines", "alignment", "linear-probes")  # fmt: skip


def test_every_figure_and_every_experiment_beyond_the_papers_is_there():
    assert {*FIGURES, *BEYOND} <= set(NAMES)
    assert all(load(name).paper is None for name in BEYOND)
    assert all(load(name).paper is not None for name in FIGURES)


def test_every_view_is_known_to_files_and_has_a_function():
    assert VIEWS.keys() == NEEDS_RUNS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_of_every_scale_can_be_cut(name):
    experiment = load(name)
    for scale in SCALES if experiment.trains else ("full",):
        asked = plan(experiment, scale)
        assert asked.taken and len({cell.cell.name for cell in asked.cells}) == len(asked.cells)
        for cell in asked.taken:
            assert cell.config.data.name in IMAGES
            if scale == "tiny":
                assert cell.config.data.name in ("digits", "digits-lt") and cell.config.data.augment is False


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_with_global_epochs_has_some_at_every_scale(name):
    """Seen to fail: tables of PGL at scale tiny had 5 epochs of P = 10, so its rows were DGL's, number for number."""
    experiment = load(name)
    for scale in SCALES if experiment.trains else ():
        for cell in plan(experiment, scale).taken:
            when = rules.get(cell.config.rule.name, **cell.config.rule.options).when
            assert not when.global_share or any(map(when.is_global, range(cell.config.optim.epochs))), cell.cell.name


@pytest.mark.parametrize("name", [*FIGURES, *BEYOND])
@pytest.mark.filterwarnings("ignore")  # of auxiliary networks and links, which training gives too
def test_every_rule_of_a_figure_can_be_built_on_the_digits(name):
    experiment, built = load(name), set[str]()
    for cell in plan(experiment, "tiny").taken if experiment.trains else ():
        if str(cell.config.rule) not in built:
            built.add(str(cell.config.rule))
            constants = {"mean": (0.5,), "std": (0.5,)}
            learner = learner_of(cell.config, 10, 1, 16, constants)
            cut = split(learner.net.units, cell.config.net.modules, cell.config.net.name)
            assert [len(m.units) for m in learner.modules] == [len(units) for units in cut]


@pytest.mark.parametrize(
    ("figure", "table", "cell"),
    [
        ("fdg-fig3", "fdg-table2", "cifar10-resnet56-bp"),
        ("fdg-fig4", "fdg-table2", "cifar10-resnet20-fdg-beta0.2-K2 cifar10-resnet20-fdg-K2-beta0.2"),
        ("fdg-fig4", "fdg-table4", "cifar10-resnet56-fdg-beta0.3-K4 cifar10-resnet56-fdg-K4-beta0.3"),
    ],
)
def test_a_cell_of_a_figure_is_trained_as_in_its_table(figure, table, cell):
    (printed,) = plan(load(table), "full", cells_=cell.split()[0]).taken
    (plotted,) = plan(load(figure), "full", cells_=cell.split()[-1]).taken
    assert plotted.config == printed.config


def test_what_varies_is_not_replaced_by_a_scale():
    rates = {cell.config.optim.lr for cell in plan(load("backlink-fig5"), "tiny").taken}
    assert rates == {0.01, 0.05, 0.1, 0.5, 1.0}


def test_a_row_alone_is_one_cell_and_a_link_that_is_longer_than_a_module_is_left_out():
    names = {cell.cell.name: cell.left_out for cell in plan(load("fdg-fig4"), "full").cells}
    assert len(names) == 20 and "cifar10-resnet20-bp" in names
    left = {cell.cell.name: cell.left_out for cell in plan(load("backlink-fig9"), "full").cells if cell.left_out}
    assert left == {"cifar10-resnet110-backlink-l4-K16": "a link of 4 units is longer than a module of 3"}


def test_modules_of_bp_are_kept_where_a_grid_names_them():
    (cell,) = plan(load("backlink-fig7"), "full", cells_="cifar10-resnet110-bp-checkpointed-K8").taken
    assert cell.config.net.modules == cell.full.net.modules == 8
