"""Start a run, or resume one: build it, open its folder, and train."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minilocal import record, rules
from minilocal.config import Config, check, flatten, from_tables, resolve, tables_of
from minilocal.data import DataSet
from minilocal.errors import UserError, path_of
from minilocal.kernels.threads import threads, use_threads
from minilocal.learner import Learner
from minilocal.ops.kinds import kernels, use_kernels
from minilocal.train.from_config import build, cut, schedule
from minilocal.train.loop import Loop, Report, Say
from minilocal.train.process_group import ProcessGroup
from minilocal.train.same_run import EPOCHS, check_epochs, on_machine
from minilocal.train.stop import StopRequest, stop_of_run
from minilocal.train.weights import warm_start


@dataclass(frozen=True, repr=False)
class Result:
    """What `train` returns: the trained Learner, its data set, a row per epoch, and the run's folder `path`."""

    learner: Learner
    dataset: DataSet
    rows: list[dict[str, Any]]
    path: Path

    def __repr__(self) -> str:
        ended = (
            f", test error {self.rows[-1]['test_error']:.1f} %" if self.rows and "test_error" in self.rows[-1] else ""
        )
        return f"<Result of {len(self.rows)} epochs{ended}, in {self.path}: learner, dataset, rows, path>"


def train(
    config: Config | Mapping[str, Any] | None = None,
    *,
    resume: str | Path | None = None,
    epochs: int | None = None,
    machine: Mapping[str, Any] | None = None,
    on_epoch: Report = lambda row: None,
    say: Say = lambda line: None,
    bar: bool = True,
    group: ProcessGroup | None = None,
    request: StopRequest | None = None,
) -> Result:
    """Train what `config` describes into a new folder, or resume the run in the folder `resume`.

    config    a Config, or its tables as plain dicts, {"rule": {"name": "gll"}, "optim": {"epochs": 2}}; a key that is
              left out has its default
    epochs    another number of epochs for a resumed run, where its learning rates do not depend on that number
    machine   for a resumed run, other keys of this machine than it has recorded, {"run.device": "cpu"}: its device,
              tf32, cuda_graph, threads and kernels. They are recorded in their place
    on_epoch  called with each new row
    say       called with a line about the run's progress
    bar       shows a progress bar, on a terminal only
    group     the processes that train it, this one by default; `minilocal.parallel.train` gives MPI's ranks
    request   the caller's flag for a stop; by default the signals of `stop_of_run` set one

    Raises: UserError for arguments of a new run and of one that goes on in one call, a configuration that does not
    fit together, a folder that cannot be written, a damaged or foreign checkpoint, and a loss that is not finite;
    Interrupted after Ctrl-C or SIGTERM, and Stopped, without saving, after a second one.
    """
    group = group or ProcessGroup()
    if not group.is_first:
        on_epoch, say = (lambda row: None), (lambda line: None)
    if (config is None) == (resume is None):
        raise UserError("train(config) starts a run and train(resume=path) goes on with one: give one of the two.")
    if config is not None:
        if epochs is not None:
            raise UserError("epochs= is for a run that goes on: a new one has them in its configuration. Leave it out.")
        if machine is not None:
            raise UserError(
                "machine= is for a run that goes on: a new one has its keys in its configuration. Leave it out."
            )
        checked = _checked(config, say)
        if group.size == 1 and checked.run.processes > 1:
            raise UserError(
                f"run.processes = {checked.run.processes}: train() is one process. Use minilocal train --processes, or "
                "give minilocal.parallel.train to ranks with ml.parallel.launch."
            )
        opened = _new_run(checked, say, bar, group)
    else:
        assert resume is not None
        opened = _resumed(path_of("resume", resume), epochs, machine or {}, say, bar, group)
    before = threads(), kernels()
    try:
        with (
            opened as (loop, folder),
            stop_of_run(folder.path) if request is None else nullcontext(request) as stop,
        ):
            loop.run(folder, stop, on_epoch, say)
        rows = record.rows(folder.path) if group.is_first else []
        return Result(loop.learner, loop.dataset, rows, folder.path)
    finally:
        use_threads(before[0])
        use_kernels(before[1])


def _checked(config: Config | Mapping[str, Any], say: Say) -> Config:
    if isinstance(config, Mapping):
        resolved, remarks = resolve([("train(config)", flatten(config, "train(config)"))])
        for remark in remarks:
            say(remark)
        return resolved
    if not isinstance(config, Config):
        raise UserError(
            f"train() was given a {type(config).__name__}: give a Config, or a dict of the tables rule, net, data, "
            "optim, run; to go on with a run, train(resume=path)."
        )
    return check(config)


@contextmanager
def _new_run(config: Config, say: Say, bar: bool, group: ProcessGroup) -> Iterator[tuple[Loop, record.RunFolder]]:
    """A new run. Its folder is made after everything is built, so a refused run leaves no folder."""
    group.check_same(config)
    path = group.on_first(lambda: _free_path(config, say))
    config = _on_this_cpu(config, group)
    config, balance = group.on_first(lambda: cut(config))
    if balance:
        say(f"balanced by {balance['by']}: modules of {', '.join(map(str, balance['modules']))} units")
    loop = _built(config, say, bar, group, balance.get("costs"))
    sources = {"data": _data_record(loop), "weights": _warm_started(loop, say), "balance": balance}
    sources["device"] = _device_record(config, group)
    environment = record.current_environment() | {name: entry for name, entry in sources.items() if entry}
    with group.folder(lambda: _created(path, config, environment), path) as folder:
        say(f"run folder {folder.path}")
        yield loop, folder


@contextmanager
def _resumed(
    path: Path, epochs: int | None, machine: Mapping[str, Any], say: Say, bar: bool, group: ProcessGroup
) -> Iterator[tuple[Loop, record.RunFolder]]:
    """The run at `path`, as of its last checkpoint. The checkpoint is read after the folder is locked."""
    before = from_tables(group.on_first(lambda: record.config(path)), f"{path}/config.json")
    config = _on_this_cpu(on_machine(before, machine, f"{path}/config.json"), group)
    environment = record.current_environment() | {"device": _device_record(config, group)}
    if epochs is not None:
        recorded = flatten(tables_of(config), f"{path}/config.json")
        config, _ = resolve([(f"{path}/config.json", recorded), ("--epochs", {EPOCHS: epochs})])
        check_epochs(
            epochs, before, path, schedule(before).extends or group.on_first(lambda: record.saved_nothing(path))
        )
        environment["epochs"] = epochs
    group.check_same(config)
    if (then := before.run.kernels) != config.run.kernels:
        say(f"kernels were {then} and are {config.run.kernels} from here on: results differ from {then}'s by round-off")
    with group.folder(lambda: record.RunFolder.reopen(path, environment), path) as folder:
        loop = _built(config, say, bar, group)
        if not loop.restore(folder, say):
            _warm_started(loop, say)
        if config != before:
            folder.configure(tables_of(config))
        yield loop, folder


def _created(path: Path, config: Config, environment: Mapping[str, Any]) -> record.RunFolder:
    """The new run's folder; where none was named and another process has taken this one since, the next free one."""
    while True:
        try:
            return record.RunFolder.create(path, tables_of(config), environment)
        except UserError:
            if config.run.out is not None or not os.path.lexists(path):
                raise
        path = _free_folder(config)


def _on_this_cpu(config: Config, group: ProcessGroup) -> Config:
    """`config` with the kind that its kernels are, now in use in this process, as the number of its threads is.

    Raises: UserError where a process lacks Numba.
    """
    use_threads(group.threads(config.run.threads))
    kind = group.kernels(config.run.kernels)
    group.collectively(lambda: use_kernels(kind))
    if kind == config.run.kernels:
        return config
    tables = tables_of(config)
    tables["run"] |= {"kernels": kind}
    return from_tables(tables, "the run")


def _free_path(config: Config, say: Say) -> Path:
    """Where a new run goes: a folder that holds no other run."""
    if config.run.out is None:
        return _free_folder(config)
    record.check_free(config.run.out)
    if record.saved_nothing(config.run.out):
        say(f"{config.run.out} held a run that had saved nothing: this one takes its place")
    return Path(config.run.out)


def _built(config: Config, say: Say, bar: bool, group: ProcessGroup, loads: Sequence[float] | None = None) -> Loop:
    """The run of this configuration, before its first step; `say` gets what is unverified or not recorded about it.

    Raises: UserError for a measurement in one process that several are to make.
    """
    for name, value in (("run.convergence", config.run.convergence), ("run.probes", config.run.probes)):
        if value and group.size > 1:
            raise UserError(
                f"{name} = {value} met {group.size} processes: it is measured in one. Train in one process, or leave "
                "it out."
            )
    use_threads(group.threads(config.run.threads))
    built = group.collectively(lambda: build(config, group.learner, **group.learner_options(config.run, loads)))
    loop = Loop(config, *built, bar=bar, group=group)
    for note in loop.dataset.notes:
        if "not verified" in note:
            say(f"{loop.dataset.name}: {note}")
    if loop.learner.cuda_graph_status:
        say(loop.learner.cuda_graph_status)
    if remark := _without_guidance(loop.learner.rule, config.optim.epochs):
        say(remark)
    return loop


def _without_guidance(rule: rules.Rule, epochs: int) -> str:
    """A line where a rule has global epochs, and a run of so many epochs none of them; else ""."""
    if not rule.when.global_share or any(map(rule.when.is_global, range(epochs))):
        return ""
    local = f"none of {epochs} epochs is global, so only local losses teach"
    return f"{rule.name}: {local}; {rule.when.describe()}: train longer, or make rule.period shorter"


def _data_record(loop: Loop) -> dict[str, Any]:
    """The data set's entry in environment.json: its source, what was verified, the images' shape, the classes."""
    d = loop.dataset
    facts = {"shape": list(d.train_x.shape[1:]), "classes": len(d.classes)}
    return {"name": d.name, "notes": list(d.notes), "digest": loop.images["digest"], **facts}


def _device_record(config: Config, group: ProcessGroup) -> dict[str, Any] | None:
    """The device's entry in environment.json: a GPU's name, memory and driver; None on the CPU.

    Raises: UserError where the device cannot be had.
    """

    def facts() -> dict[str, Any] | None:
        device = group.learner_options(config.run)["device"]
        return None if device == "cpu" else record.device_facts(device)

    return group.collectively(facts)


def _warm_started(loop: Loop, say: Say) -> dict[str, Any] | None:
    """Load the weights that [net] names, if any; their entry in environment.json."""
    path = loop.config.net.weights
    if path is None:
        return None
    line, entry = warm_start(loop.learner, path)
    say(line)
    return entry


def _free_folder(config: Config) -> Path:
    """The first of runs/RULE-NET-DATA-seedS, -2, -3, ... that does not exist."""
    name = config.data.name
    source = Path(name.partition(":")[2]).stem if ":" in name else name
    return record.beside(
        Path("runs") / f"{rules.label(config.rule.name)}-{config.net.name}-{source}-seed{config.run.seed}"
    )
