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
# # 9 · Late and synthetic errors: can a module learn from them?
#
# * **You learn** to say which batch and which weights a delayed gradient belongs to, to tell a late error from a
#   predicted one, and to measure at which learning rates a delay matters
# * **You need** lessons 4 and 6; NumPy
# * **Time** 45 minutes; the cells run in 2 minutes on two cores, offline
#
# ## Question
#
# A local loss is one way around the backward lock. There are two others, without any local loss:
#
# * take the true error, but **late**: DDG and FDG;
# * do not wait, and **predict** the error: DNI.
#
# **Can a module learn from an error that is old, or from one that is only predicted?**
#
# Before you run anything, write down three guesses:
#
# 1. DDG on four modules. In iteration 10, module 1 gets an error. Of which batch? And how often have the weights of
#    module 1 been updated since they forwarded that batch?
# 2. At learning rate 0 no weight moves. How far are DDG's gradients then from those of backpropagation (BP)?
# 3. Where does a delay do more harm: at a small learning rate or at a large one?

# %%
import inspect

import numpy as np

import minilocal as ml
from minilocal import draw, published
from minilocal.boundaries.synthetic import Synthesiser
from minilocal.engine.delayed import DelayedEngine
from minilocal.parallel.simulate import iterations

# %% [markdown]
# ## Picture
#
# The batch that each module works on, iteration by iteration. A plain half is a forward, a hatched one a backward, and
# the number is the batch.


# %%
def timeline(rule, K=4, steps=11):
    """The batches of the first iterations, by the program that the engine runs."""
    rows = [f"module {k}" for k in range(1, K + 1)]
    return draw.gantt(iterations(rule, K, steps), rows, until=steps, along="iteration", title=f"{rule.name}, K = {K}")


timeline(ml.rules.bp())

# %% [markdown]
# **BP**: in each iteration one batch, and all of it. (The halves stand side by side here. In time, modules take turns.)

# %%
timeline(ml.rules.ddg())

# %% [markdown]
# **DDG**: forwards as under BP. Errors come down one boundary in each iteration. Module 4 has no delay; module 3 learns
# from the batch before, and so on down. Before iteration 3 module 1 gets no error, and is not updated.
#
# So guess 1: in iteration 10 module 1 gets the error of batch 7. Its weights have had three updates since that batch's
# forward, those of iterations 7, 8 and 9.

# %%
timeline(ml.rules.fdg())

# %% [markdown]
# **FDG**: activations go up one boundary in each iteration as well. So no module waits for another one within an
# iteration, and an error is twice as late. A module first applies its late gradient, then it runs its forward.

# %%
draw.rule_picture(ml.rules.dni(), modules=4, units=8)

# %% [markdown]
# **DNI**: no delay. At each boundary a small network, the **synthesiser**, gets $h_k$ and predicts the error there.
# The module learns from the prediction $\hat e_k$. The error from above trains the synthesiser, and nothing else.
#
# ## Equation
#
# **DDG** (Huo et al., 2018), in the paper's letters: $k$ counts the modules from 1 to $K$, $t$ iterations and batches:
#
# $$w_k^{t+1} = w_k^t - \eta\, \nabla_{w_k} f_{\text{batch } t-K+k}\big(w^{t-K+k}\big) \tag{DDG}$$
#
# The gradient belongs to an older batch **and to older weights**. So a module keeps a copy of its weights for each
# batch that waits for its error: **weight stashing**.
#
# **FDG** (Zhuang et al., 2021) writes $\theta$ for the weights, $\gamma$ for the rate, $g^t$ for the gradient of
# iteration $t$:
#
# $$\theta^{t+1} = \theta^t - \gamma_t\, \hat g^t \tag{5}$$
#
# $$\hat g^t = g^{t-2(K-k)} \tag{6}$$
#
# $$\hat g^t = \beta^{K-k} g^{t-2(K-k)} \tag{7}$$
#
# (7) takes the place of (6): **gradient shrinking**, $0 < \beta \le 1$. The older a gradient, the smaller it is made.
#
# **DNI** (Jaderberg et al., 2017), with $t_k$ the error at the input of module $k+1$, a constant here:
#
# $$\hat e_k = \Phi_k(h_k), \qquad
# L_{\Phi_k} = \frac{1}{B} \sum_{b=1}^{B} \lVert \hat e_{k,b} - t_{k,b} \rVert^2 \tag{DNI}$$
#
# Below the topmost boundary $t_k$ comes from a prediction itself.
#
# ## Code
#
# In the engine for rules with delays there is no formula for a batch's number. A boundary is two queues, and **the
# delay is the queue's length**. Two methods: a forward whose error is to come, and the backward of the oldest one.

# %%
print(inspect.getsource(DelayedEngine._forward))
print(inspect.getsource(DelayedEngine._backward_pending))

# %% [markdown]
# `backward_weights` has three answers, since papers and public codes differ:
#
# * `"stashed"`: the weights of that forward, as the equations say;
# * `"current"`: old activations and today's weights, which is what the public codes compute;
# * `"recompute"`: today's weights, and activations made anew from the input.
#
# How a synthesiser learns:

# %%
print(inspect.getsource(Synthesiser.gradients))

# %% [markdown]
# ## Check
#
# **Rate 0.** Then no weight moves, old weights are today's, and a late gradient must be BP's gradient of the older
# batch, to the last bit. We record what the optimiser is given in each iteration, for three modules of two layers.

# %%
K = 3
rng = ml.rng(1)
small = ml.nets.mlp((6, 5, 7, 6, 5), classes=4, channels=1, size=3, rng=rng)
batches = [(rng.standard_normal((8, 3, 3, 1)), rng.integers(0, 4, 8)) for _ in range(10)]


class Recording(ml.optim.SGD):
    """SGD that keeps the last gradient of each array."""

    last = {}  # noqa: RUF012

    def update(self, updates, lr):
        self.last.update((id(w), g.copy()) for w, g, _ in updates)
        super().update(updates, lr)


# %%
def applied(rule, lr):
    """Of each iteration, {parameter: the gradient that was applied}."""
    optimizer = Recording(momentum=0.0)
    learner = ml.Learner(small, rule, modules=K, rng=ml.rng(2), dtype="float64", optimizer=optimizer)
    names, rows = {id(a): name for name, a in learner.parameters().items()}, []
    for x, y in batches:
        optimizer.last.clear()
        learner.step(x, y, lr)
        rows.append({names[key]: g for key, g in optimizer.last.items()})
    return rows


def of_module(row, k):
    """The gradients of module k, two layers of weight and bias."""
    return [row.get(f"layers.{u}.{kind}") for u in (2 * k - 2, 2 * k - 1) for kind in ("weight", "bias")]


# %% [markdown]
# By DDG's equation module $k$ applies batch $t - (K - k)$ in iteration $t$. Under FDG batch $b$ comes to module $k$ in
# iteration $b + k - 1$, and its error $2(K-k)$ iterations later: that is batch $t - (2K - k - 1)$. Module $K$ applies
# its gradient one iteration after its forward. With $\beta = 1/2$ the factor $\beta^{K-k}$ is exact in floating point.

# %%
bp = applied(ml.rules.bp(), lr=0.0)
delays = {
    "DDG": (ml.rules.ddg(), lambda k: K - k, 1.0),
    "FDG, β = 0.5": (ml.rules.fdg(beta=0.5), lambda k: 2 * K - k - 1 if k < K else K, 0.5),
}
for name, (rule, delay, beta) in delays.items():
    rows = applied(rule, lr=0.0)
    for k in range(1, K + 1):
        gap = 0.0
        for t, row in enumerate(rows):
            if t < delay(k):
                assert all(g is None for g in of_module(row, k)), "no update before the first error"
                continue
            for ours, theirs in zip(of_module(row, k), of_module(bp[t - delay(k)], k), strict=True):
                gap = max(gap, abs(ours - beta ** (K - k) * theirs).max())
        print(f"{name:13} module {k}: batch t - {delay(k)}, times {beta ** (K - k):g}; largest difference {gap:g}")
        assert gap == 0

# %% [markdown]
# So guess 2: not at all. Only weights that move make a late gradient differ from BP's for that batch.
#
# **With moving weights**, by automatic differentiation. The package has a replay of both papers' formulas in JAX. It
# stores inputs, errors and weights of all iterations, and looks them up by index, without any queue. Twelve iterations
# with momentum and decay:

# %%
try:
    from minilocal.verify import delayed
    from minilocal.verify.jax_cpu import jax_on_cpu
except ml.UserError:
    print("JAX is not installed here: the replay is left out")
else:
    recipe = ml.optim.SGD(momentum=delayed.MOMENTUM, weight_decay=delayed.DECAY)
    replayed = {f"DDG, {mode}": ml.rules.ddg(backward_weights=mode) for mode in delayed.MODES}
    for name, rule in (replayed | {"FDG, β = 0.7": ml.rules.fdg(beta=0.7)}).items():
        learner = ml.Learner(small, rule, modules=K, rng=ml.rng(2), dtype="float64", optimizer=recipe)
        with jax_on_cpu():
            gaps = delayed.beside_replay(learner, 12, **delayed.replay_options(rule.boundary))
        print(f"{name:15} largest difference from JAX's replay: {max(gaps.values()):.0e}")
        assert max(gaps.values()) < 1e-9
    learner = ml.Learner(small, ml.rules.dni(), modules=K, rng=ml.rng(2), dtype="float64")
    gap = max(delayed.beside_loss(learner).values())
    print(f"{'DNI':15} largest difference from JAX's gradients: {gap:.0e}")
    assert gap < 1e-9


# %% [markdown]
# **At the edges.** One module has nothing above it, so each of these rules is BP there. And with two modules FDG at
# $\beta = 1$ has DDG's weights: one update lies between a forward of module 1 and the use of its gradient in both.
# (`finish` applies what is on its way at the end.)


# %%
def trained(rule, modules):
    """The weights after all batches, with nothing left on its way."""
    learner = ml.Learner(small, rule, modules=modules, rng=ml.rng(2), dtype="float64", optimizer=ml.optim.SGD())
    for x, y in batches:
        learner.step(x, y, lr=0.05)
    learner.finish()
    return learner.parameters()


def same(one, other, modules):
    """Are the main network's weights the same, bit for bit?"""
    a, b = trained(one, modules), trained(other, modules)
    return all(np.array_equal(a[name], b[name]) for name in b)


ddg, fdg, dni = ml.rules.ddg, ml.rules.fdg, ml.rules.dni
checks = {f"K = 1: {rule.name} is BP": same(rule, ml.rules.bp(), 1) for rule in (ddg(), fdg(), dni())}
checks["K = 2: FDG, β = 1, is DDG"] = same(fdg(), ddg(), 2)
for what, holds in checks.items():
    print(f"{what:27}{holds}")
assert all(checks.values())
print(f"{'K = 3: FDG, β = 1, is DDG':27}{same(fdg(), ddg(), 3)}")

# %% [markdown]
# What a delay costs in memory: the batches that wait for their error in modules 1 to 4. Each keeps its activations
# and, where weights are stashed, a copy of the module's weights.

# %%
deep = ml.nets.mlp((64,) * 7, classes=10, channels=1, size=16, rng=ml.rng(0), init="ddg")
digits = ml.data.load("digits", limit_train=1000)
for rule in (ddg(), fdg(), dni()):
    learner = ml.Learner(deep, rule, modules=4, rng=ml.rng(0))
    for x, y in digits.batches(0, 50):
        learner.step(x, y, lr=0.001)
    print(f"{rule.name}: {learner.in_flight}")

# %% [markdown]
# ## Experiment
#
# Real digits, 1000 training images, an MLP of eight layers in two and in four modules. BP, DDG and FDG learn by SGD
# with momentum at 0.01. For DNI the package recommends Adam at 0.001, so BP is there under Adam as well. Of one seed,
# all begin with the same weights and have the same batches.

# %% tags=["parameters"] short="seeds, epochs = 2, 3"
seeds, epochs = 4, 12


# %%
def train(rule, K, seed, lr=0.01, optimizer=None, schedule="cosine", epochs=epochs):
    """(test error in % after each epoch, the Learner); the error of a guess, 90 %, where training diverges."""
    rng = ml.rng(seed)
    net = ml.nets.mlp((64,) * 7, classes=10, channels=1, size=16, rng=rng, init="ddg")
    learner = ml.Learner(net, rule, modules=K, rng=rng, optimizer=optimizer or ml.optim.SGD(momentum=0.9))
    try:
        rows = ml.fit(learner, digits, epochs, batch_size=50, lr=lr, schedule=schedule, seed=seed)
    except ml.UserError:  # a loss that is not finite
        return [90.0] * epochs, learner
    return [row["test_error"] for row in rows], learner


adam = {"lr": 0.001, "optimizer": ml.optim.Adam()}
compared = {
    "BP": (ml.rules.bp(), {}),
    "DDG": (ddg(), {}),
    "FDG, β = 1": (fdg(), {}),
    "FDG, β = 0.5": (fdg(beta=0.5), {}),
    "DNI, Adam": (dni(), adam),
    "BP, Adam": (ml.rules.bp(), adam),
}

# %%
runs = {
    (name, K): [train(rule, K, seed, **options) for seed in range(seeds)]
    for K in (2, 4)
    for name, (rule, options) in compared.items()
}
figure = draw.curves(
    {name: [errors for errors, _ in runs[name, 4]] for name in compared}, title="Eight layers, K = 4, 1000 digits"
)
draw.legend_below(figure)
figure

# %%
print(f"test error in % of {len(digits.test_y)} images after the last epoch, mean and deviation of {seeds} seeds")
print(f"{'':14}{'K = 2':>12}{'K = 4':>14}")
last = {key: np.array([errors[-1] for errors, _ in of_rule]) for key, of_rule in runs.items()}
for name in compared:
    print(f"{name:14}" + "".join(f"{last[name, K].mean():8.1f} ± {last[name, K].std(ddof=1):.1f}" for K in (2, 4)))
print(f"one image is {100 / len(digits.test_y):.2f} points")

# %% [markdown]
# In the runs stored here every rule ends above BP, and further above it in four modules than in two. In four modules
# FDG at $\beta = 1$, with twice the delay of DDG, ends above DDG; at $\beta = 0.5$ it ends below. DNI has the largest
# error in both columns.
#
# (In two modules FDG and DDG would have the same weights at a constant rate. Here the rate changes from epoch to epoch,
# and the last module of FDG applies its gradient one iteration later.)
#
# ### What the learning rate does to a delay
#
# Only moving weights make a late gradient wrong, so the rate should decide how wrong. First the gradients, after three
# epochs at a constant rate: the cosine of the angle between a module's mean gradient and BP's at today's weights
# (lesson 7 has the measure).

# %%
x, y = digits.normalise(digits.train_x), digits.train_y


def cosines(rule, seed, optimizer, lr):
    """Of modules 1 to 4, how much their gradient has of BP's direction."""
    _, learner = train(rule, 4, seed, lr, optimizer, schedule="constant", epochs=3)
    return [module.cosine for module in ml.convergence.measure(learner, x, y, batch_size=50).modules]


print(f"mean of {seeds} seeds{'':20}" + "".join(f"  module {k}" for k in range(1, 5)))
measured = [(name, lr, None) for name in ("DDG", "FDG, β = 1") for lr in (0.001, 0.01)]
for name, lr, optimizer in [*measured, ("DNI, Adam", 0.001, ml.optim.Adam())]:
    mean = np.mean([cosines(compared[name][0], seed, optimizer, lr) for seed in range(seeds)], axis=0)
    print(f"{name:14}at learning rate {lr:5}" + "".join(f"{cosine:10.2f}" for cosine in mean))

# %% [markdown]
# In the runs stored here a late gradient has less of BP's direction at the larger rate, and less in the lower modules.
# At the larger rate FDG's has less of it than DDG's. What DNI's lower modules learn from has next to nothing of it yet.
# The last module of DDG and of DNI has the true error at once: its gradient is BP's.
#
# Then the errors, at four rates:

# %%
rates = (0.001, 0.003, 0.01, 0.03)


def last_error(name, seed, lr):
    """The test error after the last epoch; 0.01 has been trained."""
    errors, _ = runs[name, 4][seed] if lr == 0.01 else train(compared[name][0], 4, seed, lr)
    return errors[-1]


by_rate = {
    name: [[last_error(name, seed, lr) for lr in rates] for seed in range(seeds)]
    for name in ("BP", "DDG", "FDG, β = 1", "FDG, β = 0.5")
}
draw.curves(
    by_rate,
    along="learning rate",
    points=[f"{lr:g}" for lr in rates],
    title="K = 4: the rate decides what a delay costs",
)

# %%
print(f"test error in % after {epochs} epochs, mean of {seeds} seeds; a guess has 90")
print(f"{'learning rate':14}" + "".join(f"{lr:8g}" for lr in rates))
for name, of_seeds in by_rate.items():
    print(f"{name:14}" + "".join(f"{error:8.1f}" for error in np.mean(of_seeds, axis=0)))

# %% [markdown]
# So guess 3: at a large one. In the runs stored here DDG and FDG at $\beta = 1$ are near BP at the smallest rate, and
# far above it at the largest. Shrinking acts on the lower modules like a smaller rate: it helps at the large rates, and
# at the smallest one these modules hardly learn.
#
# ### Beside the papers
#
# FDG's Table 4: ResNet-56 on CIFAR-10, 300 epochs, and a rate that falls in steps.

# %%
for row in published.table("fdg_table4"):
    if row["metric"] == "test_error":
        print(f"K = {row['K']}  {row['method']:12}{row['setting']:10}{row['value']:>6} % test error")

# %% [markdown]
# At $\beta = 1$ the error grows with the number of modules. With shrinking, a $\beta$ of its own in each row, it stays
# below BP's.
#
# ## Exercises
#
# ### 9a. Of which batch?
#
# Write `ddg_batch`: the batch whose gradient updates module $k$ in iteration $t$. The timeline of DDG has the answers
# for $K = 4$.


# %% tags=["solution"] exercise="9a"
def ddg_batch(t, k, K):
    """The batch whose gradient updates module k of K in iteration t of DDG; -1 where there is none yet.

    t = 0, 1, ... and k = 1 ... K. In iteration t batch t goes through all modules. The last module has its error at
    once. Every other module has the one that the module above sent in the iteration before.
    """
    return max(-1, t - (K - k))


# %%
passed = ml.teach.check("9a", ddg_batch)

# %% [markdown]
# ### 9b. How old, and how small?
#
# Write `fdg_delay`: the delay of (6), the number of updates that the weights have had meanwhile, and the factor of (7).
# Follow one batch through a row of FDG's timeline.


# %% tags=["solution"] exercise="9b"
def fdg_delay(k, K, beta):
    """(delay, updates, factor) of the gradients of module k of K under FDG; k = 1 ... K.

    Activations and errors take one iteration per boundary each. `delay` is the number of iterations from the forward of
    a batch in module k to its backward there. `updates` is the number of updates of its weights in between; an
    iteration has the update first, then the forward. `factor` is what β, once per boundary, multiplies the gradient by.
    """
    delay = 2 * (K - k)
    return delay, max(0, delay - 1), beta ** (K - k)


# %%
passed = ml.teach.check("9b", fdg_delay)

# %% [markdown]
# ### 9c. Open: whose weights?
#
# The public codes of DDG and FDG keep old activations and read today's weights (`backward_weights="current"`). Does
# that differ from stashing at rate 0? At 0.1, and at 1? Of which weights is each of them the gradient? Use `applied`,
# and compare the gradients of module 1 in the last iteration.

# %% tags=["solution"]
for lr in (0.0, 0.1, 1.0):
    rows = {mode: applied(ddg(backward_weights=mode), lr)[-1] for mode in ("stashed", "current", "recompute")}
    flat = {mode: np.concatenate([g.ravel() for g in of_module(row, 1)]) for mode, row in rows.items()}
    for mode in ("current", "recompute"):
        distance = np.linalg.norm(flat[mode] - flat["stashed"]) / np.linalg.norm(flat["stashed"])
        print(f"rate {lr:<4} {mode:10} distance from stashed, in its lengths: {distance:.2g}")

# %% [markdown] tags=["solution"]
# At rate 0 all three are equal. At a rate above 0, "stashed" is module 1's gradient at its old weights, and "recompute"
# the one at today's. "current" multiplies errors by today's weights, with masks and inputs of the old ones: it is
# neither. It needs no copy of the weights, and is close to the others while weights move little.

# %% [markdown]
# ### 9d. Open: the way of the true error in DNI
#
# The true error never enters module 1. Does the last loss have any influence on the weights of module 1? After how many
# steps, with three modules? Predict it, then measure it: `ml.locality.measure(rule)[0].influence_of_updates`.

# %% tags=["solution"]
for rule in (dni(), ddg(), ml.rules.gll()):
    steps = ml.locality.measure(rule)[0].influence_of_updates
    print(f"{rule.name:4} steps until modules 1, 2, 3 depend on the last loss: {steps}")

# %% [markdown] tags=["solution"]
# After two. The true error trains the synthesiser of module 2. In the next step module 2 learns from what this
# synthesiser predicts, and the error that leaves module 2 trains the synthesiser of module 1. In the step after that,
# module 1 learns from it. DDG's error takes as many steps, but it is the true one. Under GLL there is no such way.

# %% [markdown]
# ## Not shown
#
# * That delays do the same to a deep ResNet with batch norm. The papers train 300 epochs, and their rate falls by ten
#   several times; at a small rate a delay changes little.
# * Speed. In one process a delay has no advantage. It is for all modules at once: [lesson 6](06_parallel.ipynb).
# * DNI with labels, `dni(labels=True)`, and synthetic inputs, which this package does not have.
# * Which $\beta$ is best: one value was tried, and nothing was tuned.
# * [papers.md](../docs/papers.md) has each place where these papers can be read in several ways, and
#   [convergence.md](../docs/convergence.md) what a delay does to the proof of convergence.
