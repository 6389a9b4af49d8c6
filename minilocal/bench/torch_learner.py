"""A Learner in PyTorch eager, to be timed beside it: the same network, rule, optimiser and weights.

After one float64 step of both, the weights are equal (a test holds that). A step is what a PyTorch user writes:

    BP         loss.backward()
    GLL        for every module: h = f_k(h.detach()); its loss.backward()
    BackLink   as GLL, and E_{k+1} = ∂L_{k+1}/∂h_k is propagated through the linked units of module k too:
               g = a_j g_loc + b_j g_glb

Each module's graph is dropped as soon as its last error has passed, as in minilocal, so that memory can be compared.
PyTorch is imported when a TorchLearner is built, and only measured: no result depends on it.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from minilocal import interop
from minilocal.bench.torch_layers import Forward, Tensor, TorchLayers
from minilocal.boundaries.base import Boundary
from minilocal.engine.module import Module
from minilocal.errors import UserError
from minilocal.learner import Learner
from minilocal.objectives import ClassifierLoss
from minilocal.optim import SGD
from minilocal.rules.when import always

LAYOUTS = ("nchw", "channels_last")


def available() -> bool:
    """Whether PyTorch is installed. Imports nothing."""
    return importlib.util.find_spec("torch") is not None


def versions() -> dict[str, Any]:
    """The versions of PyTorch and of its cuDNN (None without a GPU)."""
    import torch

    return {"torch": torch.__version__, "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None}


def allow_tf32(torch: Any, on: bool) -> None:
    """Let PyTorch round the factors of float32 products and convolutions to TF32's 10 bits, or not: process-wide."""
    torch.set_float32_matmul_precision("high" if on else "highest")
    torch.backends.cudnn.allow_tf32 = on


class TorchLearner:
    """The same learner in PyTorch: `t = TorchLearner(learner)`, then `t.step(*t.batch(x, y), lr)` and `t.predict(x)`.

    layout     PyTorch's memory format: NCHW ("nchw") or channels last ("channels_last")
    tf32       whether products and convolutions may use TF32, in the whole process
    autotune   whether cuDNN tries its algorithms first

    Raises: UserError for a rule other than BP, GLL and BackLink with their caches kept, an optimiser other than SGD, a
    layer without a PyTorch form, and an unknown layout.
    """

    def __init__(
        self, learner: Learner, *, device: str = "cpu", layout: str = "nchw", tf32: bool = False, autotune: bool = True
    ) -> None:
        if layout not in LAYOUTS:
            raise UserError(f"layout {layout!r} is not known. Known: {', '.join(LAYOUTS)}.")
        torch_layers = TorchLayers()
        self.torch, self.root, self.device = torch_layers.torch, torch_layers.root, device
        self.boundary = _boundary(learner)
        allow_tf32(self.torch, tf32)
        self.torch.backends.cudnn.benchmark = autotune
        self.format = self.torch.channels_last if layout == "channels_last" else self.torch.contiguous_format
        self.dtype = getattr(self.torch, learner.dtype)
        last = len(learner.modules) - 1
        self.modules = [
            _TorchModule(module, torch_layers, self.boundary, k == last) for k, module in enumerate(learner.modules)
        ]
        self._load(learner)
        sgd = _sgd(learner)
        self.optimizer = self.torch.optim.SGD(
            self.root.parameters(), lr=0.0, momentum=sgd.momentum, weight_decay=sgd.weight_decay, nesterov=sgd.nesterov
        )
        for module in self.modules:
            module.find_linked(self.root)

    def _load(self, learner: Learner) -> None:
        weights = interop.to_torch({**learner.parameters(), **learner.buffers()})
        self.root.to(self.dtype)
        keys = self.root.load_state_dict({n: self.torch.from_numpy(a) for n, a in weights.items()}, strict=False)
        missing = [name for name in keys.missing_keys if not name.endswith("num_batches_tracked")]
        if missing or keys.unexpected_keys:
            raise UserError(f"TorchLearner of {learner.net.name} lacks {keys.unexpected_keys} or has {missing}.")
        self.root.to(device=self.device, memory_format=self.format)

    def batch(self, x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
        """Images (N, H, W, C) and labels (N,) as tensors on the device, images (N, C, H, W) in the layout."""
        images = self.torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(self.device, self.dtype)
        labels = self.torch.from_numpy(np.asarray(y, np.int64)).to(self.device)
        return images.contiguous(memory_format=self.format), labels

    def step(self, x: Tensor, y: Tensor, lr: float) -> list[Tensor]:
        """One training step. Returns the losses of the modules that have one, on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        losses = self._backpropagate(x, y) if self.boundary.passes_on else self._learn_locally(x, y)
        self.optimizer.step()
        return losses

    def predict(self, x: Tensor) -> Tensor:
        """Logits (N, classes) in evaluation mode, as `Learner.predict`: running statistics, no dropout, no graph."""
        self.root.eval()
        with self.torch.inference_mode():
            for module in self.modules:
                for unit in module.units:
                    x = unit(x)
            assert module.classifier is not None
            z = module.classifier(x)
        self.root.train()
        return z

    def _backpropagate(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """BP: the error of the one loss goes through the whole network."""
        for module in self.modules:
            for unit in module.units:
                x = unit(x)
        loss = self._loss(self.modules[-1], x, y)
        loss.backward()
        return [loss.detach()]

    def _learn_locally(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """GLL and BackLink: `detach` between modules; an error that crosses has a backward pass of its own."""
        losses, h, below, pending_output = [], x, None, None
        for module in self.modules:
            input = t = h.detach().requires_grad_(below is not None and self.boundary.uses_input_error)
            for unit in module.units[: module.lowest]:
                t = unit(t)
            linked = module.lowest < len(module.units)
            cut = t.detach().requires_grad_() if linked and module.lowest else t  # only the linked units' graph waits
            h = cut
            for unit in module.units[module.lowest :]:
                h = unit(h)
            loss = self._loss(module, h, y)
            losses.append(loss.detach())
            loss.backward(retain_graph=linked)  # g_loc; the graph of linked units waits for E_{k+1}
            if cut is not t:
                t.backward(cut.grad)
            del loss, t, cut
            if pending_output is not None and below is not None:
                self._backward_from_above(below, pending_output, input.grad)
            below, pending_output = module, h if linked else None
        return losses

    def _loss(self, module: _TorchModule, h: Tensor, y: Tensor) -> Tensor:
        assert module.classifier is not None
        return self.torch.nn.functional.cross_entropy(module.classifier(h), y)

    def _backward_from_above(self, module: _TorchModule, h: Tensor, error: Tensor) -> None:
        """E_{k+1} through the linked units of module k: g = a_j g_loc + b_j g_glb."""
        global_grads = self.torch.autograd.grad(h, [w for w, _, _ in module.linked], error)
        for (w, a, b), g in zip(module.linked, global_grads, strict=True):
            w.grad.mul_(a).add_(g, alpha=b)

    def arrays(self) -> dict[str, np.ndarray]:
        """Parameters and running statistics, by minilocal's names and in its layout."""
        return interop.from_torch({name: t.detach().cpu().numpy() for name, t in self.root.state_dict().items()})


class _TorchModule:
    """A module in PyTorch: its units, its classifier, and the weights of its linked units."""

    def __init__(self, module: Module, torch_layers: TorchLayers, boundary: Boundary, last: bool) -> None:
        if not isinstance(module.objective, ClassifierLoss | None):
            raise UserError("TorchLearner has modules that classify or have no local loss: BP, GLL and BackLink.")
        self.units = [torch_layers.build(unit) for unit in module.units]
        objective = module.objective
        self.classifier: Forward | None = None if objective is None else torch_layers.build(objective.network)
        self.lowest = len(self.units) - (0 if last else boundary.linked_units(len(self.units)))
        self._linked_names = [
            (name, *boundary.weights(len(self.units) - 1 - u))
            for u in range(self.lowest, len(self.units))
            for name in module.units[u].parameters
        ]
        self.linked: list[tuple[Tensor, float, float]] = []

    def find_linked(self, root: Any) -> None:
        """Fill `linked`, (weight, a_j, b_j) of every linked parameter, once the weights are on their device."""
        weights = dict(root.named_parameters())
        self.linked = [(weights[name], a, b) for name, a, b in self._linked_names]


def _boundary(learner: Learner) -> Boundary:
    """The rule's boundary, where PyTorch's step above is a step of this rule.

    Raises: UserError for any other rule.
    """
    rule, boundary = learner.rule, learner.rule.boundary
    inner = learner.modules[1:-1]  # each sends an error into the module below that arrives from above as well
    own_errors = all(boundary.sends(len(module.units)) == (1.0, 0.0) for module in inner)
    at_once = not boundary.delayed and all(module.synthesiser is None for module in learner.modules)
    plain = rule.when == always() and rule.keep == "caches" and rule.accumulate == 1
    if not (
        plain and at_once and not boundary.one_loss and boundary.averages is None and (boundary.passes_on or own_errors)
    ):
        raise UserError(f"TorchLearner has no {rule.name} like this one: it knows BP, GLL and BackLink.")
    return boundary


def _sgd(learner: Learner) -> SGD:
    if not isinstance(learner.optimizer, SGD):
        raise UserError(f"TorchLearner has SGD only, and this Learner has {type(learner.optimizer).__name__}.")
    return learner.optimizer
