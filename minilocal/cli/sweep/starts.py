"""The four starts of the same loop: in this process, in several of this machine, under mpiexec, and by Slurm.

`minilocal sweep` and `minilocal reproduce` are two ways to say which runs; from there on they are the same.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minilocal.device import DeviceNotFound, device_namespace
from minilocal.errors import UserError
from minilocal.parallel.environment import local_place, place, started
from minilocal.sweep import Queue, drain, run_workers, slurm
from minilocal.sweep.loop import check_data
from minilocal.sweep.share import PARENT, threads_of, use_device
from minilocal.sweep.state import DONE, FAILED, LEFT
from minilocal.sweep.watch import Watch, counts
from minilocal.sweep.workers import STOPPED, settings
from minilocal.train.stop import Interrupted, StopRequest, stop_on_signal


@dataclass(frozen=True)
class Work:
    """What one command trains.

    record   all cells of the folder
    queue    those of them that this command trains
    machine  keys of [run] that this machine has
    command  the words that go on with it, as ["sweep", "--out", "DIR"]
    results  the text of the results, from the folder
    """

    record: Queue
    queue: Queue
    machine: dict[str, Any]
    devices: Sequence[str]
    jobs: int
    command: Sequence[str]
    results: Callable[[], str]

    def on(self, keys: dict[str, Any]) -> Work:
        """The same with these keys of the machine in the configurations of its cells."""
        return replace(self, queue=self.queue.on(keys))

    def again(self) -> str:
        """The command as it is typed to go on in the same way, with what it says of this machine."""
        threads, processes = int(self.machine.get("run.threads", 0)), max(1, len(self.devices))
        words = [*self.command, *settings(self.machine)]
        words += ["--device", ",".join(self.devices)] if self.devices else []
        words += ["--threads", str(threads)] if threads else []
        words += ["--jobs", str(self.jobs)] if self.jobs != processes else []
        return shlex.join(["minilocal", *words])


def start(work: Work, options: argparse.Namespace) -> int:
    """Train what is left, in the way that the flags and the environment ask for; return the exit status.

    Raises: UserError for a wrong key of this machine, and where the data cannot be had; then nothing has been written.
    """
    Queue(work.queue.path, work.queue.cells[:1]).on(work.machine)
    if options.slurm is None:
        check_data(work.queue)
    with stop_on_signal() as request:
        try:
            if started():
                return as_rank(work, options, request)
            work.record.write()
            if options.retry:
                work.queue.forget_failures()
            if options.slurm is not None:
                return write_script(work, options)
            if work.jobs > 1:
                return by_workers(work, request)
            device = {"run.device": alone(work.devices[0])} if work.devices else {}
            return by_itself(work.on({**work.machine, **device}), request)
        except Interrupted as stop:
            return stopped(work, stop.number)


def alone(device: str) -> str:
    """The name of a device in this process, which sees no other GPU from then on.

    Raises: UserError where the GPU is missing, by the name that was asked for.
    """
    name = use_device(device)
    try:
        device_namespace(name)
    except DeviceNotFound as error:
        if name == device or "CUDA_VISIBLE_DEVICES" not in str(error):
            raise
        raise DeviceNotFound(f"--device {device}: this machine has no GPU of that number ({error})") from None
    return name


def by_itself(work: Work, request: StopRequest, *, threads: int = 0, wait: bool = False, shown: bool = True) -> int:
    """Drain the queue in this process."""
    queue = work.queue
    for device in {cell.config.run.device for cell in queue.cells}:
        device_namespace(device)  # raises where it is missing: before any cell fails by it
    watch = Watch(queue)

    def show() -> None:
        for line in watch.update():
            print(line, flush=True)

    if shown:
        print(f"{queue.path}: {watch.counts()}", flush=True)
    drain(queue, request, threads=threads, bar=shown, wait=wait, on_change=show if shown else lambda: None)
    return _end(work, watch) if shown else 0


def by_workers(work: Work, request: StopRequest) -> int:
    """Drain the queue in several processes of this machine."""
    from tqdm import tqdm

    watch = Watch(work.queue)
    print(f"{work.queue.path}: {watch.counts()}; {work.jobs} processes", flush=True)
    form = "{desc} {percentage:3.0f}%|{bar}| {postfix}"
    with tqdm(total=watch.total(), initial=watch.epochs(), bar_format=form, disable=None, leave=False) as bar:

        def show() -> None:
            for line in watch.update():
                bar.write(line, file=sys.stdout)
                sys.stdout.flush()
            bar.n, bar.total = watch.epochs(), watch.total()
            bar.set_description_str(watch.counts(), refresh=False)
            bar.set_postfix_str(f"{watch.left()} left", refresh=True)

        words = [*work.command, *settings(work.machine)]
        lines = run_workers(words, work.jobs, work.devices, request, show, int(work.machine.get("run.threads", 0)))
    for line in lines:
        print(f"minilocal: {line}", file=sys.stderr)
    return _end(work, watch)


def as_rank(work: Work, options: argparse.Namespace, request: StopRequest) -> int:
    """Drain the queue as one of several processes that mpiexec or srun has started. The first one prints."""
    if options.slurm is not None or options.jobs is not None:
        flag = "--slurm" if options.slurm is not None else "--jobs"
        raise UserError(f"{flag} met {place().size} processes of mpiexec or srun: leave it out.")
    first, local, devices = place().rank == 0, local_place(), work.devices
    if first:
        work.record.write()
        if options.retry:
            work.queue.forget_failures()
    device = {"run.device": alone(devices[local.rank % len(devices)])} if devices else {}
    on_this = work.on({**work.machine, **device})
    return by_itself(on_this, request, threads=threads_of(local.size), wait=first, shown=first)


def write_script(work: Work, options: argparse.Namespace) -> int:
    """Write the array script, and print how to submit it."""
    queue, machine, devices = work.queue, work.machine, work.devices
    if len(devices) > 1:
        raise UserError(f"--slurm met {len(devices)} devices: Slurm gives each task its own GPU. Give --device cuda.")
    left = sum(state.word != DONE for state in queue.states())
    device, threads = devices[0] if devices else "cpu", int(machine.get("run.threads", 0))
    words = [*work.command, *settings(machine), *(["--device", device] if devices else [])]
    words += ["--threads", str(threads)] if threads else []
    text = slurm.script(queue.path, words, left, options.jobs or left, gpu=device.startswith("cuda"), threads=threads)
    file = Path(options.slurm)
    slurm.write(file, text)
    print(f"{file}: {left} of {len(queue.cells)} cells are left. Submit it with: sbatch --time=4:00:00 {file}")
    return 0


def _end(work: Work, watch: Watch) -> int:
    """Print the results, and what is not done; return 1 where a cell failed or is left."""
    watch.update()
    if PARENT not in os.environ:
        print(f"\n{work.results()}")
    words = [state.word for state in watch.states]
    if set(words) != {DONE}:
        retry = f" Failed cells again: {work.again()} --retry" if FAILED in words else ""
        print(f"\n{watch.counts()}.{retry}")
    return int(FAILED in words or LEFT in words)


def stopped(work: Work, number: int) -> int:
    """After a signal: 75 says to a batch system that the same command goes on. Raises: Interrupted after Ctrl-C."""
    line = f"stopped, and saved: {counts(work.queue.states())}. Go on with: {work.again()}"
    if number == signal.SIGINT:
        raise Interrupted(line, number)
    print(f"minilocal: {line}", file=sys.stderr)
    return STOPPED
