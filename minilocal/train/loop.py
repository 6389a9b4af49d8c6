"""The training loop of a run: epochs with checkpoints, and a stop between any two steps.

All random numbers are named by (key, purpose, epoch, step). So a checkpoint holds arrays and counters only, and a
resumed run meets the batches of the run that was not stopped: on the CPU it ends with the same weights to the last bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from shlex import quote
from typing import Any, NoReturn

import numpy as np

from minilocal import record
from minilocal.config import Config, tables_of
from minilocal.data import DataSet
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.train.clock import Clock, duration
from minilocal.train.divergence import Diverged, diverged, not_finite
from minilocal.train.from_config import schedule
from minilocal.train.probe import linear_probes
from minilocal.train.process_group import ProcessGroup
from minilocal.train.progress import Progress
from minilocal.train.row import Row, losses_text
from minilocal.train.same_run import check_same, digest
from minilocal.train.saved_run import Images
from minilocal.train.stop import Interrupted, StopRequest

BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"

Report = Callable[[Row], object]
Say = Callable[[str], object]


class Loop:
    """One run: its Learner and data set, and how far it has come. `bar` asks for a progress bar.

    `group` is the processes that train it. Each of them has a Loop, and only the first one writes.
    """

    def __init__(
        self, config: Config, dataset: DataSet, learner: Learner, *, bar: bool = True, group: ProcessGroup | None = None
    ) -> None:
        self.group = group or ProcessGroup()
        self.config, self.dataset, self.learner, self.bar = config, dataset, learner, bar and self.group.is_first
        self.progress, self.schedule = Progress(), schedule(config)
        batch_size, augment = config.optim.batch_size, bool(config.data.augment)
        self.trainer = self.group.trainer(learner, dataset, batch_size=batch_size, key=learner.key, augment=augment)
        self.steps = self.trainer.steps
        learner.rule.check_batches(self.steps * config.optim.epochs, len(learner.modules))
        counted = {"digest": digest(dataset), "test_images": len(dataset.test_y)}
        self.images = {**Images.of(dataset).to_json(), **counted}
        self.clock = Clock(config.optim.epochs, self.steps)
        self.convergence_before: dict[str, Any] | None = None  # measured at the initial weights, until the first row
        self.cuda_graph_status = learner.cuda_graph_status  # as it was said last

    def run(self, folder: record.RunFolder, request: StopRequest, on_epoch: Report, say: Say) -> None:
        """Train from where the counters stand to the last epoch.

        The row is written before the checkpoint: a row that is ahead is cut on resuming, a missing one would be lost.

        Raises: Interrupted where a stop was requested, after saving; UserError where training diverged, or the folder
        cannot be written.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is found by the trainer, and said once
            if self.config.run.convergence and (self.progress.epoch, self.progress.step) == (0, 0):
                between = partial(self._stop_if_requested, request, folder, self.learner.state())
                self.convergence_before = self._convergence(between)
            while self.progress.epoch < self.config.optim.epochs:
                self._train_epoch(folder, request, say)
                self._say_cuda_graph_status(say)
                state = self._finite_state(folder)
                between = partial(self._stop_if_requested, request, folder, state)
                self.progress = self.group.whole(self.progress, self.learner)
                row = self.trainer.row(self.progress, self._lr(), between=between)
                self._add_convergence(row, between)
                self._add_probes(row, between)
                self.clock.evaluations += 1
                self.clock.evaluation_seconds += row["evaluation_seconds"]
                folder.add_row(row)
                self.progress = self.progress.next_epoch()
                folder.save(state, self._metadata())
                on_epoch(row)
                if self.progress.epoch < self.config.optim.epochs and self.group.stop(request):
                    raise self._interrupted(request, folder)

    def restore(self, folder: record.RunFolder, say: Say) -> bool:
        """Restore the folder's checkpoint, and say where the run continues; False where there is none.

        Raises: UserError for a checkpoint of another run, on other images, or past the run's last epoch.
        """
        checkpoint = folder.checkpoint()
        if checkpoint is None:
            folder.truncate_rows(0)
            say(f"{folder.path} has no checkpoint yet: its run starts anew")
            return False
        arrays, metadata = checkpoint
        file = folder.path / "checkpoint.npz"
        if missing := [name for name in ("config", "images", "progress") if not isinstance(metadata.get(name), dict)]:
            raise UserError(f"{file} does not say its {missing[0]}: it is no run's.")
        check_same(metadata["config"], self.config, folder.path, self.schedule.extends)
        if metadata["images"].get("digest") != self.images["digest"]:
            raise UserError(
                f"the images of {self.dataset.name!r} are not those that {folder.path} was started with: put the old "
                "ones back, or start another run."
            )
        progress, epochs = Progress.from_json(metadata["progress"], str(file)), self.config.optim.epochs
        if progress.epoch > epochs or (progress.epoch == epochs and progress.step):
            raise UserError(f"{folder.path} has trained past epoch {epochs} already: give more --epochs.")
        self.learner.restore(arrays)
        self.trainer.key = self.learner.key
        self.progress = progress
        self.convergence_before = metadata.get("convergence_before")
        if lost := folder.truncate_rows(progress.epoch):
            say(f"{folder.path}/metrics.jsonl has no row of epoch {', '.join(map(str, lost))}")
        say(self._where(folder))
        return True

    def _where(self, folder: record.RunFolder) -> str:
        """The line about where a resumed run continues, or that it is finished."""
        p, epochs, path = self.progress, self.config.optim.epochs, quote(str(folder.path))
        if p.epoch < epochs:
            return f"{folder.path} goes on after {self._done()}"
        command = f"with --resume {path} --epochs {2 * epochs}"
        if not self.schedule.extends:
            command = f"from its weights in a new run: minilocal train --set net.weights={path}"
        return f"{folder.path} is finished: {epochs} of {epochs} epochs. Go on {command}"

    def _train_epoch(self, folder: record.RunFolder, request: StopRequest, say: Say) -> None:
        """Train the rest of the current epoch, one step at a time."""
        p, clock = self.progress, self.clock
        began = last = time.perf_counter()
        step, seconds = p.step, p.seconds

        def count() -> None:
            """Count the steps whose losses are on the host, and the time that they took."""
            nonlocal step, last
            now = time.perf_counter()
            clock.steps_done += p.step - step
            clock.step_seconds += now - last
            p.seconds, step, last = seconds + now - began, p.step, now

        label = f"epoch {p.epoch + 1}/{self.config.optim.epochs}"
        with self._bar(label, self.steps, step) as bar, self._explaining_divergence(folder):
            for synced in self.trainer.train(p, self._lr()):
                stop = self.group.stop(request)  # asked once: what is saved has been synced
                if synced or stop:
                    self.trainer.sync(p)
                    count()
                    left = clock.left(p.epoch, p.step)
                    bar.set_postfix_str(f"{losses_text(p.losses())}, run {duration(left)} left", refresh=False)
                    if line := clock.announce(p.epoch, p.step):
                        with bar.external_write_mode():
                            say(line)
                bar.update()
                if stop:
                    state, self.progress = self._finite_state(folder), self.group.whole(p, self.learner)
                    self._stop(request, folder, state)
            count()

    def _say_cuda_graph_status(self, say: Say) -> None:
        """Say whether steps are recorded, where that has changed: only the second step shows what a GPU refuses."""
        status = self.learner.cuda_graph_status
        if status != self.cuda_graph_status:
            say(status)
        self.cuda_graph_status = status

    @contextmanager
    def _bar(self, label: str, total: int, done: int = 0) -> Iterator[Any]:
        """The progress of one epoch, or of a measurement, on a terminal."""
        from tqdm import tqdm

        off = None if self.bar else True
        with tqdm(total=total, initial=done, desc=label, bar_format=BAR, disable=off, leave=False) as bar:
            yield bar

    def _add_convergence(self, row: Row, between: Callable[[], None]) -> None:
        """Measure convergence after an epoch, where the run asks for it, and add its entries to the row."""
        if not self.config.run.convergence:
            return
        row["convergence"] = self._convergence(between)
        row["evaluation_seconds"] += row["convergence"]["seconds"]
        if self.convergence_before is not None:
            row["convergence_before"], self.convergence_before = self.convergence_before, None

    def _add_probes(self, row: Row, between: Callable[[], None]) -> None:
        """Train linear probes after the last epoch, where the run asks for them, and add their errors to the row."""
        if not self.config.run.probes or row["epoch"] < self.config.optim.epochs:
            return
        began = time.perf_counter()
        row["probe_errors"] = linear_probes(self.learner, self.dataset, between=between)
        row["evaluation_seconds"] += time.perf_counter() - began

    def _convergence(self, between: Callable[[], None]) -> dict[str, Any]:
        """The measurement at the weights as they stand; `between` is called after each of its batches."""
        batches = min(self.config.run.convergence, self.steps)
        with self._bar("convergence", batches) as bar:

            def after_batch() -> None:
                bar.update()
                between()

            return self.trainer.convergence(batches, between=after_batch)

    def _lr(self) -> float:
        return float(self.schedule.lr(self.progress.epoch))

    def _finite_state(self, folder: record.RunFolder) -> dict[str, np.ndarray]:
        """The Learner's state on the host, every number of it finite: nothing else is ever saved."""
        state = self.learner.state()
        if name := not_finite(state):
            raise self._diverged(f"{name} is no longer finite", folder)
        return state

    @contextmanager
    def _explaining_divergence(self, folder: record.RunFolder) -> Iterator[None]:
        """A loss that is not finite ends the run with a remedy."""
        try:
            yield
        except Diverged as error:
            raise self._diverged(str(error), folder) from None

    def _diverged(self, what: str, folder: record.RunFolder) -> UserError:
        p = self.progress
        where = f"in epoch {p.epoch + 1}, step {p.step} of {self.steps} (lr {self._lr():g})"
        return diverged(what, self.config, where, p.epoch, folder.path)

    def _stop_if_requested(self, request: StopRequest, folder: record.RunFolder, state: dict[str, np.ndarray]) -> None:
        if self.group.stop(request):
            self._stop(request, folder, state)

    def _stop(self, request: StopRequest, folder: record.RunFolder, state: dict[str, np.ndarray]) -> NoReturn:
        folder.save(state, self._metadata())
        raise self._interrupted(request, folder)

    def _interrupted(self, request: StopRequest, folder: record.RunFolder) -> Interrupted:
        command = f"minilocal train --resume {quote(str(folder.path))}"
        return Interrupted(f"stopped after {self._done()}, and saved. Go on with: {command}", request.number)

    def _done(self) -> str:
        """`1 of 2 epochs and 2 of 3 steps`."""
        p = self.progress
        step = f" and {p.step} of {self.steps} steps" if p.step else ""
        return f"{p.epoch} of {self.config.optim.epochs} epochs{step}"

    def _metadata(self) -> dict[str, Any]:
        """What a checkpoint holds beside its arrays."""
        metadata = {"progress": asdict(self.progress), "config": tables_of(self.config), "images": self.images}
        before = self.convergence_before
        return metadata if before is None else metadata | {"convergence_before": before}
