"""The optimiser and learning rate that a rule recommends, where the configuration was given none."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from minilocal import rules
from minilocal.config.schema import Config

SGDS = ("optim.momentum", "optim.nesterov")  # whoever gives one of these asks for SGD


def advised(config: Config, asked: Mapping[str, str]) -> tuple[Config, str]:
    """`config` with what its rule recommends for keys that were not asked for, and a line that says so.

    `asked` is {"table.key": where it was asked}. The optimiser and the rate are asked for one by one: under a rule that
    recommends Adam, --lr alone is Adam's rate. Where another optimiser is asked for nothing changes, and the line says
    what is recommended.
    """
    rule = rules.get(config.rule.name, **config.rule.options)
    if (best := rule.recommends) is None:
        return config, ""
    o, names = config.optim, [key for key in ("optim.name", *SGDS) if key in asked]
    if not names:
        if o.name != best.optimizer:
            o = msgspec.structs.replace(o, name=best.optimizer, momentum=None)
        elif "optim.lr" in asked:
            return config, ""
        if "optim.lr" in asked:
            said = f"it is used, at the {o.lr:g} of {asked['optim.lr']}, since optim.name was not given."
        else:
            o = msgspec.structs.replace(o, lr=best.lr)
            said = "used, since neither optim.name nor optim.lr (--lr) was given."
        return msgspec.structs.replace(config, optim=o), f"{rule.name} recommends {best.describe()}: {said}"
    if o.name != best.optimizer:
        why = f"{names[0]} ({asked[names[0]]}) asks for {o.name.upper()}"
        said = f"{rule.name} recommends {best.describe()}; {why}, under which it may diverge."
        return config, said
    if "optim.lr" not in asked:
        o = msgspec.structs.replace(o, lr=best.lr)
        said = f"{rule.name} recommends {best.describe()}: that rate is used, since optim.lr (--lr) was not given."
        return msgspec.structs.replace(config, optim=o), said
    return config, ""
