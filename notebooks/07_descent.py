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
# # 7 · Descent: does a local step still go down?
#
# * **You learn** to read Assumption 1 of the BackLink paper in plain words; to measure its $\sigma$, its norm ratio and
#   the cosine; to say what such a number proves, and what it does not
# * **You need** lessons 1, 3 and 4; inner products and norms
# * **Time** 45 minutes; the cells run in 2 minutes on two cores, offline
#
# ## Question
#
# Under GLL and BackLink, no module but the last ever sees the gradient of the network's own loss $L$. Each steps down
# a loss of its own. **Is that still a step down $L$?**
#
# The paper proves that training converges if it is: if one number, $\sigma$, stays above 0. It is 1 for
# backpropagation. Before you run anything, write down three guesses:
#
# 1. What is $\sigma$ for the *last* module under GLL?
# 2. As a network is trained by GLL, does $\sigma$ rise towards 1, stay, or fall?
# 3. Two rules on the same network: does the one with the larger $\sigma$ end with the smaller test error?

# %%
import inspect

import numpy as np

import minilocal as ml
from minilocal import convergence, draw

# %% [markdown]
# ## Picture
#
# Take all weights of one module as one long vector. $\nabla L$ is an arrow in that space, and the mean gradient that
# the module gets from its rule, $E[g]$, is another one. Two arrows lie in a plane, so they can be drawn: the length is
# in units of $\lVert\nabla L\rVert$, to the right is along $\nabla L$, and up is everything else.
#
# ResNet-14 in three modules, after one epoch of GLL:

# %%
digits = ml.data.load("digits", limit_train=500)
images, labels = digits.normalise(digits.train_x), digits.train_y


def learner_of(rule, seed):
    """ResNet-14 in three modules; the same initial weights for every rule."""
    rng = ml.rng(seed)
    net = ml.nets.resnet(14, classes=10, channels=1, size=16, rng=rng)
    return ml.Learner(net, rule, modules=3, rng=rng)


learner = learner_of(ml.rules.gll(), seed=0)
ml.fit(learner, digits, epochs=1, batch_size=50, lr=0.1)
measured = convergence.measure(learner, images, labels, batch_size=50, batches=4)
draw.directions(
    {f"module {k}": (m.sigma, m.norm_ratio) for k, m in enumerate(measured.modules, 1)},
    title="GLL after one epoch: each module's gradient beside ∇L",
)

# %% [markdown]
# The last module's arrow is $\nabla L$ itself. The other two are shorter than theirs, and nearly at right angles to it.
# Three numbers tell where an arrow ends. Its reach to the right is $\sigma$, its length the **norm ratio**, and the
# cosine of its angle is one divided by the other. To the right of the axis, a short enough step goes down $L$.
#
# ## Equation
#
# The numbers are those of the BackLink paper (IEEE). $w$ are the weights of the network, $w^k$ those of module $k$,
# $t$ counts iterations, $\xi_t$ is the batch of iteration $t$, and $\eta_t$ the learning rate. GLL:
#
# $$w^k_{t+1} = w^k_t - \eta_t\, \nabla L^k(w^k_t, \xi_t) \tag{7}$$
#
# BackLink, and any other rule, has some other vector in that place:
#
# $$w^k_{t+1} = w^k_t - \eta_t\, g^k_{w_t}(\xi_t) \tag{8}$$
#
# Nothing says that $g$ has to do with $L$. So the paper assumes it (Assumption 1): there is a $\sigma > 0$, and a
# $\sigma_g \ge \sigma$, such that in every iteration
#
# $$\nabla L(w_t)^\top E[g_{w_t}] \ge \sigma\, \lVert \nabla L(w_t) \rVert^2 \tag{9}$$
#
# $$\lVert E[g_{w_t}] \rVert \le \sigma_g\, \lVert \nabla L(w_t) \rVert \tag{10}$$
#
# In words:
#
# * **(9)** On the mean over batches, the step goes down $L$, at least $\sigma$ times as steeply as BP's own would. It
#   may go sideways as well, as far as it likes.
# * **(10)** It does not go too far sideways: the mean step is at most $\sigma_g$ times as long as BP's. So it vanishes
#   where $\nabla L$ does, and training can come to rest there.
#
# At given weights, the largest $\sigma$ and the smallest $\sigma_g$ that hold can be measured:
#
# $$\sigma_t = \frac{\langle \nabla L, E[g] \rangle}{\lVert \nabla L \rVert^2}, \qquad
# \text{ratio}_t = \frac{\lVert E[g] \rVert}{\lVert \nabla L \rVert}, \qquad
# \cos_t = \frac{\sigma_t}{\text{ratio}_t}$$
#
# (9) is about all weights together. A module may have a $\sigma$ below 0 of its own while that of the network is above.
#
# ## Code
#
# What the package does with two mean gradients:

# %%
print(inspect.getsource(convergence.Agreement))

# %% [markdown]
# And how it comes by them: for each batch the rule's own gradient, and BP's of the last loss, at the same weights, with
# the same batch statistics. Nothing is updated.

# %%
print(inspect.getsource(convergence.over))

# %% [markdown]
# ## Check
#
# **By the definition.** The small network of lesson 4: six layers in three modules, under GLL. We write down its
# losses in plain matrix products, take their gradients by JAX (or by moving every weight a little, where JAX is not
# installed), and compute (9) and (10) by hand, with three batches.

# %%
K = 3
net = ml.nets.mlp((6, 5, 7, 6, 5), classes=4, channels=1, size=3, rng=ml.rng(1))
gll = ml.Learner(net, ml.rules.gll(), modules=K, rng=ml.rng(2), dtype="float64")
start = {name: a.copy() for name, a in gll.parameters().items()}
x, y = ml.rng(3).standard_normal((24, 3, 3, 1)), np.arange(24) % 4
thirds = [slice(0, 8), slice(8, 16), slice(16, 24)]


def loss_of(k, p, batch, xp=np):
    """L_k (k = 0, 1, 2) of the weights p on one batch, samples in rows; the last is L."""
    h = x[batch].reshape(8, -1)
    for u in range(2 * (k + 1)):
        z = h @ p[f"layers.{u}.weight"] + p[f"layers.{u}.bias"]
        h = xp.maximum(z, 0)
    if k < K - 1:
        z = h @ p[f"aux.{k}.0.weight"] + p[f"aux.{k}.0.bias"]
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - xp.log(xp.exp(z).sum(axis=1, keepdims=True))
    return -log_p[np.arange(8), y[batch]].mean()


# %%
def by_moving(k, batch, eps=1e-6):
    """∂L_k of every weight, one at a time."""
    g = {name: np.zeros_like(a) for name, a in start.items()}
    for name, a in start.items():
        for i in np.ndindex(a.shape):
            for sign in (1, -1):
                p = start | {name: a.copy()}
                p[name][i] += sign * eps
                g[name][i] += sign * loss_of(k, p, batch) / (2 * eps)
    return g


try:
    import jax

    jax.config.update("jax_enable_x64", True)
    source, gradient = "JAX", lambda k, b: jax.grad(lambda p: loss_of(k, p, b, jax.numpy))(start)
except ImportError:
    source, gradient = "moving every weight", by_moving

main = [[f"layers.{u}.{kind}" for u in (2 * k, 2 * k + 1) for kind in ("weight", "bias")] for k in range(K)]


def flat(grads, names):
    """Gradients as one long vector."""
    return np.concatenate([np.ravel(grads[name]) for name in names])


of_losses = [[gradient(k, b) for b in thirds] for k in range(K)]
E_g = [np.mean([flat(g, main[k]) for g in of_losses[k]], axis=0) for k in range(K)]
grad_L = [np.mean([flat(g, main[k]) for g in of_losses[-1]], axis=0) for k in range(K)]
every_g, every_L = np.concatenate(E_g), np.concatenate(grad_L)

# %%
ours = convergence.measure(gll, x, y, batch_size=8)
for k in range(K):
    sigma = grad_L[k] @ E_g[k] / (grad_L[k] @ grad_L[k])  # (9)
    ratio = np.linalg.norm(E_g[k]) / np.linalg.norm(grad_L[k])  # (10)
    gap = max(abs(ours.modules[k].sigma - sigma), abs(ours.modules[k].norm_ratio - ratio))
    share = grad_L[k] @ grad_L[k] / (every_L @ every_L)
    print(f"module {k + 1}: σ {sigma:7.4f}, ratio {ratio:.4f}, {share:5.1%} of ‖∇L‖², off from {source} {gap:.0e}")
    assert gap < (1e-9 if source == "JAX" else 1e-4) * max(1, ratio)

sigma = every_g @ every_L / (every_L @ every_L)
print(f"network:  σ {sigma:7.4f}, off {abs(sigma - ours.whole.sigma):.0e}")
assert abs(sigma - ours.whole.sigma) < 1e-4

# %% [markdown]
# So guess 1: the last module's own loss *is* $L$, so its $\sigma$ is 1 under every local rule.
#
# And look at the others. At these random weights two modules step *up* $L$, and still the network goes down: its
# $\sigma$ is the mean of the modules', each weighed by its share of $\lVert\nabla L\rVert^2$.

# %%
assert ours.modules[0].sigma < 0 and ours.modules[1].sigma < 0 < sigma
shares = [part @ part / (every_L @ every_L) for part in grad_L]
weighed = sum(share * module.sigma for share, module in zip(shares, ours.modules, strict=True))
print(f"Σ share · σ = {weighed:.4f}, off {abs(weighed - ours.whole.sigma):.0e}")

# %% [markdown]
# **By going there.** $\sigma$ is a promise: a short step against $E[g]$ lowers $L$ by $\eta\, \sigma\,
# \lVert\nabla L\rVert^2$. No gradient is needed to see whether it keeps it. We make the step, and look at $L$.

# %%
direction = dict.fromkeys(start, 0.0)
for k, names in enumerate(main):
    sizes = np.cumsum([start[name].size for name in names])[:-1]
    for name, part in zip(names, np.split(E_g[k], sizes), strict=True):
        direction[name] = part.reshape(start[name].shape)


def mean_loss(eta):
    """L over all three batches, after a step against E[g]."""
    p = {name: a - eta * direction[name] for name, a in start.items()}
    return np.mean([loss_of(K - 1, p, b) for b in thirds])


for eta in (1.0, 0.1, 0.01, 1e-5):
    fall = (mean_loss(0) - mean_loss(eta)) / (eta * every_L @ every_L)
    print(f"η = {eta:<7g} L falls by {fall:.4f} η ‖∇L‖²")
print(f"σ =                   {sigma:.4f}")
assert abs(fall - sigma) < 1e-3

# %% [markdown]
# **An exact limit.** Under BP, $g$ is $\nabla L$. Then all three numbers must be 1, without rounding:

# %%
bp = ml.Learner(net, ml.rules.bp(), modules=K, rng=ml.rng(2), dtype="float64")
limit = convergence.measure(bp, x, y, batch_size=8)
print("BP:", limit.whole)
assert limit.whole == convergence.Agreement(1.0, 1.0, 1.0) and set(limit.modules) == {limit.whole}
print("GLL, last module:", ours.modules[-1])
assert ours.modules[-1] == limit.whole

# %% [markdown]
# ## Experiment
#
# ### σ over a training
#
# ResNet-14, three modules, 500 digits, three seeds for each rule. $\sigma$ is measured at the initial weights and after
# each epoch, over the first three batches. FDG (lesson 9) is there for contrast: no local loss, but BP's own error,
# some iterations late. It is trained at the lower rate that it needs.

# %% tags=["parameters"] short="seeds, epochs, batches, limit = 2, 1, 1, 250"
seeds, epochs, batches, limit = 3, 5, 3, 500

# %%
digits = ml.data.load("digits", limit_train=limit)
images, labels = digits.normalise(digits.train_x), digits.train_y
rules = {
    "GLL": ml.rules.gll(),
    "BackLink, l = 1": ml.rules.backlink(length=1),
    "BackLink, l = 2": ml.rules.backlink(length=2),
    "FDG": ml.rules.fdg(),
}


def run(rule, seed, measured=True):
    """(Convergence before training and after each epoch, the last test error in %)."""
    learner = learner_of(rule, seed)
    rate, number = 0.03 if rule.name == "FDG" else 0.1, batches if measured else 0
    rows = ml.fit(learner, digits, epochs, batch_size=50, lr=rate, seed=seed, convergence=number)
    measurements = [rows[0]["convergence_before"], *(row["convergence"] for row in rows)] if measured else []
    return measurements, rows[-1]["test_error"]


runs = {name: [run(rule, seed) for seed in range(seeds)] for name, rule in rules.items()}


def over_epochs(number):
    """One number of the whole network, by rule and seed, over the epochs."""
    return {name: [[c[number] for c in measurements] for measurements, _ in of_rule] for name, of_rule in runs.items()}


draw.curves(over_epochs("sigma"), first=0, label="σ of the network", title="σ of (9), ResNet-14, K = 3")

# %%
draw.curves(over_epochs("norm_ratio"), first=0, label="‖E[g]‖ / ‖∇L‖", title="The norm ratio of (10)")

# %%
draw.curves(over_epochs("cosine"), first=0, label="cosine of E[g] and ∇L", title="The angle: σ divided by the ratio")

# %%
errors = {name: [error for _, error in of_rule] for name, of_rule in runs.items()}
errors["BP"] = [run(ml.rules.bp(), seed, measured=False)[1] for seed in range(seeds)]
print("                 least σ  largest ratio   last epoch: σ  ratio  cosine   test error (%)")
for name in ("BP", *rules):
    test = f"{np.mean(errors[name]):5.1f} ± {np.std(errors[name], ddof=1):.1f}"
    if name == "BP":
        print(f"{name:17}{1:7.3f}  {1:13.3f}  {1:14.3f}  {1:5.3f}  {1:6.3f}   {test}")
        continue
    sigma, ratio, cosine = (np.array(over_epochs(n)[name]) for n in ("sigma", "norm_ratio", "cosine"))
    last = (a[:, -1].mean() for a in (sigma, ratio, cosine))
    means = "{:14.3f}  {:5.3f}  {:6.3f}".format(*last)
    print(f"{name:17}{sigma.min():7.3f}  {ratio.max():13.3f}  {means}   {test}")

# %% [markdown]
# The least and the largest are over all seeds and all measurements; the last columns are means of the seeds.
#
# So guess 2: under GLL and BackLink $\sigma$ falls, in the runs stored here from more than a half to less. But it stays
# above 0. Wherever we looked, (9) held, and (10) with a $\sigma_g$ near 1.
#
# And guess 3: no. BackLink with $l = 1$ has a larger $\sigma$ than with $l = 2$, and a larger error. FDG's gradients
# are nearly BP's own after the last epoch, and its error is the largest of all. $\sigma$ says where a step points, not
# how far training has come. (FDG had a third of the others' rate.) Among the three local rules, the *cosine* and the
# error do have one order here: GLL, $l = 1$, $l = 2$. Three seeds of one network are no law.
#
# ### Module by module

# %%
by_module = {
    name: [measurements[-1]["modules"]["cosine"] for measurements, _ in of_rule] for name, of_rule in runs.items()
}
draw.curves(by_module, along="module", label="cosine of E[g] and ∇L", title="After the last epoch, module by module")

# %%
for name, of_seeds in by_module.items():
    print(f"{name:17}", *(f"{c:6.2f}" for c in np.mean(of_seeds, axis=0)))

# %% [markdown]
# The last module has BP's gradient, and the lower a module, the less of it. A link brings each of the lower two nearer,
# a longer link still nearer. For module 2 this is what one expects: the loss above it *is* $L$. For module 1 it is not:
# what comes down to it is the loss of module 2, not $L$.
#
# ### Over l and α
#
# All rules at the same weights: a perceptron of twelve layers in three modules of four, trained for three epochs by
# GLL. The link may then be up to four layers long. Each number is the mean of the seeds. A row is a module and an $l$;
# $\alpha = 1$ is GLL in every row.

# %%
alphas = (1.0, 0.75, 0.5, 0.25, 0.0)


def cosines(seed):
    """{(module, l): a cosine for each α}."""
    rng = ml.rng(seed)
    net = ml.nets.mlp((64,) * 11, classes=10, channels=1, size=16, rng=rng, init="ddg")
    trained = ml.Learner(net, ml.rules.gll(), modules=3, rng=rng)
    ml.fit(trained, digits, epochs=3, batch_size=50, lr=0.05, seed=seed)
    table = {(k, length): [] for k in (1, 2) for length in (1, 2, 3, 4)}
    for length in (1, 2, 3, 4):
        for alpha in alphas:
            learner = ml.Learner(net, ml.rules.backlink(length=length, alpha=alpha), modules=3, rng=ml.rng(0))
            learner.load(trained.parameters())
            measured = convergence.measure(learner, images, labels, batch_size=50, batches=batches)
            for k in (1, 2):
                table[k, length].append(measured.modules[k - 1].cosine)
    return table


tables = [cosines(seed) for seed in range(seeds)]
means = {key: np.mean([table[key] for table in tables], axis=0) for key in tables[0]}
draw.heat(
    {f"module {k}, l = {length}": row for (k, length), row in means.items()},
    along="α",
    columns=[f"{alpha:g}" for alpha in alphas],
    label="cosine of E[g] and ∇L",
    title="What a link does to the direction",
)

# %% [markdown]
# To the right, where the own loss counts less, both modules come nearer to BP. Further down, where the link reaches
# further, module 1 does so in every column, and module 2 in the last two. With $\alpha = 0.75$ the length hardly
# matters there: by (5) the error from above is weighed by $1 - \alpha$ once more for each layer further down, and
# little of it is left. The last cell is an exact limit: all layers of module 2 are linked, and learn from $L$ alone.

# %%
limit = [table[2, 4][-1] for table in tables]
print("module 2, l = 4, α = 0:", *(f"{cosine:.6f}" for cosine in limit))
assert np.allclose(limit, 1)

# %% [markdown]
# ## Exercises
#
# ### 7a. σ, ratio, cosine
#
# From the gradients of several batches, one row each, of the rule and of the final loss. What has to be averaged
# first? The formulas stand at the end of "Equation".


# %% tags=["solution"] exercise="7a"
def agreement(g, bp):
    """(σ, norm ratio, cosine) of two mean gradients.        g, bp (batches, P)  →  three numbers

    Each row is the gradient of one batch: of a local rule in g, of the final loss in bp. E[g] and ∇L are the means over
    the batches; σ = ⟨∇L, E[g]⟩ / ‖∇L‖², ratio = ‖E[g]‖ / ‖∇L‖.
    """
    rule, final = g.mean(axis=0), bp.mean(axis=0)
    sigma = rule @ final / (final @ final)
    ratio = (rule @ rule / (final @ final)) ** 0.5
    return sigma, ratio, sigma / ratio


# %%
passed = ml.teach.check("7a", agreement)

# %% [markdown]
# ### 7b. The best learning rate
#
# What are (9) and (10) good for? Assumption 2 of the paper, (11), says that $\nabla L$ is Lipschitz with a constant
# $\lambda$. Then one step changes the loss by no more than a parabola in $\eta$, which the text of the function states.
# Find its lowest point, from $\sigma$, the norm ratio and $\lambda$, and say how far down it goes, as a share of the
# farthest that BP's own step can go.


# %% tags=["solution"] exercise="7b"
def best_rate(sigma, ratio, smoothness):
    """The rate η at which the bound falls most, and that fall as a share of the most that BP's own step can give.

    The step is w - η g. Where ∇L is Lipschitz with the constant λ, (11), the loss at w - η g is at most

        L(w) - η ⟨∇L, g⟩ + λ η² ‖g‖² / 2,        ⟨∇L, g⟩ = σ ‖∇L‖²,        ‖g‖ = ratio · ‖∇L‖

    BP is σ = ratio = 1. `smoothness` is λ.
    """
    return sigma / (smoothness * ratio**2), (sigma / ratio) ** 2


# %%
passed = ml.teach.check("7b", best_rate)

# %% [markdown]
# ### 7c. Twice as much
#
# Somebody multiplies every local loss by 2, measures again, and reports that $\sigma$ has doubled. What happened to the
# norm ratio, to the cosine, and to what can be reached with the best learning rate of 7b?

# %% [markdown] tags=["solution"]
# The norm ratio doubles too, and the cosine stays. By 7b the best rate is half as large, and the share of BP's fall,
# the square of the cosine, is the same. So a $\sigma$ alone says little: it needs the ratio beside it.

# %% tags=["solution"]
for factor in (1, 2):
    sigma, ratio, _ = agreement(factor * every_g[None], every_L[None])
    rate, share = best_rate(sigma, ratio, smoothness=1.0)
    print(f"× {factor}: σ {sigma:.3f}, ratio {ratio:.3f}, best rate {rate:.3f}, share of BP's fall {share:.3f}")

# %% [markdown]
# ### 7d. A module that steps up
#
# One module's arrow points to the left in every epoch of a run: its $\sigma$ is below 0. Does (9) fail? What would you
# look at, to decide?

# %% [markdown] tags=["solution"]
# Not necessarily. (9) has the inner product over all weights, which is the sum of the modules' inner products. A
# negative one may be outweighed, as in the check above, most of all by the last module, which has BP's own gradient. So
# look at $\langle\nabla L, E[g]\rangle$ of each module beside the others', not at its $\sigma$: a module with a short
# $\nabla L$ counts little, however large its $\sigma$ is. But that module does step up $L$ in its own weights, and the
# others have to make up for it.

# %% [markdown]
# ## Not shown
#
# * A proof. $\sigma$ was above 0 where we looked: on the path of a few runs, after each epoch, over a few batches. (9)
#   demands it at all weights that training meets, and no equation of a local rule guarantees that.
# * That the theorem holds for such a run. By (13) it needs rates with $\sum \eta_t = \infty$ and
#   $\sum \eta_t^2 < \infty$, and steps of the form (8). A cosine schedule and momentum are neither.
#   [docs/convergence.md](../docs/convergence.md) says of (7) to (14) what a run satisfies.
# * That descent is good. The theorem ends at a point where $\nabla L$ is 0. It says nothing about the test error there.
# * What batch norm does to $L$: in training, the loss of an image depends on the others of its batch. The
#   $\nabla L$ measured here is the one of training.
# * Which rules fit this frame, and with which losses: [lesson 8](08_objectives.ipynb). Late errors, as FDG's, are
#   [lesson 9](09_late_errors.ipynb).
