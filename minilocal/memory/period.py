"""The bytes of a step over a period of epochs: PGL's global epochs need other bytes than its local ones.

    average = (Q M_global + (P - Q) M_local) / P        Q global epochs in P

The one published average is that of Bhatti and Moon, "Locally Supervised Learning with Periodic Global Guidance",
Table 2. M is the peak of a step in such an epoch. A machine must bear the larger M.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from minilocal import inputs
from minilocal.errors import unknown
from minilocal.memory.estimate import CPU, Machine, estimate
from minilocal.memory.profile import MemoryProfile
from minilocal.nets import Net
from minilocal.optim import Optimizer
from minilocal.rules import Rule
from minilocal.rules.when import MANY, When

PARTS = ("step", "total", *(field.name for field in fields(MemoryProfile) if field.type == "int"))


@dataclass(frozen=True)
class PeriodMemory:
    """Profiles of a step in a local and in a global epoch, and the global epochs' share of all epochs, 0 to 1.

    For a rule whose epochs are alike, both profiles are the same.
    """

    local: MemoryProfile
    guided: MemoryProfile
    share: float

    @property
    def peak(self) -> MemoryProfile:
        """The profile of the epochs whose step takes more bytes."""
        return max(self.local, self.guided, key=lambda profile: profile.step)

    def average(self, part: str = "step") -> float:
        """The bytes of `step`, of `total` or of any field of a profile, averaged over a period.

        Raises: UserError for any other part.
        """
        if part not in PARTS:
            raise unknown("part", part, PARTS)
        local, guided = (float(getattr(profile, part)) for profile in (self.local, self.guided))
        return local + self.share * (guided - local)


def over_period(
    net: Net,
    rule: Rule,
    modules: int | Sequence[int],
    images: int,
    *,
    dtype: str = "float32",
    optimizer: Optimizer | None = None,
    machine: Machine | None = None,
) -> PeriodMemory:
    """The estimates of a step in the local and in the global epochs of a rule, and the share of global epochs.

    The arguments are those of `estimate`.

    Raises: UserError as a `Learner`, where net, rule and modules do not fit.
    """
    machine, when = machine or CPU(), inputs.training_rule(rule).when
    profiles = [
        estimate(net, rule, modules, images, dtype=dtype, optimizer=optimizer, epoch=epoch, machine=machine)
        for epoch in phases(when)
    ]
    return PeriodMemory(profiles[0], profiles[-1], when.global_share)


def phases(when: When) -> dict[int, float]:
    """{the first local epoch: the share of local ones among all, the first global epoch: their share}.

    A phase that does not occur is left out.
    """
    epochs = {when.is_global(epoch): epoch for epoch in reversed(range(MANY))}
    shares = {False: 1 - when.global_share, True: when.global_share}
    return {epochs[is_global]: shares[is_global] for is_global in sorted(epochs)}
