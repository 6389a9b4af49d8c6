"""HPFF's objective: two heads behind each module, of which the second also trains the module below.

    own        A_k(h_k), an auxiliary network                                       aux.k.own
    cascade    λ1 Σ_i BCE(sigmoid(D_ki(patch i of h_k)), patch i of the image)      aux.k.patch{i}
             + λ2 L_task(C_k(h_k), y), another auxiliary network                    aux.k.cascade
    L_k      = w_own L_task(A_k(h_k), y) + w_cascade (that of the cascade)
    L_K      = w_own CE + w_cascade CE, both of the network's own head

D_ki is InfoPro's decoder, on one of 2×2 patches. Module 1 has no loss. Only the cascade's error leaves the module.

"HPFF: Hierarchical Locally Supervised Learning with Patch Feature Fusion", ECCV 2024. Weights and patches are fixed in
its code; the decoder, the auxiliary networks and λ's course from module to module are InfoPro's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minilocal.array import Array
from minilocal.errors import UserError, real, set_checked, whole
from minilocal.layers import Patch, Sequential
from minilocal.layers.base import Shape
from minilocal.objectives.base import Batch, ModuleContext, ObjectiveSpec
from minilocal.objectives.branches import Branch, Branches, Labels
from minilocal.objectives.infopro import BOUND, InfoPro, Reconstruction, decoder
from minilocal.objectives.two_heads import TwoHeads


@dataclass(frozen=True)
class PatchReconstruction:
    """The reconstruction of one patch of the image."""

    patch: Patch
    image: Reconstruction

    def __call__(self, z: Array, batch: Batch) -> tuple[Array, Array]:
        return self.image(z, Batch(self.patch.of(batch.x), batch.y))


@dataclass(frozen=True)
class HPFF(ObjectiveSpec):
    """HPFF's objective: an own head of weight `own`, and a cascade of weight `cascade` with `patches`² decoders.

    Module 1 has no loss of its own. The error of the own head ends in its module, that of the cascade leaves it. The
    other options are InfoPro's: `lambdas` of the cascade's two losses, and `version`, `aux`, `temperature`, `mean`
    and `std`.

    Raises: UserError as InfoPro, for weights below 0 or both 0, and for patches below 1; `build` where a module ends
    with a map of fewer pixels than patches, or with a fully connected unit.
    """

    lambdas: str | Sequence[float] = InfoPro.lambdas
    version: str = InfoPro.version
    aux: str = "2c2f"
    temperature: float = InfoPro.temperature
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    own: float = 0.001
    cascade: float = 0.999
    patches: int = 2

    lowest = 1
    divides = True

    def __post_init__(self) -> None:
        checked = self._infopro
        set_checked(self, lambdas=checked.lambdas, temperature=checked.temperature)
        set_checked(self, mean=checked.mean, std=checked.std)
        for name in ("own", "cascade"):
            weight = real(f"HPFF's weight {name}", getattr(self, name), 0, BOUND, "[)", why="give 0 or more")
            set_checked(self, **{name: float(weight)})
        if self.own == self.cascade == 0:
            raise UserError("HPFF's weights own and cascade are both 0, so nothing learns: give one above 0.")
        set_checked(self, patches=whole("HPFF's patches", self.patches, give="1 (the whole map), 2 (2×2), or more"))

    @property
    def _infopro(self) -> InfoPro:
        """InfoPro's objective with these options, which the cascade is made of."""
        return InfoPro(self.lambdas, self.version, self.aux, self.temperature, self.mean, self.std)

    def build(self, context: ModuleContext) -> TwoHeads | None:
        if context.module < self.lowest:
            return None
        if len(context.shape) != 3 or min(*context.shape[:2], *context.image[:2]) < self.patches:
            raise UserError(
                f"HPFF's decoders take {self.patches}×{self.patches} patches of a map, but module {context.module + 1} "
                f"of {context.modules} ends with {context.shape}: use fewer modules or patches, or another rule."
            )
        infopro = self._infopro
        weights, image = infopro.weights(context.module, context.modules), infopro.reconstruction(context)
        cascade = [infopro.task(context, "cascade", self.cascade * weights[1])]
        for number in range(self.patches**2):
            branch = f"patch{number}"
            patch = Patch(*divmod(number, self.patches), self.patches, name=f"aux.{context.module}.{branch}")
            loss = PatchReconstruction(patch, image)
            cascade.append(Branch(decoder(context, branch, patch), loss, self.cascade * weights[0]))
        return TwoHeads(Branches([infopro.task(context, "own", self.own)]), Branches(cascade))

    def last(self, head: Sequential, context: ModuleContext) -> TwoHeads:
        """Both losses of the network's own head."""
        own, cascade = (Branches([Branch(head, Labels(), weight)]) for weight in (self.own, self.cascade))
        return TwoHeads(own, cascade)

    def describe(self) -> str:
        cascade = f"{self.cascade:g} of a classifier and {self.patches}×{self.patches} decoders of the image"
        return f"two heads ({self.aux}, {self.version}), {self.own:g} of a classifier, and {cascade}"

    def warnings(self, shapes: Sequence[Shape]) -> list[str]:
        if len(shapes) < 2 or (self.cascade and any(self._infopro.weights(1, len(shapes) + 1))):
            return []
        why = "λ1 and λ2 of module 2 are 0" if self.cascade else "cascade is 0"
        return [f"HPFF: {why}, and module 1 has no loss of its own: it learns nothing."]
