"""The rows of `minilocal simulate`: a rule on K modules and P devices, beside BP on one device."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from minilocal import rules, streams
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.nets import Net
from minilocal.optim import SGD
from minilocal.parallel.ranks import owned
from minilocal.parallel.simulate.costs import ModuleCosts, scaled, seconds
from minilocal.parallel.simulate.events import Link
from minilocal.parallel.simulate.measure import Table, measure
from minilocal.parallel.simulate.program import Placement
from minilocal.parallel.simulate.schedule import Schedule, simulate
from minilocal.rules import Rule
from minilocal.split import Modules

EPOCHS = 1000  # of which those are counted that learn from the last loss


@dataclass(frozen=True)
class Row:
    """The schedule of a rule on K modules and P devices, and its step time in units of BP's on one device."""

    label: str
    rule: Rule
    modules: int
    devices: int
    schedule: Schedule
    of_bp: float


class Simulator:
    """Simulations of one network, batch size and link; parts are measured once, into `table`.

    `scale` is what all work takes in units of this machine's: 0.02 on a device that is 50 times as fast. Each device
    has `threads` threads. `split` gives the modules of a rule in K modules, by default an even cut.
    """

    def __init__(
        self,
        net: Net,
        images: int,
        link: Link,
        table: Table,
        *,
        threads: int = 1,
        scale: float = 1.0,
        split: Callable[[Rule, int], Modules] = lambda rule, modules: modules,
        on_part: Callable[[str], None] = lambda form: None,
    ) -> None:
        self.net, self.images, self.link, self.table = net, images, link, table
        self.threads, self.scale, self.split, self.on_part = threads, scale, split, on_part
        self.bp = self.schedule(rules.bp(), 1, 1)

    def costs(self, rule: Rule, modules: int) -> tuple[ModuleCosts, ...]:
        """The costs of the modules of this rule.

        Raises: UserError where net, rule and modules do not fit.
        """
        optimizer = SGD(momentum=0.9, weight_decay=1e-4) if rule.recommends is None else None
        with warnings.catch_warnings(action="ignore"):  # a link that is longer than a module is simulated too
            learner = Learner(self.net, rule, self.split(rule, modules), rng=streams.rng(0), optimizer=optimizer)
        images = -(-self.images // rule.accumulate)  # of a micro-batch
        measured = measure(learner, images, self.table, processor_threads=self.threads, on_part=self.on_part)
        return scaled(measured, self.scale)

    def schedule(self, rule: Rule, modules: int, devices: int) -> Schedule:
        """The schedule; of a rule with global epochs the mean over its epochs.

        Raises: UserError as `costs`, and for more devices than modules.
        """
        if devices > modules:
            raise UserError(f"{devices} processes for {modules} modules: each needs at least one module.")
        costs = self.costs(rule, modules)
        own = owned(seconds(costs), devices)
        state = 2.0 if rule.recommends and rule.recommends.optimizer == "adam" else 1.0
        share = sum(rule.when.is_global(epoch) for epoch in range(EPOCHS)) / EPOCHS if rule.when.guided else 0.0
        phases = {False: 1 - share, True: share}
        return mean(
            [
                (simulate(Placement(rule, costs, own, is_global, state), self.link), part)
                for is_global, part in phases.items()
                if part > 0
            ]
        )

    def rows(self, chosen: dict[str, Rule], modules: Sequence[int], devices: int | None) -> Iterator[Row]:
        """A row for each number of modules and each rule; one device a module, or as many as `devices`."""
        for K in modules:
            for label, rule in chosen.items():
                P = K if devices is None else devices
                schedule = self.schedule(rule, K, P)
                yield Row(label, rule, K, P, schedule, schedule.step / self.bp.step)


def mean(phases: Sequence[tuple[Schedule, float]]) -> Schedule:
    """The mean of schedules by their shares of all steps; memory is the most, and the bars are those of the first."""
    first = phases[0][0]
    if len(phases) == 1:
        return first
    step = sum(part * s.step for s, part in phases)

    def of_time(name: str) -> tuple[float, ...]:
        values = zip(*(getattr(s, name) for s, _ in phases), strict=True)
        weights = [part * s.step / step for s, part in phases]
        return tuple(sum(w * v for w, v in zip(weights, device, strict=True)) for device in values)

    nbytes = sum(part * s.nbytes for s, part in phases)
    memory = tuple(max(device) for device in zip(*(s.memory for s, _ in phases), strict=True))
    return Schedule(step, of_time("busy"), of_time("messages"), nbytes, memory, first.bars)
