"""The PyTorch peer: a Learner's network, rule and optimiser in PyTorch eager, to be measured against.

It starts from the Learner's own weights, so one float64 step of both leaves the same weights (a test holds that). A
step is what a PyTorch user writes:

    BP         loss.backward()
    GLL        for every module: h = f_k(h.detach()); its loss.backward()
    BackLink   as GLL, and E_{k+1} = d L_{k+1} / d h_k goes through the linked units of module k a second time:
               g = a_j g_loc + b_j g_glb

Each module's graph is dropped as soon as its last error has passed, as in the engine, so that memory may be compared.
Nothing here is used to compute anything else; PyTorch is imported when a Peer is built.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from minilocal import interop
from minilocal.bench.torch_layers import Tensor, TorchLayers, Way
from minilocal.boundaries import open as everything
from minilocal.boundaries.base import Boundary
from minilocal.boundaries.link import BackwardLink
from minilocal.engine.module import Module
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.objectives import ClassifierLoss
from minilocal.optim import SGD
from minilocal.rules.when import always

LAYOUTS = ("nchw", "channels_last")


def available() -> bool:
    """Is PyTorch installed? Imports nothing."""
    return importlib.util.find_spec("torch") is not None


def allow_tf32(torch: Any, on: bool) -> None:
    """Whether PyTorch may round the factors of float32 products and convolutions to TF32's 10 bits, in this process."""
    torch.set_float32_matmul_precision("high" if on else "highest")
    torch.backends.cudnn.allow_tf32 = on


class TorchLearner:
    """`Peer(learner)`: the same thing in PyTorch; `step(*peer.batch(x, y), lr)`.

    `layout` is PyTorch's memory format, NCHW or channels last; `tf32` allows TF32 in products and convolutions, for the
    whole process; `autotune` lets cuDNN try its algorithms first.

    Raises: UserError for a rule other than BP, GLL and BackLink with their caches kept, an optimiser other than SGD, a
    layer that is not translated, and an unknown layout.
    """

    def __init__(
        self, learner: Learner, *, device: str = "cpu", layout: str = "nchw", tf32: bool = False, autotune: bool = True
    ) -> None:
        if layout not in LAYOUTS:
            raise UserError(f"layout {layout!r} is not known. Known: {', '.join(LAYOUTS)}.")
        translator = TorchLayers()
        self.torch, self.device, self.boundary = translator.torch, device, _crossing(learner)
        allow_tf32(self.torch, tf32)
        self.torch.backends.cudnn.benchmark = autotune
        self.format = self.torch.channels_last if layout == "channels_last" else self.torch.contiguous_format
        self.dtype = getattr(self.torch, learner.dtype)
        last = len(learner.modules) - 1
        self.modules = [_Module(m, translator, self.boundary, k == last) for k, m in enumerate(learner.modules)]
        self.root = translator.root
        self._load(learner)
        how = _sgd(learner)
        self.optimizer = self.torch.optim.SGD(
            self.root.parameters(), lr=0.0, momentum=how.momentum, weight_decay=how.weight_decay, nesterov=how.nesterov
        )
        for module in self.modules:
            module.find_linked(self.root)

    def _load(self, learner: Learner) -> None:
        weights = interop.to_torch({**learner.parameters(), **learner.buffers()})
        self.root.to(self.dtype)
        found = self.root.load_state_dict({n: self.torch.from_numpy(a) for n, a in weights.items()}, strict=False)
        missing = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
        if missing or found.unexpected_keys:
            raise UserError(f"the PyTorch peer of {learner.net.name} lacks {found.unexpected_keys} or has {missing}.")
        self.root.to(device=self.device, memory_format=self.format)

    def batch(self, x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
        """The engine's images (N, H, W, C) and labels as tensors where the peer lives, in its layout."""
        images = self.torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(self.device, self.dtype)
        labels = self.torch.from_numpy(np.asarray(y, np.int64)).to(self.device)
        return images.contiguous(memory_format=self.format), labels

    def step(self, x: Tensor, y: Tensor, lr: float) -> list[Tensor]:
        """One training step; the losses of the modules that have one, where the peer lives."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        losses = self._together(x, y) if self.boundary.passes_on else self._apart(x, y)
        self.optimizer.step()
        return losses

    def _together(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """BP: the one loss sends its error down the whole network."""
        for module in self.modules:
            for unit in module.units:
                x = unit(x)
        loss = self._loss(self.modules[-1], x, y)
        loss.backward()
        return [loss.detach()]

    def _apart(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """GLL and BackLink: modules cut apart by `detach`; an error that crosses takes its own backward pass."""
        losses, h, below, waiting = [], x, None, None
        for module in self.modules:
            entry = t = h.detach().requires_grad_(below is not None and self.boundary.uses_input_error)
            for unit in module.units[: module.lowest]:
                t = unit(t)
            linked = module.lowest < len(module.units)
            cut = t.detach().requires_grad_() if linked and module.lowest else t  # so that only the range's graph waits
            h = cut
            for unit in module.units[module.lowest :]:
                h = unit(h)
            loss = self._loss(module, h, y)
            losses.append(loss.detach())
            loss.backward(retain_graph=linked)  # g_loc; where units are linked, their graph waits for E_{k+1}
            if cut is not t:
                t.backward(cut.grad)
            del loss, t, cut
            if waiting is not None and below is not None:
                self._from_above(below, waiting, entry.grad)
            below, waiting = module, h if linked else None
        return losses

    def _loss(self, module: _Module, h: Tensor, y: Tensor) -> Tensor:
        assert module.classifier is not None
        return self.torch.nn.functional.cross_entropy(module.classifier(h), y)

    def _from_above(self, module: _Module, h: Tensor, error: Tensor) -> None:
        """E_{k+1} walks down the linked units of module k: g = a_j g_loc + b_j g_glb."""
        globally = self.torch.autograd.grad(h, [w for w, _, _ in module.linked], error)
        for (w, a, b), g in zip(module.linked, globally, strict=True):
            w.grad.mul_(a).add_(g, alpha=b)

    def arrays(self) -> dict[str, np.ndarray]:
        """Parameters and running statistics, by the engine's names and in its layout."""
        return interop.from_torch({name: t.detach().cpu().numpy() for name, t in self.root.state_dict().items()})


class _Module:
    """A module in PyTorch: its units, its classifier, and which of its weights hear the module above."""

    def __init__(self, module: Module, translator: TorchLayers, boundary: Boundary, last: bool) -> None:
        if not isinstance(module.objective, ClassifierLoss | None):
            raise UserError("the PyTorch peer knows modules that classify or want nothing: BP, GLL and BackLink.")
        self.units = [translator.way(unit) for unit in module.units]
        self.classifier: Way | None = translator.way(module.objective.network) if module.objective else None
        self.lowest = len(self.units) - (0 if last else boundary.linked_units(len(self.units)))
        self._above = [
            (name, *boundary.weights(len(self.units) - 1 - u))
            for u in range(self.lowest, len(self.units))
            for name in module.units[u].parameters
        ]
        self.linked: list[tuple[Tensor, float, float]] = []

    def find_linked(self, root: Any) -> None:
        """(weight, a_j, b_j) of every parameter in the range, once the weights lie where they stay."""
        weights = dict(root.named_parameters())
        self.linked = [(weights[name], a, b) for name, a, b in self._above]


def _crossing(learner: Learner) -> Boundary:
    """What crosses, where the peer can do the same."""
    rule = learner.rule
    boundary = rule.boundary
    linked = isinstance(boundary, BackwardLink) and boundary.error == "own"
    known = linked or type(boundary) in (Boundary, type(everything()))
    if not known or rule.when != always() or rule.keep != "caches" or rule.accumulate != 1:
        raise UserError(f"the PyTorch peer has no {rule.name} like this one: it knows BP, GLL and BackLink.")
    return boundary


def _sgd(learner: Learner) -> SGD:
    if not isinstance(learner.optimizer, SGD):
        raise UserError(f"the PyTorch peer has SGD only, and this Learner has {type(learner.optimizer).__name__}.")
    return learner.optimizer
