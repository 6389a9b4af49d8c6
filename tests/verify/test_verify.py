"""`minilocal verify`: the table, its exit status, what it says without JAX, and that JAX's settings do not change."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from minilocal import losses, verify
from minilocal.cli import main
from minilocal.verify.compare import Result, errors
from minilocal.verify.jax_cpu import jax_on_cpu
from minilocal.verify.synchronous import named


def test_the_table_says_what_against_what_and_how_far(capsys):
    assert main(["verify", "--only", "losses"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["kind", "what", "against", "cases", "error", "limit"]
    assert "cross entropy" in lines[1] and "1.0e-09" in lines[1] and lines[1].endswith("passed")


def test_a_failure_is_named_and_is_the_exit_status(capsys, monkeypatch):
    right = losses.squared_error
    monkeypatch.setattr(losses, "squared_error", lambda z, t: (right(z, t)[0], 1.001 * right(z, t)[1]))
    assert main(["verify", "--only", "losses"]) == 1
    out = capsys.readouterr().out
    assert "FAILED losses, squared error: 1.0e-03" in out and "cross entropy: " not in out


def test_an_unknown_kind_is_one_line(capsys):
    assert main(["verify", "--only", "layer"]) == 2
    assert "did you mean 'layers'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", verify.equations.EQUATIONS)
def test_equations(name):
    assert (
        max(e for c in verify.equations.COLUMNS for e in verify.equations.relative_errors(name, c, 0.3).values())
        <= 1e-9
    )


def test_rules_whose_modules_need_not_wait():
    rows = [*verify.run(quick=True, only="decoupled")]
    assert [row.name for row in rows] == [*verify.delayed.CASES] and all(row.passed for row in rows)


@pytest.mark.parametrize("rule", ["ddg", "fdg"])
def test_a_replay_tells_the_backward_weights_apart(rule):
    """So the run is long enough: every array has moved, and weights between a forward and its backward too."""
    for mode in verify.delayed.MODES:
        for other in verify.delayed.MODES:
            learner = verify.delayed.learner(named(rule, "mlp, four units", 3, backward_weights=mode))
            with jax_on_cpu():
                options = {"delayed_activations": rule == "fdg", "backward_weights": other}
                errors = verify.delayed.beside_replay(learner, verify.delayed.STEPS, **options)
            assert (max(errors.values()) <= 1e-9) == (mode == other), (mode, other)


def test_without_jax_the_line_says_what_to_install():
    code = "import sys; sys.modules['jax'] = None; from minilocal.cli import main; sys.exit(main(['verify']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "pip install -e '.[verify]'" in done.stderr and "Traceback" not in done.stderr


def test_only_who_verifies_imports_jax():
    code = "import sys, minilocal, minilocal.cli.verify; print('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_the_users_settings_of_jax_do_not_change():
    before = jax.config.values["jax_enable_x64"]
    for dtype in ("float32", "float64"):
        with jax_on_cpu(dtype):
            assert str(jax.numpy.asarray(np.ones(2)).dtype) == dtype
        assert jax.config.values["jax_enable_x64"] == before
    with pytest.raises(KeyError), jax_on_cpu():
        raise KeyError
    assert jax.config.values["jax_enable_x64"] == before and not jax.config.values["jax_disable_most_optimizations"]


def test_the_measure():
    """Relative to the largest number of the same array, and for a tiny array to a millionth of the case's largest."""
    one = {"a": np.array([1.0, 2.0]), "b": np.array([1e-9])}
    assert errors(one, one) == {"a": 0.0, "b": 0.0}
    errors_of = errors({"a": np.array([1.0, 2.2]), "b": np.array([2e-9])}, one)
    assert np.isclose(errors_of["a"], 0.2 / (2 + 2e-6)) and np.isclose(errors_of["b"], 1e-9 / (1e-9 + 2e-6))
    infinite = errors({"a": np.ones(3), "c": np.ones(1)}, one)
    assert set(infinite) == {"a", "b", "c"} and set(infinite.values()) == {float("inf")}
    assert errors({"a": np.array([np.nan, 2.0]), "b": one["b"]}, one)["a"] == float("inf")
    assert not Result("k", "n", "a", 1, float("inf")).passed and not Result("k", "n", "a", 1, float("nan")).passed
