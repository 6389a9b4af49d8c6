"""Checks of a Learner's arguments. Each raises a UserError of one line, and nothing has changed then.

The check of a batch's numbers is their least and largest, on the host. On a device it would wait for the device, so
there it is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

import numpy as np

from minilocal import optim
from minilocal.array import Array, namespace, to_host
from minilocal.errors import UserError, call_it, nearest, shown, whole
from minilocal.nets import NAMES, Net
from minilocal.optim import Optimizer
from minilocal.rules import Rule

PRECISIONS = ("float32", "float64")
LARGEST = {"float32": 1e15, "float64": 1e150}  # of images: their squares, summed over a batch, stay in the type
ELSEWHERE = (("shortcut.", "downsample."), ("downsample.", "shortcut."), ("module.", ""), ("linear.", "fc."))

# ---------------------------------------------------------------------- what a Learner is built from


def network(net: Any) -> Net:
    """`net`, if it is a network."""
    if isinstance(net, Net):
        return net
    known = isinstance(net, str) and net in NAMES
    instead = (
        f"minilocal.nets.get({net!r}, rng=minilocal.rng(0))" if known else "one of minilocal.nets, or your own Net"
    )
    raise UserError(f"net {net!r} is no network{call_it(net)}: give {instead}.")


def training_rule(rule: Any) -> Rule:
    """`rule`, if it is a rule."""
    if isinstance(rule, Rule):
        return rule
    if hint := call_it(rule):
        raise UserError(f"rule {getattr(rule, '__name__', rule)!r} is no rule yet{hint}.")
    raise UserError(f"rule {rule!r} is no rule: give minilocal.rules.get({rule!r}), or any other Rule.")


def precision(dtype: Any) -> str:
    """ "float32" or "float64", from a name or one of NumPy's types."""
    try:
        name = "none" if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in PRECISIONS:
        raise UserError(f"dtype {dtype!r} is not known. Known: {', '.join(PRECISIONS)}.")
    return name


def device(device: Any) -> Any:
    """`device`, if it can be one: a name, or an array library."""
    if isinstance(device, str) or hasattr(device, "asarray"):
        return device
    raise UserError(f"device {device!r} is not known. Known: cpu, cuda, cuda:N.")


def recipe(optimizer: Any, rule: Rule) -> Optimizer:
    """`optimizer`, if it is one; for None the rule's recommendation, or else SGD."""
    if optimizer is None:
        return optim.get(rule.recommends.optimizer if rule.recommends else "sgd")
    if isinstance(optimizer, type) or not callable(getattr(optimizer, "update", None)):
        named = getattr(optimizer, "__name__", optimizer)
        hint = call_it(optimizer) or ": give minilocal.optim.SGD(momentum=0.9), or minilocal.optim.Adam()"
        raise UserError(f"optimizer {named!r} is no optimiser{hint}.")
    checked: Optimizer = optimizer
    return checked


def check_learner(what: str, learner: Any) -> None:
    """Raises: UserError for anything but a Learner; `what` names the function that was called."""
    if not callable(getattr(learner, "predict", None)) or isinstance(learner, type):
        hint = call_it(learner) or ": give minilocal.Learner(net, rule, modules, rng=rng)"
        raise UserError(f"{what} was given a {type(learner).__name__} for the Learner{hint}.")


# ---------------------------------------------------------------------- a batch, and a rate


def images(x: Any, net: Net, dtype: str, like: Array) -> Array:
    """x (N, H, W, C), checked, in the Learner's type; `like` is an array of its library."""
    _is_array("images", x, ", channels last: x.permute(0, 2, 3, 1).numpy()")
    shape = net.shape
    if tuple(x.shape[1:]) != shape:
        channels_first = len(x.shape) == 4 and (*x.shape[2:], x.shape[1]) == shape
        hint = ": these are channels first; use x.transpose(0, 2, 3, 1)" if channels_first else ""
        takes = f"(N, {', '.join(map(str, shape))})"
        raise UserError(f"images {tuple(x.shape)} met {net.name}, which takes {takes}{hint}.")
    if x.shape[0] == 0:
        raise UserError("a batch of no images: give at least one.")
    if x.dtype.kind != "f":
        instead = "minilocal.data.DataSet.normalise"
        raise UserError(f"images are {x.dtype}: normalise them to {dtype} first, as {instead} does.")
    namespace(x, like)
    _is_beside("images", x, like)
    if isinstance(x, np.ndarray):
        _within_range(np.asarray(x), dtype)
    return x if str(x.dtype) == dtype else x.astype(dtype)


def _within_range(x: np.ndarray, dtype: str) -> None:
    """Check that every number of the images is finite, and that batch norm and losses can square it."""
    with np.errstate(invalid="ignore"):  # of a NaN, which both comparisons refuse
        if -LARGEST[dtype] <= float(x.min()) and float(x.max()) <= LARGEST[dtype]:
            return
        at = tuple(int(i) for i in np.argwhere(~(abs(x.astype(np.float64)) <= LARGEST[dtype]))[0])
    limit = f"beyond ±{LARGEST[dtype]:g}: normalise them" if np.isfinite(x[at]) else "every number must be finite"
    raise UserError(f"images hold {x[at]:g} at {at}: {limit}.")


def labels(y: Any, x: Array, classes: int) -> Array:
    """y (N,), checked against the images x; its range on the host only."""
    _is_array("labels", y, ": y.numpy()")
    N = x.shape[0]
    if tuple(y.shape) != (N,):
        raise UserError(f"labels {tuple(y.shape)} met {N} images: give one label an image, shape ({N},).")
    if y.dtype.kind not in "iu":
        raise UserError(f"labels are {y.dtype}: give whole numbers from 0 to {classes - 1}.")
    namespace(x, y)
    _is_beside("labels", y, x)
    if isinstance(y, np.ndarray) and (y.min() < 0 or y.max() >= classes):
        wrong = int(y.min()) if y.min() < 0 else int(y.max())
        raise UserError(f"label {wrong} met a network of {classes} classes: labels run from 0 to {classes - 1}.")
    return y


def _is_array(what: str, a: Any, torch: str) -> None:
    if type(a).__module__.partition(".")[0] == "torch":
        raise UserError(f"{what} came as a torch.{type(a).__name__}: give a NumPy array{torch}.")
    if not hasattr(a, "dtype"):
        raise UserError(f"{what} came as a {type(a).__name__}: give an array, as numpy.asarray makes one.")


def _is_beside(what: str, a: Any, like: Any) -> None:
    other, own = getattr(a, "device", None), getattr(like, "device", None)
    if other != own:
        raise UserError(
            f"{what} on {other} met arrays on {own}: move them, minilocal.to_device({what}, learner.device)."
        )


def finite(a: Any, dtype: Any) -> bool:
    """Whether every number of a host array is finite as `dtype`. True for arrays on a device, which are not checked."""
    if not isinstance(a, np.ndarray) or a.dtype.kind != "f":
        return True
    with np.errstate(all="ignore"):
        return bool(np.isfinite(a.astype(dtype, copy=False)).all())


def rate(lr: Any) -> float:
    """A learning rate as a Python float, since a NumPy number would widen float32."""
    try:
        value = inf if isinstance(lr, (str, bytes, bool)) else float(lr)
    except (TypeError, ValueError, OverflowError):
        value = inf
    if not 0 <= value < inf:
        raise UserError(f"lr = {shown(lr)}: give a learning rate, a finite number of 0 or more.")
    return value


def epoch(number: Any) -> int:
    """An epoch's number, a Python int."""
    return whole("epoch", number, 0)


# ---------------------------------------------------------------------- weights, and a state to go on from


def weights(loaded: Mapping[str, Any], arrays: Mapping[str, Array], net: str) -> None:
    """Check that these parameters and running statistics can be loaded into `arrays`."""
    if not isinstance(loaded, Mapping):
        raise UserError(f"load takes {{name: array}}, not a {type(loaded).__name__}: give a dict. Nothing was loaded.")
    for name, a in loaded.items():
        fits(name, a, arrays, net)
        if not finite(a, arrays[name].dtype):
            raise UserError(f"{name!r} holds numbers that are not finite as {arrays[name].dtype}. Nothing was loaded.")


def fits(name: str, a: Any, arrays: Mapping[str, Array], net: str) -> None:
    """Check that `a` is an array of the name and the shape of one in `arrays`."""
    if name not in arrays:
        raise UserError(f"{net} has no array {name!r}{_meant(name, arrays)} Nothing was loaded.")
    if type(a).__module__.partition(".")[0] == "torch":
        raise UserError(
            f"{name!r} is a torch.{type(a).__name__}: give minilocal.interop.from_torch(model.state_dict()). "
            "Nothing was loaded."
        )
    if not hasattr(a, "dtype") or a.dtype.kind != "f":
        what = getattr(a, "dtype", type(a).__name__)
        raise UserError(f"{name!r} is a {what}: give an array of floating-point numbers. Nothing was loaded.")
    shape, own = tuple(a.shape), tuple(arrays[name].shape)
    if shape == own:
        return
    if shape == (own[3:] + own[2:3] + own[:2] if len(own) == 4 else own[::-1]):
        raise UserError(
            f"{name!r} is {shape}, which is PyTorch's layout of {own}: give what minilocal.interop.from_torch makes "
            "of these arrays. Nothing was loaded."
        )
    raise UserError(
        f"{name!r} is {shape}, but {own} in this {net}: these weights belong to another network. Nothing was loaded."
    )


def _meant(name: str, known: Mapping[str, Array]) -> str:
    """The end of a sentence about an unknown name: its counterpart in another code's naming, or the nearest name."""
    for foreign, own in ELSEWHERE:
        if (other := str(name).replace(foreign, own, 1)) != name and other in known:
            return f"; did you mean {other!r}?"
    return nearest(name, known)


COUNTERS = ("count:key", "count:epoch", "count:steps", "count:lr")
OptimizerStates = dict[str, dict[str, Any]]  # {parameter: {name: array or counter}}


class SavedState(NamedTuple):
    """A `Learner.state()` by kind. What is in flight is the engine's to check."""

    arrays: dict[str, Any]
    optimizer_states: OptimizerStates
    in_flight: dict[str, Any]
    counters: tuple[int, int, int, float]  # key, epoch, steps, lr


def state(
    saved: Mapping[str, Any],
    arrays: Mapping[str, Array],
    parameters: Mapping[str, Array],
    net: str,
    *,
    diverged: bool = False,
) -> SavedState:
    """A `Learner.state()`, checked but for what is in flight. One that has `diverged` may hold any numbers."""
    if not isinstance(saved, Mapping):
        raise UserError(f"restore was given a {type(saved).__name__}: give a Learner.state().")
    kinds: dict[str, dict[str, Any]] = {"array": {}, "optim": {}, "flight": {}}
    dtype = next(iter(arrays.values())).dtype
    for entry, a in saved.items():
        if not isinstance(entry, str) or not hasattr(a, "dtype"):
            raise UserError(f"{entry!r} is a {type(a).__name__}, not an array: this is no Learner.state().")
        if not (diverged or finite(a, dtype)):
            raise UserError(f"{entry!r} holds numbers that are not finite: that training had diverged.")
        kind, _, name = entry.partition(":")
        if kind not in kinds and entry not in COUNTERS:
            raise UserError(f"this checkpoint holds {entry!r}, which no Learner.state() has: leave it out.")
        kinds.get(kind, {})[name] = a
    if missing := [name for name in arrays if name not in kinds["array"]]:
        more = len(missing) - 1
        raise UserError(f"this checkpoint lacks {missing[0]!r} and {more} more: it is of another network or rule.")
    for name, a in kinds["array"].items():
        fits(name, a, arrays, net)
    states = optimiser_state(kinds["optim"], parameters)
    return SavedState(kinds["array"], states, kinds["flight"], counters(saved))


def optimiser_state(saved: Mapping[str, Any], parameters: Mapping[str, Array]) -> OptimizerStates:
    """{parameter: {name: array or counter}} out of a state's entries, each an array like its parameter or a number."""
    states: OptimizerStates = {}
    for entry, a in saved.items():
        parameter, _, key = entry.rpartition(":")
        if parameter not in parameters:
            raise UserError(
                f"this checkpoint holds {entry!r}, and there is no such parameter: it is of another network."
            )
        w = parameters[parameter]
        if a.ndim and (tuple(a.shape) != tuple(w.shape) or a.dtype.kind != "f"):
            raise UserError(
                f"{entry!r} is {a.dtype} {tuple(a.shape)}, but its parameter {w.dtype} {tuple(w.shape)}: this "
                "checkpoint is of another network, or damaged."
            )
        states.setdefault(parameter, {})[key] = a if a.ndim else _counter(entry, a)
    return states


def counters(saved: Mapping[str, Any]) -> tuple[int, int, int, float]:
    """(key, epoch, steps, lr) of a state."""
    try:
        key, at, steps = (_counter(entry, saved[entry]) for entry in COUNTERS[:3])
        lr = to_host(saved[COUNTERS[3]])
    except KeyError as missing:
        raise UserError(f"this checkpoint lacks {missing}: it is damaged.") from None
    if lr.ndim or lr.dtype.kind not in "fiu":
        raise UserError(f"'count:lr' is {lr!r}, no learning rate: this checkpoint is damaged.")
    return key, at, steps, rate(lr)


def _counter(entry: str, a: Any) -> int:
    number = to_host(a)
    if number.ndim or number.dtype.kind not in "iu" or number < 0:
        raise UserError(f"{entry!r} is {number!r}, not a whole number: this checkpoint is damaged.")
    return int(number)
