"""Kernels of a kind: which forms run on NumPy's arrays, in every thread, and what is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pytest

import minilocal as ml
from minilocal.array import Array
from minilocal.kernels.threads import parallel_map
from minilocal.ops import dispatch, kinds, reference
from minilocal.ops.dispatch import op
from minilocal.ops.kinds import checked_kind, kernels, using

TOP = Path(ml.__file__).parents[1]
with_numba = pytest.mark.skipif(find_spec("numba") is None, reason="Numba is not installed (extra `fast`)")


@op
def plus(x: Array) -> Array:
    """An operation of this test, whose forms add another number, so that a result says which one ran."""
    return x + 1


TABLES = {"cpu": {"plus": lambda x: x + 10}, "numba": {"plus": lambda x: x + 100}}


@pytest.fixture(autouse=True)
def _kind_as_before():
    before = kernels()
    yield
    kinds._kind = before


@pytest.fixture
def installed(monkeypatch):
    """Numba as if it were installed, with forms of `plus`."""
    monkeypatch.setattr(kinds, "find_spec", lambda name: SimpleNamespace())
    monkeypatch.setattr(kinds, "import_module", lambda name: None)
    monkeypatch.setattr(dispatch, "_table", TABLES.__getitem__)


def ran(dtype: str = "float32") -> float:
    return float(plus(np.zeros(1, dtype))[0])


def test_the_form_that_runs_is_of_the_kind_in_use(installed):
    assert kernels() == "numpy" and ran() == 10
    for kind in ("numba", "auto"):
        ml.use_kernels(kind)
        assert kernels() == "numba" and ran() == ran("float64") == 100
        ml.use_kernels("numpy")
        assert kernels() == "numpy" and ran() == ran("float64") == 10


def test_a_change_while_a_form_is_chosen_is_not_kept_for_the_kind_before(installed, monkeypatch):
    @op
    def plus(x: Array) -> Array:
        return x + 1

    find, x = dispatch.fast_ops, np.zeros(1)

    def changing(xp, like, kind):
        kinds._kind = "numba"  # as another thread would
        return find(xp, like, kind)

    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "fast_ops", changing)
        assert plus(x) == 10
    ml.use_kernels("numpy")
    assert plus(x) == 10


def test_numbers_that_are_not_float32_or_float64_have_numpys(installed):
    ml.use_kernels("numba")
    assert ran("int64") == 10 and ran("float16") == 10


def test_numbers_of_another_byte_order_have_numpys(installed):
    """Numba has no type for them. The two orders of a type are chosen for apart, whichever comes first."""
    other = np.dtype("float32").newbyteorder().str
    ml.use_kernels("numba")
    assert [ran(other), ran("float32"), ran(other), ran("float32")] == [10, 100, 10, 100]


def test_every_thread_has_the_kind(installed):
    """A thread that was there before, threads of the pool, and one that starts later."""
    results, change = [], Event()

    def before():
        results.append(ran())
        change.wait(10)
        results.append(ran())

    earlier = Thread(target=before)
    earlier.start()
    while not results:
        pass
    ml.use_kernels("numba")
    change.set()
    earlier.join()
    later = Thread(target=lambda: results.append(ran()))
    later.start()
    later.join()
    assert results == [10, 100, 100]
    assert parallel_map(lambda first, last: ran(), [(i, i + 1) for i in range(8)]) == [100] * 8


def test_the_plain_code_runs_inside_reference_whatever_the_kind(installed):
    ml.use_kernels("numba")
    assert ran() == 100
    with reference():
        assert ran() == 1
    assert ran() == 100


def test_a_kind_for_a_block(installed):
    with pytest.raises(KeyError), using("numba"):
        assert ran() == 100
        raise KeyError
    assert ran() == 10


@pytest.mark.parametrize("wrong", ["nunba", "NumPy", "", None, 3])
def test_another_name_is_refused_and_changes_nothing(wrong):
    with pytest.raises(ml.UserError, match="Known: numpy, numba, auto") as refused:
        ml.use_kernels(wrong)
    assert "\n" not in str(refused.value) and kernels() == "numpy"
    with pytest.raises(ml.UserError, match="did you mean 'numba'"):
        ml.use_kernels("nunba")


def test_without_numba_it_is_refused_and_auto_is_numpy(monkeypatch):
    monkeypatch.setattr(kinds, "find_spec", lambda name: None)
    with pytest.raises(ml.UserError, match=r"'numba': Numba is not installed: in the clone, pip install") as refused:
        ml.use_kernels("numba")
    assert "\n" not in str(refused.value) and kernels() == "numpy"
    ml.use_kernels("auto")
    assert kernels() == checked_kind("auto") == "numpy"


def test_numbas_kernels_are_imported_when_they_are_asked_for(installed, monkeypatch):
    imported: list[str] = []
    monkeypatch.setattr(kinds, "import_module", imported.append)
    ml.use_kernels("numpy")
    assert imported == []
    ml.use_kernels("numba")
    assert imported == ["numba", "minilocal.kernels.numba"]


@pytest.mark.parametrize(
    ("error", "met"),
    [
        (ImportError("Numba needs NumPy 2.4 or less.\nGot NumPy 2.9."), "ImportError: Numba needs NumPy 2.4 or less"),
        (OSError("no LLVM"), "OSError: no LLVM"),
    ],
)
def test_numba_that_cannot_be_imported_is_refused_and_the_kind_stays(error, met, installed, monkeypatch):
    def fails(name: str) -> None:
        raise error

    monkeypatch.setattr(kinds, "import_module", fails)
    ml.use_kernels("numpy")
    with pytest.raises(
        ml.UserError, match=rf"^kernels = 'numba' met {re.escape(met)}: in the clone, pip install"
    ) as refused:
        ml.use_kernels("numba")
    assert "\n" not in str(refused.value) and kernels() == "numpy"


def python(code: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    env = {"PYTHONPATH": ":".join(map(str, (*paths, TOP))), "HOME": "/proc/nonexistent"}
    env |= {name: value for name, value in os.environ.items() if name == "NUMBA_DISABLE_JIT"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)


STEP = """
import sys
import numpy as np
import minilocal as ml
ml.use_kernels("numpy")
learner = ml.Learner(ml.nets.mlp((4, 3), classes=2, size=2, rng=ml.rng(0)), ml.rules.gll(), 2, rng=ml.rng(0))
learner.step(np.ones((2, 2, 2, 3), np.float32), np.arange(2), lr=0.1)
"""


def test_numba_is_imported_by_its_kind_alone(tmp_path):
    """A module of that name stands in the path, so this holds where Numba is not installed, too."""
    trace = tmp_path / "imported"
    refuses = "raise ImportError('Numba needs NumPy 2.4 or less. Got NumPy 2.9.')"
    (tmp_path / "numba.py").write_text(f"open({str(trace)!r}, 'w').close()\n{refuses}")
    looks = (
        "from minilocal.bench.plan import Plan; Plan(kernels=('auto',)).check(); import minilocal.train, minilocal.cli"
    )
    loaded = "assert not {m.partition('.')[0] for m in sys.modules} & {'numba', 'llvmlite'}, 'imported'"
    done = python(f"{STEP}\n{looks}\n{loaded}", tmp_path)
    assert done.returncode == 0 and not trace.exists(), done.stderr
    refused = python(f"{STEP}\n{loaded}\nml.use_kernels('numba')", tmp_path)
    assert refused.returncode == 1 and trace.exists()
    last = refused.stderr.splitlines()[-1]
    assert "UserError: kernels = 'numba' met ImportError: Numba needs NumPy 2.4 or less. Got NumPy 2.9: in the" in last


@with_numba
def test_auto_is_numba_where_it_is_installed(tmp_path):
    done = python(f"{STEP}\nml.use_kernels('auto')\nassert 'numba' in sys.modules")
    assert done.returncode == 0, done.stderr
    assert checked_kind("auto") == "numba"


def test_auto_is_numpy_where_numba_is_not_installed():
    """None in the place of the module: Python finds none then, installed or not."""
    done = python(
        f"import sys\nsys.modules['numba'] = None\n{STEP}\nml.use_kernels('auto')\nprint(ml.ops.kinds.kernels())"
    )
    assert (done.returncode, done.stdout) == (0, "numpy\n"), done.stderr


@with_numba
@pytest.mark.parametrize("kind", ["numba", "auto"])
def test_numba_that_is_told_to_compile_nothing_is_refused(kind, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    done = python(f"{STEP}\nml.use_kernels({kind!r})")
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith(
        "minilocal.errors.UserError: kernels = 'numba' met NUMBA_DISABLE_JIT"
    )
