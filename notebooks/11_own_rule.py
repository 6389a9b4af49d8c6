# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11 · Your own rule: what has to be shown of it?
#
# * **You learn** to compose a training rule, to write a boundary and a local loss of your own, and to prove that the
#   rule does what it says
# * **You need** lessons 3 and 4; what a stop-gradient is
# * **Time** 60 minutes; the cells run in 2 minutes on two cores, offline
#
# ## Question
#
# Each named rule is one call of `ml.rules.compose`. One of your own is one more call, and it will train: a
# network learns something under almost any error. **What has to be shown before a result of it means anything?**
#
# Our rule is a link that fades. The error of the next module enters *every* unit of a module: the last unit takes half
# of it, the one below a quarter, and so on. Its modules learn to hit the one-hot label, by squares.
#
# Before you run anything, write down three guesses:
#
# 1. Which of the three locks does this rule keep: the forward, the update, the backward lock?
# 2. With four modules, is the peak of a step closer to that of GLL or to that of BP?
# 3. A loss returns its value and its derivative. Suppose the derivative is 1 % too large. Would a training curve show
#    it?

# %%
import inspect
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import minilocal as ml
from minilocal import draw

ml.use_threads(2)  # a step's scratch memory grows with threads: two, so that everybody has the same bytes

# %% [markdown]
# ## Picture
#
# What crosses a boundary is a class with a few answers. Those that are left out are GLL's. `linked_units` says how many
# units of a module the error from above enters. `weights` says by what the two gradients of a linked unit are
# multiplied, $j$ units below the module's last one: its own, and that from above.


# %%
@dataclass(frozen=True)
class Fading(ml.boundaries.Boundary):
    """The error of the next module's loss, into every unit, and halved from unit to unit."""

    strength: float = 1.0
    can_checkpoint = True  # units wait for an error, so they may keep their inputs only

    def linked_units(self, units):
        return units

    def weights(self, j):
        b = self.strength * 0.5 ** (j + 1)
        return 1 - b, b

    def describe(self):
        return "the error of the next module's loss, into every unit, halved from unit to unit"


faded = ml.rules.compose("Fading link", objective=ml.objectives.classifier("0c1f"), boundary=Fading())
draw.rule_picture(faded, modules=3, units=7)

# %% [markdown]
# The number beside an arrow is the weight of that error in that unit. In lesson 4 the arrows of BackLink end after $l$
# units.
#
# ## Equation
#
# Layer $i$ is $j$ units below the last of module $k$. It has an error of its own loss $L_k$, and one of $L_{k+1}$.
# Equation (6) of the BackLink paper adds the two; here each has a weight:
#
# $$w^i \leftarrow w^i - \eta\, (a_j\, \delta_{lc}^i + b_j\, \delta_{gl}^i) \otimes x^i, \qquad
# b_j = 2^{-(j+1)}, \quad a_j = 1 - b_j \tag{6'}$$
#
# No loss has this as its gradient. But one *number* does, if parts of it count as constants. Write $\bar w$ for weights
# that are constant, and
#
# $$w_{(a)} = \bar w + a\,(w - \bar w)$$
#
# for weights with the value of $w$ and $a$ times its gradient. Then the rule is the gradient of
#
# $$N(w) = \sum_k L_k\big(\bar w^{<k},\, w^k_{(a)},\, \gamma_k\big)
# + \sum_{k<K} L_{k+1}\big(\bar w^{<k},\, w^k_{(b)},\, \bar w^{k+1},\, \bar\gamma_{k+1}\big) \tag{N}$$
#
# where $w^k$ are the weights of module $k$, $w^{<k}$ those below it, $\gamma_k$ those of its classifier, and
# $a_j = 1$, $b_j = 0$ in the last module. In the first sum what lies below a module is constant: with $a_j = 1$
# everywhere that is greedy local learning. The second sum is the link.
#
# ## Code
#
# These are the answers of a boundary, as the package has them, and the operation that uses the weights:

# %%
from minilocal.ops import mix

closed = ml.boundaries.Boundary
for answer in (closed.linked_units, closed.weights, closed.sends, mix):
    print(inspect.getsource(answer))

# %% [markdown]
# A local objective is built for each module below the last: a small network behind the module's output, and a loss of
# what that network returns. A loss is a function of two results: its value, and its derivative by `z`. Here the network
# is one linear layer, and the loss half the squared distance to the one-hot label.

# %%
from minilocal.layers import Flatten, GlobalAveragePool, Linear, Sequential


def squared(z, batch):
    """Half the squared distance to the one-hot label, the mean over images: (value, error)."""
    xp = ml.namespace(z)  # NumPy, or CuPy on a GPU
    distance = z - xp.eye(z.shape[1], dtype=z.dtype)[batch.y]
    return 0.5 * (distance * distance).sum(dtype=xp.float64) / len(z), distance / len(z)


@dataclass(frozen=True)
class Squares(ml.objectives.ObjectiveSpec):
    """The squared error of a linear layer behind each module."""

    def build(self, context):
        name = f"aux.{context.module}"
        pool = [GlobalAveragePool()] if len(context.shape) == 3 else []
        linear = Linear(context.shape[-1], context.classes, context.initial, name=f"{name}.0")
        network = Sequential([*pool, Flatten(), linear], name)
        return ml.objectives.Branches([ml.objectives.Branch(network, squared, 1.0)])

    def describe(self):
        return "squared error behind a linear layer"


rule = ml.rules.compose("Fading squares", objective=Squares(), boundary=Fading())
print(rule.describe())

# %% [markdown]
# Not all answers fit together. Those that do not are refused, each in one line:

# %%
wrong = {
    "the global error, and a local loss": dict(objective=Squares(), boundary=ml.boundaries.open()),
    "modules without a loss": dict(boundary=Fading()),
    "inputs kept for an error that never comes": dict(
        objective=Squares(), boundary=ml.boundaries.closed(), keep="inputs"
    ),
}
for what, answers in wrong.items():
    try:
        ml.rules.compose("Mine", **answers)
    except ml.UserError as error:
        print(f"{what}:\n    {error}")

# %% [markdown]
# ### In a file
#
# The command line takes a rule out of a file, by the file's name and the rule's name in it. The options of the function
# become options of the rule.

# %%
text = """
import minilocal as ml


class Fading(ml.boundaries.Boundary):
    def __init__(self, strength):
        self.strength = strength

    def linked_units(self, units):
        return units

    def weights(self, j):
        b = self.strength * 0.5 ** (j + 1)
        return 1 - b, b


def fading(*, strength=1.0):
    return ml.rules.compose("Fading link", objective=ml.objectives.classifier("0c1f"), boundary=Fading(strength))
"""
with TemporaryDirectory() as folder:
    file = Path(folder) / "mine.py"
    file.write_text(text, "utf-8")
    from_file = ml.rules.get(f"{file}:fading", strength=0.5)
print(from_file.name, "has the weights", [from_file.boundary.weights(j) for j in range(3)])

# %% [markdown]
# With this `mine.py` in your folder, in a shell:
#
#     minilocal train --rule mine.py:fading --set rule.strength=0.5 --net mlp --modules 3
#     minilocal locality --rule mine.py:fading
#
# ## Check
#
# ### Against (N)
#
# A network of six layers in three modules of two. $N$ in plain matrix products, from (N): `p` are the weights, and
# `held` the same weights as constants. So no stop-gradient has to be called: what is constant is `held`.

# %%
K, UNITS = 3, 6
rng = ml.rng(1)
net = ml.nets.mlp((6, 5, 7, 6, 5), classes=4, channels=1, size=3, rng=rng)
images, labels = rng.standard_normal((8, 3, 3, 1)), rng.integers(0, 4, 8)


def gradients_of(rule, modules=K):
    """The engine's gradients; every Learner starts from the same weights."""
    learner = ml.Learner(net, rule, modules=modules, rng=ml.rng(2), dtype="float64")
    return learner.gradients(images, labels)[1]


start = {n: a.copy() for n, a in ml.Learner(net, rule, K, rng=ml.rng(2), dtype="float64").parameters().items()}


def forward(h, layers, p, xp):
    """Layers of (N): affine, and a ReLU behind each but the network's last, which is the output."""
    for u in layers:
        z = h @ p[f"layers.{u}.weight"] + p[f"layers.{u}.bias"]
        h = z if u == UNITS - 1 else xp.maximum(z, 0)
    return h


# %%
def loss(k, h, p, xp):
    """L_k of the output of module k: squares behind its linear layer, in the last module the cross entropy."""
    if k < K - 1:
        distance = h @ p[f"aux.{k}.0.weight"] + p[f"aux.{k}.0.bias"] - np.eye(4)[labels]
        return 0.5 * (distance**2).sum(axis=1).mean()
    z = h - h.max(axis=1, keepdims=True)
    log_p = z - xp.log(xp.exp(z).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(labels)), labels].mean()


def scaled(p, held, weights, k):
    """w_(a) for module k: `held` + a (p - held), where a = weights(j)."""
    mine = {}
    for j, u in enumerate((2 * k + 1, 2 * k)):
        for name in (f"layers.{u}.weight", f"layers.{u}.bias"):
            mine[name] = held[name] + weights(j) * (p[name] - held[name])
    return mine


def number(p, held, xp=np):
    """N of (N)."""
    x, total = images.reshape(len(images), -1), 0.0
    for k in range(K):
        below, mine = forward(x, range(2 * k), held, xp), (2 * k, 2 * k + 1)
        a = (lambda j: 1 - 0.5 ** (j + 1)) if k < K - 1 else (lambda j: 1.0)
        total += loss(k, forward(below, mine, scaled(p, held, a, k), xp), p, xp)
        if k < K - 1:
            linked = forward(below, mine, scaled(p, held, lambda j: 0.5 ** (j + 1), k), xp)
            total += loss(k + 1, forward(linked, (2 * k + 2, 2 * k + 3), held, xp), held, xp)
    return total


# %% [markdown]
# The value of $w_{(a)}$ is that of $w$. So an error passes through such a layer unchanged; only the gradient of the
# layer's own weights is scaled.
#
# The gradient of $N$ by automatic differentiation, or, without JAX, by moving each weight a little while `held` stays:


# %%
def by_moving(eps=1e-6):
    """∂N/∂p, one weight at a time."""
    g = {name: np.zeros_like(a) for name, a in start.items()}
    for name, a in start.items():
        for i in np.ndindex(a.shape):
            for sign in (1, -1):
                p = start | {name: a.copy()}
                p[name][i] += sign * eps
                g[name][i] += sign * number(p, start) / (2 * eps)
    return g


try:
    import jax

    jax.config.update("jax_enable_x64", True)
    expected, source = jax.jit(jax.grad(lambda p: number(p, start, jax.numpy)))(start), "JAX"
except ImportError:
    expected, source = by_moving(), "moving every weight"

ours, largest = gradients_of(rule), 0.0
for name in start:
    largest = max(largest, abs(ours[name] - expected[name]).max() / abs(expected[name]).max())
print(f"{len(start)} arrays: largest difference from {source} {largest:.0e} of the array's largest")
assert largest < (1e-9 if source == "JAX" else 1e-5)

# %% [markdown]
# ### At the limits
#
# A rule of your own should become a known one where its own part is switched off, to the last bit. With strength 0
# nothing enters from above: greedy local learning. With one module there is no boundary: backpropagation. And to keep
# the inputs only, and compute the rest again, must change nothing.


# %%
def same(one, other, modules=K):
    """Are all gradients of these two rules the same, bit for bit?"""
    a, b = gradients_of(one, modules), gradients_of(other, modules)
    return all(np.array_equal(a[name], b[name]) for name in b)


def composed(**answers):
    return ml.rules.compose("Mine", **{"objective": Squares(), "boundary": Fading()} | answers)


limits = {
    "strength 0 is boundary=closed": same(composed(boundary=Fading(0.0)), composed(boundary=ml.boundaries.closed())),
    "one module is BP": same(rule, ml.rules.bp(), modules=1),
    'keep="inputs" is keep="caches"': same(composed(keep="inputs"), rule),
}
for what, holds in limits.items():
    print(f"{what:32}{holds}")
assert all(limits.values())

# %% [markdown]
# ### What crosses, and what waits
#
# `ml.locality.measure` perturbs one tensor after the other, and looks at which updates change and when. It does not
# read the rule's answers; it compares them with what it has measured.

# %%
compared = {
    "BP": ml.rules.bp(),
    "GLL": ml.rules.gll(),
    "BackLink, l = 1": ml.rules.backlink(length=1),
    "Fading link": faded,
    "Fading squares": rule,
}
print(f"{'rule':16}{'enters':10}{'module 1 learns from':32}{'forward':9}{'update':8}backward")
for name, one in compared.items():
    (measured,) = ml.locality.measure(one, net, K)
    into = " ".join(f"{path.units}/{n}" for path, n in zip(measured.error_paths, measured.sizes, strict=False))
    forward_lock, update_lock, backward_lock = measured.locks
    learns = " + ".join(measured.learns_from)
    print(f"{name:16}{into:10}{learns:32}{forward_lock:9}{update_lock:8}{backward_lock}")
    assert not measured.disagreements

# %% [markdown]
# `enters` is how many units of modules 1 and 2 learn from something above them. So guess 1: the forward lock is kept,
# since a module still waits for the one below. The update lock is broken: no update of module 1 needs module 3. The
# backward lock is broken too, but not as by GLL: both units of a module wait, for the module right above.
#
# ### The certificate
#
# All of this is one call, for any rule whose errors arrive within the step. It works out from the boundary's answers
# what each unit is promised, takes the gradient of each loss alone, and compares the sum with the engine's. Where JAX
# does not know a part, as our `squared`, it takes finite differences along random directions, with a bound on their
# error.

# %%
certificate = ml.verify.certify(rule, net, K)
print(certificate)
assert certificate

# %% [markdown]
# A certificate that cannot fail is worth nothing. Here the derivative of the loss is 1 % too large, and nothing else:


# %%
def careless(z, batch):
    value, error = squared(z, batch)
    return value, 1.01 * error


class Careless(Squares):
    def build(self, context):
        branches = super().build(context).branches
        return ml.objectives.Branches([ml.objectives.Branch(branches[0].network, careless, 1.0)])


off = ml.rules.compose("Careless squares", objective=Careless(), boundary=Fading())
refused = ml.verify.certify(off, net, K)
for claim in refused.claims:
    print("yes" if claim.holds else "NO ", claim.what)
assert not refused

# %% [markdown]
# Every other claim still holds: the limits are the same limits, and the same errors cross. Guess 3 comes below.
#
# ### What it keeps
#
# The bytes at the peak of a step, from shapes alone: ResNet-20 in four modules, 64 images.

# %%
big = ml.nets.resnet(20, classes=10, channels=1, size=16, rng=ml.rng(0))
rules = {
    **compared,
    "Fading squares, inputs kept": ml.rules.compose(objective=Squares(), boundary=Fading(), keep="inputs"),
}
peaks = {name: ml.memory.estimate(big, one, 4, 64).step / 1e6 for name, one in rules.items()}
draw.bars(peaks, label="MB at the peak of one step", title="ResNet-20, K = 4, 64 images")

# %%
for name, peak in peaks.items():
    share = (peak - peaks["GLL"]) / (peaks["BP"] - peaks["GLL"])
    print(f"{name:28}{peak:6.1f} MB   {share:4.0%} of the way from GLL to BP")

# %% [markdown]
# So guess 2: closer to BP. A module's caches have to wait for the next module's error, and here those of all its units
# do. With the inputs kept in their place, and the rest computed again, the peak is close to GLL's.
#
# ## Experiment
#
# Real digits, 500 of them for training, and a network of seven convolutions in three modules. The network is our own,
# too: a list of units, between which it may be cut, and a head.

# %%
from minilocal.layers import Conv
from minilocal.layers.norm import BatchNormReLU


def seven(rng):
    """Seven units of a 3×3 convolution to 16 channels, batch norm and ReLU; the first one halves the map."""
    initial, units = ml.layers.Initializer.of(rng), []
    for u in range(7):
        conv = Conv(16 if u else 1, 16, 3, initial, stride=1 if u else 2, pad=1, name=f"{u}.conv")
        units.append(Sequential([conv, BatchNormReLU(16, initial, name=f"{u}.norm")], str(u)))
    head = [GlobalAveragePool(), Flatten(), Linear(16, 10, initial, name="fc", last=True)]
    return ml.nets.Net("seven convolutions", units, Sequential(head, "head"), 10, (16, 16, 1), initial)


# %% [markdown]
# Every rule has the same seeds: of one seed all have the same initial weights and the same batches.

# %% tags=["parameters"] short="seeds, epochs = 2, 1"
seeds, epochs = 4, 10

# %%
digits = ml.data.load("digits", limit_train=500)


def train(rule, seed):
    """Test error (%) after each epoch."""
    rng = ml.rng(seed)
    learner = ml.Learner(seven(rng), rule, modules=3, rng=rng, optimizer=ml.optim.SGD(momentum=0.9))
    rows = ml.fit(learner, digits, epochs, batch_size=25, lr=0.1, schedule="cosine", seed=seed)
    return [row["test_error"] for row in rows]


runs = {name: [train(one, seed) for seed in range(seeds)] for name, one in compared.items()}
draw.curves(runs, title="Seven convolutions, K = 3, 500 digits")

# %%
last = {name: np.array([errors[-1] for errors in of_rule]) for name, of_rule in runs.items()}
print(f"test error in % of {len(digits.test_y)} images after the last epoch, mean and deviation of {seeds} seeds")
for name, errors in last.items():
    print(f"{name:16}{errors.mean():5.1f} ± {errors.std(ddof=1):.1f}")
print()
for better, worse in (("Fading link", "GLL"), ("Fading link", "BackLink, l = 1"), ("Fading squares", "Fading link")):
    gains = last[worse] - last[better]
    print(f"{worse} - {better}, seed by seed:", *(f"{gain:+.1f}" for gain in gains), "points")

# %% [markdown]
# And the rule with the careless derivative, which the certificate refused:

# %%
careless_last = np.array([train(off, seed)[-1] for seed in range(seeds)])
print(f"Careless squares{careless_last.mean():5.1f} ± {careless_last.std(ddof=1):.1f}")
print(f"one image is {100 / len(digits.test_y):.2f} points")

# %% [markdown]
# In the runs stored here the fading link is no better than GLL or BackLink: below them with some seeds, above with
# others. With squares in place of the cross entropy it ends lower with three of four seeds, and equal with the fourth.
# Yours may differ by a few images.
#
# And guess 3: on the mean of the seeds the careless rule ends where the right one does. A derivative that is 1 % off is
# in no curve. The certificate refuses it, and without training.
#
# ## Exercises
#
# ### 11a. What does it promise?
#
# The certificate ends with a table: the factor of each loss's gradient in each unit. Write the function that makes it,
# for a link of any length and any weights. [Your own rule](../docs/your-own.md#your-own-rule) has the words.


# %% tags=["solution"] exercise="11a"
def promise(sizes, linked, a, b):
    """c (units, K): the gradient of unit u is c[u, 0] ∂L_1/∂w + c[u, 1] ∂L_2/∂w + ...

    `sizes` has the units of each module, first to last. Linked are the last `linked` units of each module below the
    last one, or all units of a module that has fewer. A linked unit, j steps below the top of its module, learns a[j]
    of its own module's loss and b[j] of the next module's. Any other unit learns its own module's loss.
    """
    K, u = len(sizes), 0
    c = np.zeros((sum(sizes), K))
    for k, units in enumerate(sizes):
        for j in range(units - 1, -1, -1):
            if k < K - 1 and j < linked:
                c[u, k], c[u, k + 1] = a[j], b[j]
            else:
                c[u, k] = 1
            u += 1
    return c


# %%
passed = ml.teach.check("11a", promise)

# %% [markdown]
# ### 11b. Which locks does it keep?
#
# `ml.locality.measure` counts, for each unit of each module but the last, how many of the modules above its update
# needs in the same iteration. Read the three locks off these counts. The update lock is kept if in every module *some*
# update needs all modules above; the backward lock, if *every* update does.


# %% tags=["solution"] exercise="11b"
def locks(lags, needs):
    """(forward, update, backward): whether a rule keeps each lock, read off a measurement.

    lags: for each boundary, the iterations until h_k is used above it. needs: for each module but the last, for each of
    its units, how many of the modules above the unit's update needs in the same iteration.
    """
    above = [len(needs) - k for k in range(len(needs))]
    forward = all(lag == 0 for lag in lags)
    update = all(max(module) == n for module, n in zip(needs, above, strict=True))
    backward = all(min(module) == n for module, n in zip(needs, above, strict=True))
    return forward, update, backward


# %%
passed = ml.teach.check("11b", locks)

# %% [markdown]
# ### Pass it on
#
# A boundary that links all units may pass the error on: with `passes_on = True`, what a module sends down is its own
# error and the one from above, added. Give `Fading` that answer. Which locks come back? What is unit 1 promised?


# %% tags=["solution"]
class Through(Fading):
    passes_on = True


passed_on = ml.rules.compose("Fading, passed on", objective=Squares(), boundary=Through())
(measured,) = ml.locality.measure(passed_on, net, K)
print("locks:", *measured.locks)
print("unit 1 learns", ml.verify.certify(passed_on, net, K).promised[""][0], "of the losses 1, 2, 3")
# All three locks are kept: every update needs an error from every module above, as under backpropagation.

# %% [markdown]
# ### Certified, and bad
#
# Write a boundary with the weights (1, -1) for every unit, and certify it. What does a certificate say about the error
# that such a rule will reach?


# %% tags=["solution"]
class Against(Fading):
    def weights(self, j):
        return 1.0, -1.0


print(bool(ml.verify.certify(ml.rules.compose("Against", objective=Squares(), boundary=Against()), net, K)))
# Nothing. It is certified: its gradients are those that it promises. Whether they are good ones, training has to show.

# %% [markdown]
# ## Not shown
#
# * That a fading link is a good idea. One small network, 500 training images, nothing tuned. The papers' tables need
#   [runs of hours](../docs/reproduce.md).
# * Rules with delays, synthetic gradients or asynchronous modules: their gradients belong to other batches, and
#   `certify` refuses them. `minilocal verify` checks the named ones, and `minilocal locality` any.
# * That a proof on six layers is one for all networks. It is one for all code that the rule uses; another layer of your
#   own has `ml.verify.check_layer`.
# * An optimiser or a schedule of your own. [Your own data, network and rule](../docs/your-own.md) and
#   [rules](../docs/rules.md) go on from here; [the design](../docs/design.md) lists the four questions.
