"""The layout of docs/design.md, held: imports run one way, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import minilocal

PACKAGE = Path(minilocal.__file__).parent
ORDER = [
    "signals", "errors", "private", "source", "array", "device", "turns", "streams", "tree", "equations", "ops",
    "kernels", "losses", "layers", "nets", "balanced", "split", "objectives", "boundaries", "rules", "optim", "engine",
    "contract", "inputs", "training_state", "learner", "interop", "data", "published", "memory", "costs",
    "locality", "convergence", "summary", "record", "saved", "draw", "config", "train", "bench", "parallel",
    "report", "verify", "teach", "sweep", "reproduce", "explorer", "cli",
]  # fmt: skip
METHODS = {("learner", "summary"), ("learner", "saved")}  # methods whose work stands in a file further down
METHODS_OF = {  # the same by module: a class, and the files of its methods, which import the class
    "minilocal.learner": {"minilocal.summary", "minilocal.saved"},
    "minilocal.nets.net": {"minilocal.nets.summary"},
    "minilocal.data.dataset": {"minilocal.data.batches"},
}
ONLY_IN = {
    "matplotlib": {"draw"},
    "PIL": {"draw", "data"},
    "scipy": {"data"},
    "msgspec": {"config", "reproduce"},
    "jax": {"verify"},
    "jupytext": {"teach"},
    "cupy": {"device"},
    "mpi4py": {"parallel"},
    "torch": {"bench"},
    "threadpoolctl": {"kernels", "record", "cli"},
    "numba": {"kernels"},
    "llvmlite": {"kernels"},
}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[str]:
    """Every module that a file imports, wherever in the file."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            module = node.module or ""
            names += [f"{module}.{a.name}" if module == "minilocal" else module for a in node.names]
    return names


def imported_by_name(path: Path) -> list[str]:
    """Every module of the package that a file imports by `import_module`; of an f-string, what is written out."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    arguments = [ast.unparse(c.args[0]).strip("f'\"") for c in calls if ast.unparse(c.func).endswith("import_module")]
    return [name for name in arguments if name.startswith("minilocal")]


def import_graph(root: Path) -> dict[str, set[str]]:
    """{module: the modules of the package that it imports, wherever in the file}, without METHODS_OF."""
    files = {".".join(p.relative_to(root.parent).with_suffix("").parts): p for p in sorted(root.rglob("*.py"))}
    paths = {name.removesuffix(".__init__"): path for name, path in files.items()}
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        modules: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                members = {f"{node.module}.{alias.name}" for alias in node.names}
                modules |= {member if member in paths else str(node.module) for member in members}
        graph[name] = (modules & paths.keys()) - {name} - METHODS_OF.get(name, set())
    return graph


def violations(path: Path, names: list[str]) -> list[str]:
    part, wrong = part_of(path), []
    for name in names:
        root, _, rest = name.partition(".")
        if root == "minilocal" and rest:
            other = rest.partition(".")[0]
            if other in ORDER and ORDER.index(other) > ORDER.index(part) and (part, other) not in METHODS:
                wrong.append(f"{part} imports {other}, which stands below it")
        elif root in ONLY_IN and part not in ONLY_IN[root]:
            wrong.append(f"{part} imports {root}")
    return wrong


FILES = [p for p in sorted(PACKAGE.rglob("*.py")) if part_of(p) not in ("__init__", "__main__")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    assert part_of(path) in ORDER, f"{path.name} has no place in the layout"
    assert not violations(path, imported(path))


def test_only_the_choice_of_a_fast_form_imports_by_name_what_stands_below_it() -> None:
    wrong = {p: names for p in FILES if violations(p, names := imported_by_name(p))}
    ops = PACKAGE / "ops"
    assert wrong == {ops / "dispatch.py": ["minilocal.kernels.{where}"], ops / "kinds.py": ["minilocal.kernels.numba"]}


def test_a_wrong_import_is_seen() -> None:
    layer = PACKAGE / "layers" / "linear.py"
    assert violations(layer, ["minilocal.engine"]) and violations(layer, ["matplotlib.figure"])
    assert not violations(layer, ["minilocal.kernels.matmul", "numpy"])


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter(import_graph(PACKAGE)).prepare()


def test_a_circle_is_seen_inside_a_folder_and_inside_a_function(tmp_path: Path) -> None:
    package, name = tmp_path / "package", "package"
    (package / "rooms").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "rooms" / "__init__.py").write_text(f"from {name}.rooms.a import f")
    (package / "rooms" / "a.py").write_text(f"def f():\n    from {name}.rooms import b")
    (package / "rooms" / "b.py").write_text("import numpy")
    TopologicalSorter(import_graph(package)).prepare()
    for circle in (f"from {name} import rooms", f"import {name}.rooms.a"):
        (package / "rooms" / "b.py").write_text(circle)
        with pytest.raises(CycleError):
            TopologicalSorter(import_graph(package)).prepare()


def test_every_file_of_a_rule_and_engine_is_short() -> None:
    long = {str(p.relative_to(PACKAGE)): n for p in FILES if (n := len(p.read_text().splitlines())) > 320}
    assert not long, f"look for a second idea in {long}"


def test_importing_minilocal_imports_numpy_and_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import minilocal; "
        "print(sorted({m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout
    assert set(ast.literal_eval(out)) <= {"minilocal", "numpy"}


# These run where the array lives. What they make on the host, they make through `array`, where it can be seen.
DEVICE_PARTS = (
    "layers",
    "losses",
    "objectives",
    "boundaries",
    "engine",
    "optim",
    "learner",
    "convergence",
    "ops",
)
HOST_FILES = ("layers/initial.py",)  # initial weights are drawn on the host, and copied by the Learner


def host_calls(source: str) -> list[str]:
    """Calls of `np.<function>`: on an array of a GPU they would copy it home, or fail."""
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [ast.unparse(f) for f in calls if ast.unparse(f).startswith(("np.", "numpy."))]


def in_a_device_part(path: Path) -> bool:
    name = str(path.relative_to(PACKAGE)).removesuffix(".py")
    return f"{name}.py" not in HOST_FILES and any(name == p or name.startswith(f"{p}/") for p in DEVICE_PARTS)


@pytest.mark.parametrize("path", [p for p in FILES if in_a_device_part(p)], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_numpy_function_is_called_where_arrays_may_live_on_a_device(path: Path) -> None:
    assert not host_calls(path.read_text())


def test_a_call_of_numpy_is_seen() -> None:
    assert host_calls("import numpy as np\ny = np.exp(x)") == ["np.exp"]
    assert not host_calls("def f(x: np.ndarray) -> np.random.Generator: return x.sum()")


def test_the_engine_never_asks_for_a_rules_name() -> None:
    for path in (*(PACKAGE / "engine").glob("*.py"), PACKAGE / "learner.py"):
        tree = ast.parse(path.read_text())
        compared = {
            c.value
            for n in ast.walk(tree)
            if isinstance(n, ast.Compare)
            for c in n.comparators
            if isinstance(c, ast.Constant)
        }
        assert not compared & {"BP", "GLL", "BackLink", "bp", "gll", "backlink"}
