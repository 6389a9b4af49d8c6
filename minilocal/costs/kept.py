"""The bytes that a module keeps: its activations at their peak, its input and what stands behind its top included.

    caches      those of its units, with each output but the last, which is the next module's input
    contexts    those of the encoders at its input, with the input of the module below where one encodes it
    behind      those of its auxiliary network or synthesiser
    copies      those of the linked units below, or their input alone with keep="inputs"; and of the contexts of the
                module below where it is linked whole
    in flight   under a rule with delays, for each batch that waits for its error: caches, or the input alone;
                stashed weights; and the messages that wait at its boundaries

Layers and kernels run on abstract arrays (`memory.estimate`), so nothing of that size is allocated.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from minilocal.costs.parts import Parts
from minilocal.costs.passes import Besides
from minilocal.errors import UserError
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.layers.with_context import Context
from minilocal.memory.estimate import CPU, GPU
from minilocal.memory.live import LiveBytes
from minilocal.objectives import Batch


def kept_bytes(parts: Parts, images: int, dtype: Any, device: Any) -> tuple[list[float], Besides]:
    """The bytes of each unit's cache and output, and the bytes of a module besides.

    Raises: UserError where a layer reads numbers, which abstract arrays do not have.
    """
    rule, net = parts.rule, parts.net
    images = -(-images // rule.accumulate)  # of a micro-batch
    library = (CPU() if device == "cpu" else GPU()).library

    def abstract(shape: Shape, kind: Any = dtype) -> Any:
        return library.empty((images, *shape), kind)

    def arrays(owner: Any) -> dict[str, Any]:
        return {name: library.array(a, dtype) for name, a in {**owner.parameters, **owner.buffers}.items()}

    def nbytes(shape: Shape) -> int:
        return images * prod(shape) * np.dtype(dtype).itemsize

    batch = Batch(abstract(net.shape), abstract((), int))
    try:
        of_units = _of_units(parts, batch.x, arrays)
    except (TypeError, AttributeError):
        raise UserError(
            f"balance by memory: a layer of {net.name} reads numbers, and its bytes are not known: balance by flops or "
            "time."
        ) from None
    outputs = [nbytes(shape) for shape in parts.inputs[1:]]
    weights = [sum(w.size for w in unit.parameters.values()) * np.dtype(dtype).itemsize for unit in net.units]
    behind_known: dict[Any, int] = {}

    def behind(k: int, last: int) -> int:
        if (k, last) not in behind_known:
            h, total = abstract(parts.inputs[last]), 0
            for part in parts.behind(k, last):
                live = LiveBytes((None,), (*batch, h))
                kept = part.forward(h, batch, PassContext(), arrays(part))
                live.track(None, kept)
                total += live.now[None]
                del kept
            behind_known[k, last] = total
        return behind_known[k, last]

    def contexts(k: int, of_module: list[Context]) -> int:
        """Bytes of the contexts of module k."""
        total = 0
        for encoder, source, shape in of_module:
            image, live = abstract(shape), LiveBytes((None,), ())
            cache = encoder.forward(image, PassContext(), arrays(encoder))[1]
            live.track(None, cache)
            total += live.now[None] - (nbytes(shape) if source == "image" or k == 1 else 0)  # the images are there
        return total

    def besides(k: int, first: int, last: int, below: int | None) -> float:
        entry = outputs[first - 1] if first else 0
        of_contexts = contexts(k, parts.contexts(k, first, below))
        h = entry if of_contexts else 0  # beside h', until the module's forward is over
        total = entry + of_contexts + max(behind(k, last), h) - (0 if parts.is_last(k) else outputs[last - 1])
        if copies := parts.copies(k, first, below):
            total += outputs[copies[0] - 1] if copies[0] else 0  # their input
            if rule.keep != "inputs":
                of_copied = contexts(k - 1, parts.contexts_of_copies(k, first, below))
                total += sum(of_units[u] for u in copies) - entry + of_copied
        if rule.boundary.delayed:
            activations, errors = rule.boundary.lags
            waiting = (parts.modules - 1 - k) * (activations + errors)
            if waiting and rule.when.first == "backward":  # one batch has left before the next comes
                waiting -= 1
            images = 0 if first else nbytes(net.shape)  # copies, which the lowest module holds
            each = entry if rule.kept == "recompute" else sum(of_units[first:last])
            each += sum(weights[first:last]) if rule.kept == "stashed" else 0
            total += images + waiting * (images + each)
            total += activations * entry + (0 if parts.is_last(k) else errors * outputs[last - 1])
        return total

    return [float(n) for n in of_units], besides


def _of_units(parts: Parts, x: Any, arrays: Any) -> list[int]:
    """The bytes of each unit's cache and output; memory that two units hold counts for the lower one."""
    live, held, h = LiveBytes(range(len(parts.net.units)), (x,)), [], x
    for u, unit in enumerate(parts.net.units):
        h, cache = unit.forward(h, PassContext(unit=u), arrays(unit))
        live.track(u, (h, cache))
        held.append((h, cache))
    return list(live.now.values())
