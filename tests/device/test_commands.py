"""Every command on a device, by the stand-in for one in CuPy's place: as on the host, and what it writes is either's.

The device runs plain forms, and the host runs them too inside `ops.reference()`. So numbers are equal bit for bit.
"""

from __future__ import annotations

import numpy as np
import pytest

import minilocal as ml
from minilocal import data, record
from minilocal.array import to_host
from minilocal.layers import Linear
from minilocal.learner import Learner
from minilocal.locality.influence import toy_net
from minilocal.train import evaluate
from minilocal.verify import certificate
from minilocal.verify.compare import DOUBLE, errors
from tests.fake import cuda_on_host
from tests.fake.device import counting, fake, fetch
from tests.helpers.own_experiment import own_experiment
from tests.helpers.small_run import training as train

ON = ["--device", "cuda"]
RULES = {"backlink": {}, "ddg": {"rule__name": "ddg"}}
OWN = own_experiment([0.25])


def checkpoint(folder):
    """The arrays of the last checkpoint."""
    saved = record.checkpoint(folder)
    assert saved is not None
    return saved[0]


def arrays(folder):
    """Every array of the last checkpoint: its type, its shape and its bytes."""
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in checkpoint(folder).items()}


def rows(folder):
    """The rows, without seconds."""
    return [_without_seconds(row) for row in record.rows(folder)]


def _without_seconds(entry):
    if not isinstance(entry, dict):
        return entry
    return {name: _without_seconds(value) for name, value in entry.items() if "seconds" not in name}


def same(one, other):
    """Two runs have the same rows and the same checkpoint, bit for bit."""
    assert rows(one) == rows(other)
    assert arrays(one) == arrays(other)


# ---------------------------------------------------------------------- train, resume, reproduce


@pytest.mark.parametrize("name", RULES)
def test_a_run_has_the_hosts_numbers_and_goes_on_wherever_it_is(minilocal, name):
    keys = {**RULES[name], "run__convergence": 1, "run__probes": True}
    minilocal(*train("host", **keys))
    minilocal(*train("device", **keys), *ON)
    same("host", "device")
    for first, then in (("cuda", "cpu"), ("cpu", "cuda")):
        minilocal(*train(first, **{**keys, "optim__epochs": 1, "run__probes": False}), "--device", first)
        assert "goes on after 1 of 2" in minilocal("train", "--resume", first, "--device", then, "--epochs", "2")
        assert rows(first)[0] == rows("host")[0] and record.config(first)["run"]["device"] == then
        assert arrays(first) == arrays("host")


def test_adam_has_the_hosts_numbers_to_round_off(minilocal):
    """Its rate is an array on a device and a number on the host, so products round in another order."""
    keys = {"optim__name": "adam", "optim__lr": 1e-3, "run__dtype": "float64", "optim__epochs": 1}
    for device in ("cpu", "cuda"):
        minilocal(*train(device, **keys), "--device", device)
    host, on_device = (checkpoint(device) for device in ("cpu", "cuda"))
    learned = {name: a for name, a in host.items() if a.dtype == "f8" and a.ndim}
    assert max(errors({name: on_device[name] for name in learned}, learned).values()) <= DOUBLE


def test_a_runs_record_names_the_gpu_and_where_it_went_on(minilocal):
    minilocal(*train("run", optim__epochs=1), *ON)
    minilocal("train", "--resume", "run", "--device", "cpu", "--epochs", "2")
    environment = record.recorded_environment("run")
    assert environment["device"]["name"] == "fake device" and environment["device"]["driver"] == 13000
    assert [entry["device"] for entry in environment["resumed"]] == [None]
    minilocal("export", "run", "--out", "run.npz")
    assert record.read_exported("run.npz")[1]["machine"]["device"] == "fake device"


def test_tf32_is_for_the_gpu_alone(minilocal, products):
    minilocal(*train("run", optim__epochs=1), *ON, "--tf32")
    assert products == ["TF32"]
    minilocal("predict", "run")
    minilocal("predict", "run", "--device", "cpu")
    minilocal("train", "--resume", "run", "--device", "cpu", "--epochs", "2")
    assert record.config("run")["run"]["tf32"] is False and set(products) == {"TF32"}


def test_a_recording_that_is_refused_is_said_after_the_epoch_in_which_it_was(minilocal):
    """A convolution's plain form calls cuBLAS, which no graph can hold."""
    flags = [word for word in train("run", net__name="resnet8") if word != "--quiet"]
    lines = minilocal(*flags, *ON).splitlines()
    (number,) = [n for n, line in enumerate(lines) if line.startswith("steps run eagerly: CuPy cannot record it")]
    assert "recorded" in lines[0] and lines[number + 1].startswith("epoch   1")


def test_predictions_and_exported_files_are_eithers(minilocal):
    entries = {}
    for first in ("cpu", "cuda"):
        minilocal(*train(first), "--device", first)
        minilocal("export", first, "--out", f"{first}.npz")
        for run in (first, f"{first}.npz"):
            for then in ("cpu", "cuda"):
                out = minilocal("predict", run, "--device", then, "--out", "predicted.npz")
                assert "as recorded after epoch 2" in out
                with np.load("predicted.npz") as file:
                    entries[run, then] = {name: file[name].tobytes() for name in file}
    assert len(entries) == 8 and all(each == entries["cpu", "cpu"] for each in entries.values())


def test_a_warm_start_and_balanced_modules(minilocal):
    minilocal(*train("first", optim__epochs=1))
    minilocal(*train("second", optim__epochs=1), *ON, "--set", "net.weights=first", "--balance", "flops")
    assert record.recorded_environment("second")["weights"]["taken"] == 10


def test_a_sweep_and_an_experiment(minilocal, tmp_path):
    flags = ["--net", "mlp", "--modules", "1,2", "--limit-train", "40", "--limit-test", "20", "--batch-size", "16"]
    for device in ("cpu", "cuda"):
        minilocal("sweep", *flags, "--epochs", "1", "--out", f"sweep-{device}", "--device", device)
        (tmp_path / "own.toml").write_text(OWN)
        minilocal("reproduce", "own.toml", "--scale", "full", "--out", f"own-{device}", "--device", device)
    for what in ("sweep", "own"):
        runs = [sorted(tmp_path.glob(f"{what}-{device}/**/checkpoint.npz")) for device in ("cpu", "cuda")]
        assert len(runs[0]) == len(runs[1]) >= 1
        for one, other in zip(*runs, strict=True):
            same(one.parent, other.parent)


def test_what_crosses_between_host_and_device_is_counted_by_epochs(minilocal, monkeypatch):
    """Uploads: the table of an epoch's images and the grey levels, for training and test. Steps add none."""

    def counted(epochs, batch_size):
        with counting() as counts:
            minilocal(*train(f"{epochs}-{batch_size}", optim__epochs=epochs, optim__batch_size=batch_size), *ON)
        return np.array([counts.uploads, counts.downloads, counts.syncs])

    ml.to_device(np.zeros(1), "cuda")  # which tries the device, once
    one, two, of_many_steps = counted(1, 20), counted(2, 20), counted(2, 2)
    state = [a for name, a in checkpoint("2-20").items() if name.startswith(("array:", "optim:"))]
    copied = len(state) + 1 + 2  # the state, the losses, the logits and the classes of all modules
    assert (two - one).tolist() == [4, copied, copied]
    assert of_many_steps.tolist() == two.tolist()
    monkeypatch.setattr(evaluate, "BATCH", 3)
    net, digits = ml.nets.mlp((8, 8, 8), channels=1, size=16, rng=ml.rng(0)), data.load("digits")
    learner = Learner(net, ml.rules.gll(), 4, rng=ml.rng(0), device="cuda")
    with counting() as counts:
        result = evaluate.predict(learner, digits.test_x[:20], digits, local=True)
    assert (counts.uploads, counts.downloads, counts.syncs) == (3, 2, 2) and len(result.local) == 4


# ---------------------------------------------------------------------- measurements


def test_the_same_crosses_each_boundary(products):
    net, rule = toy_net(3, channels=3, size=4), ml.rules.backlink()
    host, device = (ml.locality.measure(rule, net, [2, 1], device=d) for d in ("cpu", "cuda"))
    assert host == device and not device[0].disagreements


@pytest.mark.parametrize("by", ["JAX", "finite differences"])
def test_a_certificate_is_the_devices(products, monkeypatch, by):
    """It holds there, and no longer where the device alone computes a wrong weight gradient."""
    if by != "JAX":
        monkeypatch.setattr(certificate, "_by_jax", lambda *args: (None, "as without JAX"))
    rule, net = ml.rules.gll(), ml.nets.mlp((6,), classes=3, channels=1, size=2, rng=ml.rng(0))
    holds = ml.verify.certify(rule, net, 2, device="cuda")
    assert holds and f"from {by}" in repr(holds), holds
    backward = Linear.backward

    def wrong_on_the_device(self, cache, dy, *args):
        dx, grads = backward(self, cache, dy, *args)
        return dx, {name: g * 2 if isinstance(g, fake.ndarray) else g for name, g in grads.items()}

    monkeypatch.setattr(Linear, "backward", wrong_on_the_device)
    failed = [claim.what for claim in ml.verify.certify(rule, net, 2, device="cuda").claims if not claim.holds]
    assert failed == ["gradients of units", "gradients of the losses' weights"]


def test_locality_on_the_command_line(minilocal):
    assert "does what its own answers say" in minilocal("locality", "--rule", "bp", "--net", "mlp", *ON)


def test_rows_of_verify(minilocal):
    out = minilocal("verify", *ON, "--quick", "--only", "data")
    assert "device data" in out and "FAILED" not in out


@pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))
def test_memory_is_measured_in_the_pool(minilocal, monkeypatch):
    monkeypatch.setattr(fake, "kernels", True)
    monkeypatch.setattr(cuda_on_host, "checked", False)
    out = minilocal("memory", "--net", "resnet8", "--modules", "2", "--batch-size", "16", "--measure", "8", *ON)
    assert "The largest difference between measured and predicted is" in out


def test_a_learner_of_the_host_takes_the_arrays_of_one_on_a_device(products):
    net = ml.nets.mlp((8,), channels=1, size=4, rng=ml.rng(0))
    one, other = (Learner(net, ml.rules.bp(), 1, rng=ml.rng(1), device=device) for device in ("cuda", "cpu"))
    for w in one.parameters().values():
        w += 1
    other.load(one.parameters())
    assert all(np.array_equal(to_host(w), fetch(one.parameters()[name])) for name, w in other.parameters().items())
