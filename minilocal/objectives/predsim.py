"""PredSim's objective: similarity matching within a class, and prediction by a linear classifier.

    U   = 3×3 convolution of h_k, C → C, without bias; of features F, a linear F → F without bias    aux.k.sim
    p   = linear classifier of the means of blocks of h_k, initial weight 0                          aux.k.pred
    L_k = (1-β) CE(p, y) + β similarity(U, y)

Nøkland and Eidnes, "Training Neural Networks with Local Error Signals"; from their code the blocks, the zeros and β.
"""

from __future__ import annotations

from dataclasses import dataclass

from minilocal.array import Array
from minilocal.errors import boolean, fraction, real, set_checked, whole
from minilocal.layers import BlockAverage, Conv, Flatten, Layer, Linear, Sequential
from minilocal.losses import similarity
from minilocal.objectives.base import Batch, ClassifierLoss, ModuleContext, Objective, ObjectiveSpec
from minilocal.objectives.branches import Branch, Branches, Labels


@dataclass(frozen=True)
class Similarity:
    """The similarity matching loss between features and one-hot labels of this many classes."""

    classes: int

    def __call__(self, z: Array, batch: Batch) -> tuple[Array, Array]:
        return similarity(z, batch.y, self.classes)


@dataclass(frozen=True)
class PredSim(ObjectiveSpec):
    """PredSim's objective: similarity matching beside prediction, in every module below the last.

    Nøkland and Eidnes, "Training Neural Networks with Local Error Signals". `beta` weights similarity (1) against
    prediction (0). The classifier of maps gets at most `dim_in_decoder` features, that of vectors all of them. `zero`
    starts the classifiers from weight 0, as the paper's code does; AugLocal's port has False and 512 features.
    `final_weight` is the weight of the last module's cross entropy: 1.0 as in that port, "1-beta" as in the paper's.

    Raises: UserError for a β outside [0, 1], fewer than one feature, and a final weight that is neither.
    """

    beta: float = 0.99
    dim_in_decoder: int = 4096
    zero: bool = True
    final_weight: float | str = 1.0

    def __post_init__(self) -> None:
        most = "the most features, 1 or more"
        set_checked(
            self,
            beta=fraction("PredSim's beta", self.beta, why="1 is similarity only, 0 prediction only"),
            dim_in_decoder=whole("PredSim's dim_in_decoder", self.dim_in_decoder, give=most),
            zero=boolean("PredSim's zero", self.zero),
        )
        if self.final_weight != "1-beta":
            why = "give a number above 0, or '1-beta'"
            set_checked(self, final_weight=real("PredSim's final_weight", self.final_weight, 0, 1e9, "()", why=why))

    def build(self, context: ModuleContext) -> Branches:
        similarity_branch = Branch(self._similarity_net(context), Similarity(context.classes), float(self.beta))
        prediction = Branch(self._classifier(context), Labels(), 1 - float(self.beta))
        return Branches([similarity_branch, prediction])

    def last(self, head: Sequential, context: ModuleContext) -> Objective:
        weight = 1 - float(self.beta) if self.final_weight == "1-beta" else float(self.final_weight)
        return ClassifierLoss(head) if weight == 1 else Branches([Branch(head, Labels(), weight)])

    def describe(self) -> str:
        return f"similarity (weight {self.beta:g}) and prediction ({1 - self.beta:g})"

    def _similarity_net(self, context: ModuleContext) -> Sequential:
        name, features = f"aux.{context.module}.sim", context.shape[-1]
        if len(context.shape) == 3:
            return Sequential([Conv(features, features, 3, context.initial, pad=1, name=f"{name}.0")], name)
        return Sequential([Linear(features, features, context.initial, bias=False, name=f"{name}.0")], name)

    def _classifier(self, context: ModuleContext) -> Sequential:
        name, features = f"aux.{context.module}.pred", context.shape[0]
        layers: list[Layer] = []
        if len(context.shape) == 3:
            pool = BlockAverage(*block(context.shape, self.dim_in_decoder), name=f"{name}.0")
            layers = [pool, Flatten(f"{name}.1")]
            features = layers[1].out_shape(pool.out_shape(context.shape))[0]
        linear = Linear(features, context.classes, context.initial, name=f"{name}.{len(layers)}")
        if self.zero:
            linear.parameters[f"{linear.name}.weight"][...] = 0
        return Sequential([*layers, linear], name)


def block(shape: tuple[int, ...], most: int) -> tuple[int, int]:
    """(height, width) of the blocks whose means are at most `most` features of maps (H, W, C).

    They are doubled in turn, the height first; 32×32×128 to 4096 features gives 8×4. A block is at most as high as the
    map, so more features than `most` remain where C alone is more.
    """
    H, W, C = shape
    height = width = 1

    def features() -> int:
        return C * -(-H // height) * -(-W // width)

    while features() > most and (height < H or width < W):
        height *= 2
        if features() > most:
            width *= 2
    return height, width
