"""What a user with a GPU may get wrong, as typed: one line with a remedy, and nothing has changed."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

import minilocal as ml
from minilocal import UserError, cli, record
from minilocal.config.schema import RunTable
from minilocal.parallel import group
from tests.helpers import as_cuda
from tests.helpers.small_run import training

ON = ["--device", "cuda"]
SWEEP = ["sweep", "--net", "mlp", "--limit-train", "40", "--limit-test", "20", "--epochs", "1", "--out", "sweep"]


@pytest.fixture
def refused(products, capsys, tmp_path, monkeypatch):
    """The one line by which `minilocal WORDS` is refused."""
    monkeypatch.chdir(tmp_path)

    def call(*line: str) -> str:
        assert cli.main(line) == 2
        err: str = capsys.readouterr().err
        assert err.startswith("minilocal: ") and err.count("\n") == 1, err
        return err

    return call


GOING_ON = ["train", "--resume", "run", "--epochs", "3"]


@pytest.mark.parametrize(
    "line, says",
    [
        (["train", "--device", "gpu"], "device 'gpu' is not known. Known: cpu, cuda, cuda:N."),
        (["train", "--device", "cuda:7"], "device 'cuda:7' was asked for"),
        (["train", "--tf32"], "run.tf32 (--tf32) met the CPU: it is for float32 products on a GPU. Leave it out."),
        (["train", "--tf32", "--dtype", "float64", *ON], "run.tf32 (--tf32) met float64"),
        ([*GOING_ON, "--device", "cuda:7"], "device 'cuda:7' was asked for"),
        ([*GOING_ON, "--device", "gpu"], "device 'gpu' is not known"),
        ([*GOING_ON, "--tf32"], "run.tf32 (--tf32) met the CPU"),
        ([*GOING_ON, "--set", "run.threads=-1"], "run.threads = -1 (--set)"),
        ([*GOING_ON, "--lr", "9", *ON], "optim.lr = 9.0 (--lr) does not agree with run"),
        (["predict", "run", "--device", "cuda:7"], "device 'cuda:7' was asked for"),
        (["locality", "--rule", "gll", "--device", "cuda:7"], "device 'cuda:7' was asked for"),
        (["verify", "--device", "cuda:7"], "device 'cuda:7' was asked for"),
        (["memory", "--measure", "2", "--device", "cuda:7"], "device 'cuda:7' was asked for"),
        (["bench", "--quick", "--device", "cuda:7"], "device 'cuda:7' was asked for"),
        ([*SWEEP, "--device", "gpu"], "device 'gpu' is not known"),
    ],
)
def test_a_device_that_is_not_there(refused, line, says):
    assert cli.main(training("run", optim__epochs=2, optim__schedule="constant")) == 0
    assert says in refused(*line)
    assert record.config("run")["run"]["device"] == "cpu"
    assert "resumed" not in record.recorded_environment("run")


@pytest.mark.parametrize(
    "setting, device, says",
    [
        (None, "cuda:7", "--device cuda:7: this machine has no GPU of that number"),
        ("", "cuda:1", "CUDA_VISIBLE_DEVICES='' hides them"),
        ("", "cuda", "CUDA_VISIBLE_DEVICES='' hides them"),
        ("3", "cuda:1", "CUDA_VISIBLE_DEVICES='3' hides them"),
    ],
)
def test_a_sweep_on_a_gpu_that_is_hidden_or_missing(refused, monkeypatch, setting, device, says):
    as_cuda.install(monkeypatch, gpus=0)
    if setting is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # what the command sets stays here
    assert says in refused(*SWEEP, "--device", device)
    assert setting is None or os.environ["CUDA_VISIBLE_DEVICES"] == setting  # what is hidden stays so


def test_no_cupy(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    for line in (training("run"), ["verify"], ["locality", "--rule", "bp"]):
        assert "needs CuPy, which is not installed: pip install" in refused(*line, *ON)


class Rank:
    """A communicator, as far as the number of ranks."""

    rank, size = 1, 2


def test_more_ranks_than_gpus(products, monkeypatch):
    monkeypatch.setattr(group, "local_rank", lambda comm: comm.rank)
    run, ranks = RunTable(device="cuda"), group.Ranks(Rank())  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"run.processes = 2 met 1 GPU on this machine.*--device cuda:0"):
        ranks.learner_options(run)
    as_cuda.install(monkeypatch, gpus=2)
    assert ranks.learner_options(run)["device"] == "cuda:1"
    assert ranks.learner_options(RunTable(device="cuda:0"))["device"] == "cuda:0"


# ---------------------------------------------------------------------- no memory left


@pytest.mark.parametrize("number", [1, 3, 11, 25, 60, 100, 200, 300, 400, 450, 480])
def test_no_memory_wherever_it_ends(refused, monkeypatch, number):
    """Data, weights, a step, its recording, convergence, evaluation: the allocation of this number fails."""
    with monkeypatch.context() as patch:
        as_cuda.failing(patch, number)
        line = refused(*training("run", optim__epochs=1, run__convergence=1), *ON)
    assert any(known in line for known in ("memory is full", "no room on cuda for", "out of memory"))
    assert "Out of memory allocating" in line


def test_no_memory_in_an_evaluation(products, monkeypatch):
    net = ml.nets.mlp((8,), channels=1, size=4, rng=ml.rng(0))
    learner, x = ml.Learner(net, ml.rules.gll(), 2, rng=ml.rng(1), device="cuda"), np.zeros((300, 4, 4, 1), "f4")
    for ask in (learner.predict, learner.local_logits):
        with (
            monkeypatch.context() as patch,
            pytest.raises(UserError, match=r"in the evaluation of 256 of \(300, 4, 4, 1\)"),
        ):
            images = ml.to_device(x, "cuda")
            as_cuda.failing(patch, 1)
            ask(images)
