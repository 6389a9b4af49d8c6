"""The loop over epochs, and the checkpoint from which it goes on after any stop.

All chance is named by (key, purpose, epoch, step), so a checkpoint holds arrays and counters only, and a resumed run
sees the batches that it would have seen: on the CPU it ends with the same weights to the last bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache, partial
from shlex import quote
from typing import Any

import numpy as np

from minilocal import data, record
from minilocal.array import Array, namespace, to_host
from minilocal.config import Config, tables_of
from minilocal.data import DataSet
from minilocal.device import to_device
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.train.build import schedule
from minilocal.train.clock import Clock, duration
from minilocal.train.divergence import diverged, not_finite, suspect, with_losses
from minilocal.train.evaluate import Images, answers, error, predict
from minilocal.train.progress import Progress, losses_text
from minilocal.train.same_run import check_same, digest
from minilocal.train.stop import Interrupted, StopRequest

VISIT = {"cpu": 1}  # steps between two visits home with the losses: on a device each one would be a wait
SELDOM = 32
BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"

Report = Callable[[dict[str, Any]], None]
Say = Callable[[str], None]


class Loop:
    """One run under way: what is trained, on what, and how far it has come. `bar` asks for a progress bar."""

    def __init__(self, config: Config, dataset: DataSet, learner: Learner, *, bar: bool = True) -> None:
        self.config, self.dataset, self.learner, self.bar = config, dataset, learner, bar
        self.progress, self.schedule = Progress(), schedule(config)
        d, device = dataset, config.run.device
        self.x, self.y = to_device(d.train_x, device), to_device(d.train_y, device)
        self.judged = {
            part: (to_device(x, device), y)
            for part, x, y in (("validation", d.validation_x, d.validation_y), ("test", d.test_x, d.test_y))
            if x is not None and y is not None
        }
        self.steps = -(-len(dataset.train_y) // config.optim.batch_size)
        learner.rule.check_batches(self.steps * config.optim.epochs, len(learner.modules))
        self.images = {**Images.of(dataset).told(), "digest": digest(dataset)}
        self.clock = Clock(config.optim.epochs, self.steps)

    def go(self, folder: record.RunFolder, wish: StopRequest, on_epoch: Report, say: Say) -> None:
        """Trains from where the counters stand to the last epoch.

        The row is written before the checkpoint: a row that is ahead is cut on resuming, a missing one would be lost.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is found, and said once, by _settle
            self._go(folder, wish, on_epoch, say)

    def _go(self, folder: record.RunFolder, wish: StopRequest, on_epoch: Report, say: Say) -> None:
        while self.progress.epoch < self.config.optim.epochs:
            self._train_epoch(folder, wish, say)
            state = self._state(folder)
            row = self._row(between=partial(self._stop_if, wish, folder, state))
            folder.add_row(row)
            self.progress = self.progress.next_epoch()
            folder.save(state, self._told())
            on_epoch(row)
            if wish.stop and self.progress.epoch < self.config.optim.epochs:
                raise self._interrupted(folder)

    def restore(self, folder: record.RunFolder, say: Say) -> bool:
        """Takes over the folder's checkpoint, and says where the run goes on; False where there is none.

        Raises: UserError for a checkpoint of another run, on other images, or past the run's last epoch.
        """
        found = folder.checkpoint()
        if found is None:
            folder.cut_rows(0)
            say(f"{folder.path} has no checkpoint yet: its run starts anew")
            return False
        arrays, told = found
        file = folder.path / "checkpoint.npz"
        if missing := [name for name in ("config", "images", "progress") if not isinstance(told.get(name), dict)]:
            raise UserError(f"{file} does not say its {missing[0]}: it is no run's.")
        check_same(told["config"], self.config, folder.path, self.schedule.extends)
        if told["images"].get("digest") != self.images["digest"]:
            raise UserError(
                f"the images of {self.dataset.name!r} are not those that {folder.path} was started with: put the old "
                "ones back, or start another run."
            )
        progress, epochs = Progress.read(told["progress"], str(file)), self.config.optim.epochs
        if progress.epoch > epochs or (progress.epoch == epochs and progress.step):
            raise UserError(f"{folder.path} has trained past epoch {epochs} already: give more --epochs.")
        self.learner.restore(arrays)
        self.progress = progress
        if lost := folder.cut_rows(progress.epoch):
            say(f"{folder.path}/metrics.jsonl has no row of epoch {', '.join(map(str, lost))}")
        step = f" and {progress.step} of {self.steps} steps" if progress.step else ""
        if progress.epoch < epochs:
            say(f"{folder.path} goes on after {progress.epoch} of {epochs} epochs{step}")
        else:
            how = f"with --resume {quote(str(folder.path))} --epochs {2 * epochs}"
            if not self.schedule.extends:
                how = f"from its weights in a new run: minilocal train --set net.weights={quote(str(folder.path))}"
            say(f"{folder.path} is finished: {epochs} of {epochs} epochs. Go on {how}")
        return True

    def _train_epoch(self, folder: record.RunFolder, wish: StopRequest, say: Say) -> None:
        """The rest of the epoch under way, one batch after the other."""
        p, clock = self.progress, self.clock
        self.learner.epoch = p.epoch
        pending: list[tuple[Array, int]] = []  # losses that are still where they were made
        visit = VISIT.get(self.config.run.device, SELDOM)
        began = last = time.perf_counter()
        before, seconds = p.step, p.seconds

        def settle() -> None:
            nonlocal last
            clock.done += len(pending)
            self._settle(pending, folder)
            now = time.perf_counter()
            clock.trained += now - last
            p.seconds, last = seconds + now - began, now

        with self._bar(before) as bar:
            for _, x, y in self._batches():
                pending.append((self.learner.step(x, y, lr=self._lr()), len(y)))
                if len(pending) == visit or wish.stop:
                    settle()
                    left = clock.left(p.epoch, p.step)
                    bar.set_postfix_str(f"{losses_text(p.losses())}, run {duration(left)} left", refresh=False)
                    if line := clock.announce(p.epoch, p.step):
                        with bar.external_write_mode():
                            say(line)
                bar.update()
                if wish.stop:
                    settle()
                    self._stop_if(wish, folder, self._state(folder))
            settle()

    @contextmanager
    def _bar(self, step: int) -> Iterator[Any]:
        """The progress of one epoch, on a terminal."""
        from tqdm import tqdm

        label, off = f"epoch {self.progress.epoch + 1}/{self.config.optim.epochs}", None if self.bar else True
        with tqdm(total=self.steps, initial=step, desc=label, bar_format=BAR, disable=off, leave=False) as bar:
            yield bar

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

    def _settle(self, pending: list[tuple[Array, int]], folder: record.RunFolder) -> None:
        """Brings these steps' losses home, and stops the run where one tells that it has diverged.

        NaN is believed only if the steps have left numbers that are not finite: a worker that was not drawn has no loss
        either. That is looked up once, since it copies the whole state to the host.
        """
        if not pending:
            return
        is_finite = cache(lambda: not not_finite(self.learner.state()))
        rows, may = [losses for losses, _ in pending], with_losses(self.learner)
        home = to_host(namespace(*rows).stack(rows))  # one visit for all of them
        for values, (_, images) in zip(home, pending, strict=True):
            losses = values.tolist()
            k = suspect(losses, may, self.progress.counts)
            if k is not None and (np.isinf(losses[k]) or not is_finite()):
                self.progress.step += 1
                raise self._diverged(f"the loss of module {k + 1} of {len(losses)} became {losses[k]}", folder)
            self.progress.add(values, images)
        pending.clear()

    def _state(self, folder: record.RunFolder) -> dict[str, np.ndarray]:
        """The Learner's state on the host, every number of it finite: nothing else is ever saved."""
        state = self.learner.state()
        if name := not_finite(state):
            raise self._diverged(f"{name} is no longer finite", folder)
        return state

    def _diverged(self, what: str, folder: record.RunFolder) -> UserError:
        p = self.progress
        where = f"in epoch {p.epoch + 1}, step {p.step} of {self.steps} (lr {self._lr():g})"
        return diverged(what, self.config, where, p.epoch, folder.path)

    def _row(self, *, between: Callable[[], None]) -> dict[str, Any]:
        """The row of the epoch just trained: each module's mean loss and test error, seconds of its steps and of this.

        Errors are in percent, None for a module without a classifier of its own; the last module's is the network's.
        """
        p, run = self.progress, self.config.run
        row: dict[str, Any] = {"epoch": p.epoch + 1, "lr": self._lr(), "losses": p.losses()}
        how: dict[str, Any] = {"device": run.device, "dtype": run.dtype, "between": between}
        began = time.perf_counter()
        for part, (x, y) in self.judged.items():
            if part == "test":
                row["local_errors"] = answers(self.learner, x, self.dataset, **how).errors(y)
                row["test_error"] = row["local_errors"][-1]
            else:
                row[f"{part}_error"] = error(predict(self.learner, x, self.dataset, **how), y)
        seconds = time.perf_counter() - began
        self.clock.evaluated += 1
        self.clock.judged += seconds
        return {**row, "seconds": p.seconds, "evaluation_seconds": seconds}

    def _stop_if(self, wish: StopRequest, folder: record.RunFolder, state: dict[str, np.ndarray]) -> None:
        if wish.stop:
            folder.save(state, self._told())
            raise self._interrupted(folder)

    def _interrupted(self, folder: record.RunFolder) -> Interrupted:
        p = self.progress
        step = f" and {p.step} of {self.steps} steps" if p.step else ""
        return Interrupted(
            f"stopped after {p.epoch} of {self.config.optim.epochs} epochs{step}, and saved. "
            f"Go on with: minilocal train --resume {quote(str(folder.path))}"
        )

    def _told(self) -> dict[str, Any]:
        """The checkpoint's text."""
        return {"progress": asdict(self.progress), "config": tables_of(self.config), "images": self.images}
