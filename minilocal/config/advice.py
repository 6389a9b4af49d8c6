"""The optimiser and learning rate that a rule recommends, for a configuration that does not set them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from minilocal import rules
from minilocal.config.schema import Config

SGDS = ("optim.momentum", "optim.nesterov")  # options that SGD alone has: setting one of them asks for SGD


def advised(config: Config, asked: Mapping[str, str]) -> tuple[Config, str]:
    """`config` with its rule's recommendation for keys that are not set, and a remark about it.

    `asked` is {"table.key": source} of the keys that are set. The optimiser and the rate are independent: under a rule
    that recommends Adam, --lr alone is Adam's rate. Where another optimiser is set, nothing changes but the remark.
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
            remark = f"it is used, at the {o.lr:g} of {asked['optim.lr']}, since optim.name was not given."
        else:
            o = msgspec.structs.replace(o, lr=best.lr)
            remark = "used, since neither optim.name nor optim.lr (--lr) was given."
        return msgspec.structs.replace(config, optim=o), f"{rule.name} recommends {best.describe()}: {remark}"
    if o.name != best.optimizer:
        why = f"{names[0]} ({asked[names[0]]}) asks for {o.name.upper()}"
        remark = f"{rule.name} recommends {best.describe()}; {why}, under which it may diverge."
        return config, remark
    if "optim.lr" not in asked:
        o = msgspec.structs.replace(o, lr=best.lr)
        remark = f"{rule.name} recommends {best.describe()}: that rate is used, since optim.lr (--lr) was not given."
        return msgspec.structs.replace(config, optim=o), remark
    return config, ""
