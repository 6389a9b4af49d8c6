"""The loop over epochs, and the folder from which it goes on after any stop.

All chance is named by (key, purpose, epoch, step), so a checkpoint holds arrays and counters only, and a resumed run
sees the batches that it would have seen: on the CPU it ends with the same weights to the last bit.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import data, record
from minilocal.array import Array, namespace, to_device, to_host
from minilocal.config import Config, check, flatten, from_tables, tables_of
from minilocal.data import DataSet
from minilocal.errors import UserError
from minilocal.kernels.threads import threads, use_threads
from minilocal.learner import Learner
from minilocal.train.build import build, schedule
from minilocal.train.evaluate import Images, error, predict
from minilocal.train.interrupt import Interrupted, Wish, stopping
from minilocal.train.progress import Progress

VISIT = {"cpu": 1}  # steps between two visits home with the losses: on a device each one would be a wait
SELDOM = 32
MACHINE = (  # not the run itself
    "data.dir", "data.download", "run.device", "run.tf32", "run.cuda_graph", "run.threads", "run.processes", "run.out",
)  # fmt: skip

Report = Callable[[dict[str, Any]], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What `train` returns: the trained Learner, its data set, a row per epoch, and the run's folder."""

    learner: Learner
    dataset: DataSet
    rows: list[dict[str, Any]]
    path: Path


def train(
    config: Config | None = None,
    *,
    resume: str | Path | None = None,
    on_epoch: Report = lambda row: None,
    say: Say = lambda line: None,
) -> Result:
    """Trains what `config` says into a new folder, or goes on with the run in the folder `resume`.

    `on_epoch` is given each new row, `say` a line about where the run stands.

    Raises: UserError for what does not fit together, a folder that cannot be written, a damaged or foreign checkpoint,
    and a loss that is no longer finite; Interrupted after Ctrl-C or SIGTERM.
    """
    if (config is None) == (resume is None):
        raise TypeError("train(config) starts a run and train(resume=path) goes on with one: give one of the two.")
    asked = check(config) if config else from_tables(record.config(resume or ""), f"{resume}/config.json")
    before = threads()
    use_threads(asked.run.threads)
    try:
        with (
            _started(asked, say) if resume is None else _resumed(asked, resume, say) as (run, folder),
            stopping() as wish,
        ):
            run.go(folder, wish, on_epoch)
        return Result(run.learner, run.dataset, record.rows(folder.path), folder.path)
    finally:
        use_threads(before)


@contextmanager
def _started(config: Config, say: Say) -> Iterator[tuple[_Run, record.Folder]]:
    """A new run, built before its folder is made: what does not fit together leaves nothing behind."""
    run = _Run(config, *build(config))
    with _new_folder(config) as folder:
        say(f"run folder {folder.path}")
        if run.learner.recording:
            say(run.learner.recording)
        yield run, folder


@contextmanager
def _resumed(config: Config, path: str | Path, say: Say) -> Iterator[tuple[_Run, record.Folder]]:
    """The run at `path`, as of its last checkpoint, which is read only once the folder is locked."""
    with record.Folder.reopen(path, record.current_environment()) as folder:
        run = _Run(config, *build(config))
        say(run.restore(folder))
        if run.learner.recording:
            say(run.learner.recording)
        yield run, folder


class _Run:
    """One run under way: what is trained, on what, and how far it has come."""

    def __init__(self, config: Config, dataset: DataSet, learner: Learner) -> None:
        self.config, self.dataset, self.learner, self.progress = config, dataset, learner, Progress()
        self.schedule = schedule(config)
        d, device = dataset, config.run.device
        self.x, self.y = to_device(d.train_x, device), to_device(d.train_y, device)
        self.judged = {
            part: (to_device(x, device), y)
            for part, x, y in (("validation", d.validation_x, d.validation_y), ("test", d.test_x, d.test_y))
            if x is not None and y is not None
        }
        self.steps = -(-len(dataset.train_y) // config.optim.batch_size)
        learner.rule.check_batches(self.steps * config.optim.epochs, len(learner.modules))
        self.images = {**Images.of(dataset).told(), "digest": _digest(dataset)}

    def go(self, folder: record.Folder, wish: Wish, on_epoch: Report) -> None:
        """Trains from where the counters stand to the last epoch.

        The row is written before the checkpoint: a row that is ahead is cut on resuming, a missing one would be lost.
        """
        while self.progress.epoch < self.config.optim.epochs:
            self._train_epoch(folder, wish)
            state = self._state()
            row = self._row(between=partial(self._stop_if, wish, folder, state))
            folder.add_row(row)
            self.progress = self.progress.next_epoch()
            folder.save(state, self._told())
            on_epoch(row)
            if wish.stop and self.progress.epoch < self.config.optim.epochs:
                raise self._interrupted(folder)

    def restore(self, folder: record.Folder) -> str:
        """Takes over the folder's checkpoint; returns the line that says where the run goes on."""
        found = record.checkpoint(folder.path)
        if found is None:
            folder.cut_rows(0)
            return f"{folder.path} has no checkpoint yet: its run starts anew"
        arrays, told = found
        _check_same(told["config"], tables_of(self.config), folder.path)
        if told["images"]["digest"] != self.images["digest"]:
            raise UserError(
                f"the images of {self.dataset.name!r} are not those that {folder.path} was started with: put the old "
                "ones back, or start another run."
            )
        self.learner.restore(arrays)
        self.progress = Progress(**told["progress"])
        folder.cut_rows(self.progress.epoch)
        done, epochs = self.progress.epoch, self.config.optim.epochs
        if done >= epochs:
            return f"{folder.path} is finished: {done} of {epochs} epochs"
        step = f" and {self.progress.step} of {self.steps} steps" if self.progress.step else ""
        return f"{folder.path} goes on after {done} of {epochs} epochs{step}"

    def _train_epoch(self, folder: record.Folder, wish: Wish) -> None:
        """The rest of the epoch under way, one batch after the other."""
        from tqdm import tqdm

        c, p = self.config, self.progress
        self.learner.epoch = p.epoch
        pending: list[tuple[Array, int]] = []  # losses that are still where they were made
        visit = VISIT.get(c.run.device, SELDOM)
        began = time.perf_counter() - p.seconds
        label = f"epoch {p.epoch + 1}/{c.optim.epochs}"
        quiet = np.errstate(over="ignore", invalid="ignore")  # what is not finite is found, and said once, by _settle
        with quiet, tqdm(total=self.steps, initial=p.step, desc=label, unit="step", disable=None, leave=False) as bar:
            for _, x, y in self._batches():
                pending.append((self.learner.step(x, y, lr=self._lr()), len(y)))
                if len(pending) == visit or wish.stop:
                    self._settle(pending)
                    p.seconds = time.perf_counter() - began
                    bar.set_postfix_str(" ".join(f"{loss:.3f}" for loss in p.losses()), refresh=False)
                bar.update()
                if wish.stop:
                    self._settle(pending)
                    self._stop_if(wish, folder, self._state())
            self._settle(pending)
        p.seconds = time.perf_counter() - began

    def _batches(self) -> Any:
        c, p = self.config, self.progress
        return data.batches(
            self.x,
            self.y,
            self.dataset,
            c.optim.batch_size,
            key=self.learner.key,
            epoch=p.epoch,
            augment=bool(c.data.augment),
            dtype=c.run.dtype,
            start=p.step,
        )

    def _lr(self) -> float:
        return float(self.schedule.lr(self.progress.epoch))

    def _settle(self, pending: list[tuple[Array, int]]) -> None:
        """Brings these steps' losses home, and stops the run where one is not finite.

        NaN also says that a module has no loss in a step. It is a divergence where the module had one before in this
        epoch, or none has any, and the step has left numbers that are not finite.
        """
        if not pending:
            return
        rows = [losses for losses, _ in pending]
        home = to_host(namespace(*rows).stack(rows))  # one visit for all of them
        for values, (_, images) in zip(home, pending, strict=True):
            for k, loss in enumerate(values.tolist()):
                silent = math.isnan(loss) and not (any(self.progress.counts[k : k + 1]) or np.isnan(values).all())
                if not (math.isfinite(loss) or silent) and (math.isinf(loss) or _not_finite(self.learner.state())):
                    self.progress.step += 1
                    raise self._diverged(f"the loss of module {k + 1} of {len(values)} became {loss}")
            self.progress.add(values, images)
        pending.clear()

    def _state(self) -> dict[str, np.ndarray]:
        """The Learner's state on the host, every number of it finite: nothing else is ever saved."""
        state = self.learner.state()
        if name := _not_finite(state):
            raise self._diverged(f"{name} is no longer finite")
        return state

    def _diverged(self, what: str) -> UserError:
        p = self.progress
        return UserError(
            f"training diverged: {what} in epoch {p.epoch + 1}, step {p.step} of {self.steps} (lr {self._lr():g}). "
            f"Nothing of it was saved. Start again with a lower --lr (try {self.config.optim.lr / 10:g})."
        )

    def _row(self, *, between: Callable[[], None]) -> dict[str, Any]:
        """The row of the epoch just trained: losses per module, errors in percent, seconds of its steps and of this."""
        p, run = self.progress, self.config.run
        row: dict[str, Any] = {"epoch": p.epoch + 1, "lr": self._lr(), "losses": p.losses()}
        began = time.perf_counter()
        for part, (x, y) in self.judged.items():
            taken_for = predict(self.learner, x, self.dataset, device=run.device, dtype=run.dtype, between=between)
            row[f"{part}_error"] = error(taken_for, y)
        return {**row, "seconds": p.seconds, "evaluation_seconds": time.perf_counter() - began}

    def _stop_if(self, wish: Wish, folder: record.Folder, state: dict[str, np.ndarray]) -> None:
        if wish.stop:
            folder.save(state, self._told())
            raise self._interrupted(folder)

    def _interrupted(self, folder: record.Folder) -> Interrupted:
        p = self.progress
        step = f" and {p.step} of {self.steps} steps" if p.step else ""
        return Interrupted(
            f"stopped after {p.epoch} of {self.config.optim.epochs} epochs{step}, and saved. "
            f"Go on with: minilocal train --resume {folder.path}"
        )

    def _told(self) -> dict[str, Any]:
        """The checkpoint's text."""
        return {"progress": asdict(self.progress), "config": tables_of(self.config), "images": self.images}


def _not_finite(state: Mapping[str, np.ndarray]) -> str:
    """The name of the first array that holds NaN or infinity, or nothing."""
    return next((name for name, a in state.items() if a.dtype.kind == "f" and not np.isfinite(a).all()), "")


def _new_folder(config: Config) -> record.Folder:
    """The folder that [run] names, or the first free runs/RULE-NET-DATA-seedS, -2, -3, ..."""
    environment = record.current_environment()
    if config.run.out is not None:
        return record.Folder.create(config.run.out, tables_of(config), environment)
    source = (
        Path(config.data.name.removeprefix("npz:")).stem if config.data.name.startswith("npz:") else config.data.name
    )
    path = first = Path("runs") / f"{config.rule.name}-{config.net.name}-{source}-seed{config.run.seed}"
    number = 1
    while path.exists():
        number += 1
        path = first.with_name(f"{first.name}-{number}")
    return record.Folder.create(path, tables_of(config), environment)


def _check_same(then: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """Holds that a checkpoint was made by this configuration, but for where it runs."""
    before, after = flatten(then, "checkpoint.npz"), flatten(now, "config.json")
    for key in sorted(before.keys() | after.keys()):
        if key not in MACHINE and before.get(key) != after.get(key):
            raise UserError(
                f"{path / 'checkpoint.npz'} is another run's: it was made with {key} = {before.get(key)!r}, but "
                f"config.json beside it says {after.get(key)!r}."
            )


def _digest(dataset: DataSet) -> str:
    """A fingerprint of every image and label, so that a run does not go on with others."""
    found = hashlib.blake2b(digest_size=16)
    for array in (dataset.train_x, dataset.train_y, dataset.test_x, dataset.test_y):
        found.update(f"{array.shape} {array.dtype}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
