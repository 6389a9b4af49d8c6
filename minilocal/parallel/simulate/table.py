"""The rows of `minilocal simulate`: a rule on K modules and P devices, beside BP on one device."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from minilocal import costs, optim, rules, streams
from minilocal.costs import Costs
from minilocal.costs.parts import Parts
from minilocal.costs.passes import work
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.nets import Net
from minilocal.parallel.ranks import owned
from minilocal.parallel.simulate.costs import ModuleCosts, scaled, seconds
from minilocal.parallel.simulate.events import Link
from minilocal.parallel.simulate.measure import MOMENTUM, Measure, Table
from minilocal.parallel.simulate.program import Placement
from minilocal.parallel.simulate.schedule import Schedule, simulate
from minilocal.rules import Rule
from minilocal.split import Modules


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
    has `threads` threads. `balance` cuts a network into modules of equal "time", "memory" or "flops".
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
        balance: str | None = None,
        on_part: Callable[[str], None] = lambda form: None,
    ) -> None:
        self.net, self.images, self.link, self.table = net, images, link, table
        self.threads, self.scale, self.balance, self.on_part = threads, scale, balance, on_part
        self.bp = self.schedule(rules.bp(), 1, 1)

    def costs(self, rule: Rule, modules: int) -> tuple[ModuleCosts, ...]:
        """The costs of the modules of this rule.

        Raises: UserError where net, rule and modules do not fit.
        """
        adam = rule.recommends is not None and rule.recommends.optimizer == "adam"
        optimizer = optim.Adam() if adam else MOMENTUM
        micro_batch = -(-self.images // rule.accumulate)
        measure = Measure(
            self.net,
            micro_batch,
            self.table,
            optimizer=optimizer,
            processor_threads=self.threads,
            on_part=self.on_part,
        )
        with warnings.catch_warnings(action="ignore"):  # a link that is longer than a module is simulated too
            learner = Learner(self.net, rule, self._cut(rule, modules, measure), rng=streams.rng(0))
        return scaled(measure.modules(learner.modules), self.scale)

    def _cut(self, rule: Rule, modules: int, measure: Measure) -> Modules:
        """The numbers of units of the modules; "time" by the seconds that are simulated with."""
        if self.balance is None:
            return modules
        if self.balance == "time":
            return Costs("time", modules, *work(Parts(self.net, rule, modules), measure)).cut()
        return costs.measure(self.net, rule, modules, self.balance, images=self.images).cut()

    def schedule(self, rule: Rule, modules: int, devices: int) -> Schedule:
        """The schedule; of a rule with global epochs the mean over its epochs.

        Raises: UserError as `costs`, and for more devices than modules.
        """
        if devices > modules:
            raise UserError(f"{devices} processes for {modules} modules: each needs at least one module.")
        modules_costs = self.costs(rule, modules)
        own = owned(seconds(modules_costs), devices)
        state = 2.0 if rule.recommends and rule.recommends.optimizer == "adam" else 1.0
        phases = {False: 1 - rule.when.global_share, True: rule.when.global_share}
        return mean(
            [
                (simulate(Placement(rule, modules_costs, own, is_global, state), self.link), part)
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
