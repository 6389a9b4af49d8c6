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
# # 8 · Objectives: what else can a module learn from?
#
# * **You learn** to write down what DGL, PredSim, InfoPro and PGL minimise, to check such an objective, to compare what
#   they cost, and to say which methods are of another kind
# * **You need** lessons 3 and 4; cross entropy; the cosine of two vectors
# * **Time** 60 minutes; the cells run within two minutes on two cores, offline
#
# ## Question
#
# Under GLL a module learns from one small classifier behind it (lesson 3). It keeps what that classifier can use. What
# else is in the image lowers no loss of this module, and may be lost for all modules above it.
#
# **What can a module learn from, so that its output serves the modules above it too?**
#
# Four papers, four answers:
#
# * **DGL**: a deeper auxiliary network stands between the module and its loss.
# * **PredSim**: images of one class must get similar outputs, beside the label being predicted.
# * **InfoPro**: the image must be reconstructed, beside the label being predicted.
# * **PGL**: in some epochs, the last loss of the whole network, as under backpropagation (BP).
#
# Before you run anything, write down three guesses:
#
# 1. PredSim compares the outputs for two images by a cosine. Its target is 1 where they have one label. Which number is
#    it where their labels differ, with 10 classes?
# 2. A decoder reconstructs the image from the output of a module. Behind which networks is that harder: those trained
#    by GLL, or those trained by InfoPro? And does it get harder from module to module?
# 3. Training steps of which of these four need as many bytes as BP's?

# %%
import inspect

import numpy as np

import minilocal as ml
from minilocal import draw
from minilocal.layers import PassContext

K = 4
digits = ml.data.load("digits")
image_constants = {"mean": digits.mean, "std": digits.std}
rules = {
    "BP": ml.rules.bp(),
    "GLL": ml.rules.gll(),
    "DGL": ml.rules.dgl(),
    "PredSim": ml.rules.predsim(),
    "InfoPro": ml.rules.infopro(**image_constants),
    "PGL": ml.rules.pgl(period=3, duration=1),
}


def new_net(seed):
    """ResNet-8: four units, so that each of K = 4 modules is one unit. And the generator that goes on from it."""
    rng = ml.rng(seed)
    return ml.nets.resnet(8, classes=10, channels=1, size=digits.size, rng=rng), rng


# %% [markdown]
# ## Picture
#
# Under GLL, DGL, PredSim and InfoPro no error passes a boundary. So they have one picture; they differ in what stands
# behind the circle, which holds the loss. PGL has two pictures: this one, and in its global epochs that of BP.

# %%
draw.rule_picture(
    rules["InfoPro"], modules=K, units=8, title="InfoPro, and GLL, DGL, PredSim: K losses, each of one module"
)

# %%
draw.rule_picture(
    rules["PGL"], modules=K, units=8, epoch=2, title="PGL in a global epoch: the last loss teaches all units"
)

# %% [markdown]
# And what stands behind the circle of module 2? Each line is a network between the module's output and a loss, with the
# weight of that loss.

# %%
net, _ = new_net(0)
for name in ("GLL", "DGL", "PredSim", "InfoPro", "PGL"):
    module = ml.Learner(net, rules[name], K, rng=ml.rng(0)).modules[1]
    print(f"{name}: {rules[name].objective.describe()}")
    for branch in getattr(module.objective, "branches", [module.objective]):
        weight, layers = getattr(branch, "weight", 1), [type(layer).__name__ for layer in branch.network.layers]
        print(f"    weight {weight:4.2f}, {ml.nets.count(branch.network.parameters):6,} parameters:", *layers)

# %% [markdown]
# ## Equation
#
# Module $k$ makes $h_k = f_k(h_{k-1})$ and takes $h_{k-1}$ as a constant. It minimises $L_k$, for all $k < K$. The last
# module has the network's own loss, $L_K$.
#
# **DGL** (Belilovsky, Eickenberg and Oyallon, "Decoupled Greedy Learning of CNNs", Algorithm 1). $A_k$ is an auxiliary
# network with weights $\gamma_k$: under GLL one linear layer, here three 1×1 convolutions and a perceptron behind a
# smaller map. CE is the cross entropy.
#
# $$L_k = \mathrm{CE}\big(A_k(h_k; \gamma_k),\, y\big)$$
#
# The deeper $A_k$ is, the less of the work must be done by the module itself. DGL has an asynchronous form too,
# `ml.rules.dgl(buffer=2)`: a module takes its input from a buffer of earlier batches, so that it need not wait for the
# module below either.
#
# **PredSim** (Nøkland and Eidnes, "Training Neural Networks with Local Error Signals"). The numbers are those of
# `minilocal/losses.py`. $U$ is a convolution of $h_k$. For image $b$, $s_b$ holds one number for each channel: its
# standard deviation over the positions of the map. $B$ images make the $B \times B$ matrix $R$ of cosines:
#
# $$s_{bc} = \operatorname{std}_{hw} U_{bhwc} \tag{1}$$
#
# $$\hat x_b = \frac{\tilde s_b}{\|\tilde s_b\| + \varepsilon}, \qquad
# \tilde s_b = s_b - \tfrac{1}{C} \textstyle\sum_c s_{bc} \tag{2}$$
#
# $$R = \hat x \hat x^\top, \qquad L_\text{sim} = \operatorname{mean}\big( (R - R_y)^2 \big) \tag{3}$$
#
# $$L_k = (1 - \beta)\, \mathrm{CE}\big(\text{linear}(h_k),\, y\big) + \beta\, L_\text{sim}$$
#
# $R_y$ is the same matrix of the one-hot labels. $\beta = 0.99$, so the label itself has a weight of a hundredth.
#
# **InfoPro** (Wang, Ni, Song, Yang and Huang, "Revisiting Locally Supervised Learning: an Alternative to End-to-end
# Training"). $I$ is mutual information. $h_k$ is made of $h_{k-1}$ and of nothing else, so
#
# $$I(h_k, y) \le I(h_{k-1}, y)$$
#
# What one module has lost about the label, no later module can get back. But which of what is in the image will be of
# use to them is not known in module 1. Hence a module should keep *all* information about the image, as far as it
# can, while learning about the label. Mutual information cannot be computed, but there are lower bounds: $I(h_k, x)$ is
# large where the image can be reconstructed from $h_k$, and $I(h_k, y)$ where the label can be predicted.
#
# $$L_k = \lambda_1\, \mathrm{BCE}\big(\text{decoder}_k(h_k),\, x\big) + \lambda_2\, \mathrm{CE}\big(A_k(h_k), y\big)$$
#
# BCE is the binary cross entropy, of each pixel in $[0, 1]$. $\lambda_1$ and $\lambda_2$ run linearly from module 1 to
# module $K-1$. Low modules mostly reconstruct, high ones classify more.
#
# **PGL** (Bhatti and Moon, "Locally Supervised Learning with Periodic Global Guidance"; its numbers, in the letters of
# this course). Of every $P$ epochs the last $Q$ are global:
#
# $$L_k = \mathrm{CE}\big(A_k(f_k(h_{k-1}); \gamma_k),\, y\big) \tag{PGL 1}$$
#
# $$\text{local: } \min_{w_k, \gamma_k} L_k \tag{PGL 2}$$
#
# $$\text{global: } \min_{w_1 \dots w_K} L_K \tag{PGL 3}$$
#
# $$\text{and } \min_{\gamma_k} L_k, \; k < K \tag{PGL 4}$$
#
# **ContSup** (Yu, Zhang, Ma, Wang and Li, "Go beyond End-to-End Training: Boosting Greedy Local Learning with Context
# Supply") changes what a module is given instead of what it wants. By InfoPro's inequality no module can get back what
# one below has lost. ContSup supplies the image again, encoded by two convolutions and added to the module's input:
#
# $$h'_k = h_k + E_k(x), \qquad h_{k+1} = f_{k+1}(h'_k)$$
#
# $x$ and $h_k$ are constants, and $E_k$ learns from $L_{k+1}$ with the module above. So no error crosses, but now
# $I(h'_k, y)$ may exceed $I(h_k, y)$. The price is a larger network, at test time too: on ResNet-32 with $K = 16$ the
# encoders add an eighth to the parameters and nine tenths to the multiply-adds. So it is compared with backpropagation
# through the same network, `ml.rules.bp(context="E")`. Its rule is `ml.rules.contsup()`.
#
# ## Code
#
# An objective is a weighted sum of losses, each behind its own network. Its forward returns $L_k$. Its backward returns
# $e_k = \partial L_k / \partial h_k$, which then goes through the module's units, and the gradients of its networks:

# %%
for function in (ml.objectives.Branches.forward, ml.objectives.Branches.backward):
    print(inspect.getsource(function))

# %% [markdown]
# The two losses that are new, each with its error, and the weights of InfoPro's:

# %%
for function in (ml.losses.similarity, ml.losses.binary_cross_entropy, ml.objectives.infopro.weights):
    print(inspect.getsource(function))

# %% [markdown]
# A rule is one call of `compose`: objective, boundary, when, keep. PGL's file, with its equations at the top:

# %%
print(inspect.getsource(inspect.getmodule(ml.rules.pgl)))

# %% [markdown]
# ## Check
#
# **The slope.** Move $h_k$ a little along a direction $d$. Then $L_k$ must change by $\langle e_k, d \rangle$ times the
# distance. No line of the backward is needed to measure that change. Twenty random directions for every objective:

# %%
x, y = ml.rng(1).standard_normal((6, 8, 8, 1)), np.array([0, 1, 2, 3, 1, 0])
small = ml.nets.resnet(8, classes=4, channels=1, size=8, rng=ml.rng(0))


def gap(rule, k=1, eps=1e-6):
    """The largest |⟨e_k, d⟩ - slope of L_k along d|, as a share of the largest slope."""
    learner = ml.Learner(small, rule, K, rng=ml.rng(2), dtype="float64")
    objective, p = learner.modules[k].objective, learner.parameters() | learner.buffers()
    h, directions = (ml.rng(3).standard_normal((n, 6, *small.shapes[k])) for n in (1, 20))

    def loss(h):
        return objective.forward(h, ml.objectives.Batch(x, y), PassContext(), p)

    e, _ = objective.backward(loss(h[0])[1], p)
    slopes = [(loss(h[0] + eps * d)[0] - loss(h[0] - eps * d)[0]) / (2 * eps) for d in directions]
    return max(abs((e * d).sum() - s) for d, s in zip(directions, slopes, strict=True)) / np.abs(slopes).max()


tried = rules | {"InfoPro, contrast": ml.rules.infopro(version="contrast", lambdas=[5, 0.5, 5, 0.5])}
for name in ("GLL", "DGL", "PredSim", "InfoPro", "InfoPro, contrast", "PGL"):
    print(f"{name:20}largest difference from the slope: {gap(tried[name]):.0e}")
    assert gap(tried[name]) < 1e-6

# %% [markdown]
# **Automatic differentiation.** `minilocal verify` has every loss and every rule a second time, in JAX. Where JAX is
# installed, here are some of its rows: the errors of four losses, and all gradients of small networks, auxiliary
# networks too, against `jax.grad`.

# %% tags=["parameters"] short="networks = {}"
networks = {"PredSim": 0, "InfoPro, softmax": 0}  # rule: which of its cases

# %%
try:
    import jax  # noqa: F401

    compared = {}
    for loss in ("cross_entropy", "similarity", "binary_cross_entropy", "supervised_contrast"):
        compared[loss] = getattr(ml.verify.losses, loss)((8, 10), 1.0)
    for rule, case in networks.items():
        compared[rule] = ml.verify.synchronous.relative_errors(ml.verify.objectives.CASES[rule][case])
    for what, differences in compared.items():
        print(f"{what:20}{len(differences):3} arrays, largest difference from JAX: {max(differences.values()):.0e}")
        assert max(differences.values()) < 1e-9
except ImportError:
    print("JAX is not installed: skipped")

# %% [markdown]
# **At the edges.** Every rule here has options at which it is one that we know. Then all gradients must be the same, to
# the last bit where nothing is computed in another order. Names of arrays differ, so `gradients` copies the weights of
# the first Learner into the second.


# %%
def gradients(rule, epoch=0, start=None, rename=lambda name: name):
    """Gradients of `small` by that rule, from the weights `start` of another rule."""
    learner = ml.Learner(small, rule, K, rng=ml.rng(2), dtype="float64")
    learner.load({rename(name): a for name, a in (start or {}).items()})
    learner.epoch = epoch
    return {name: g.copy() for name, g in learner.gradients(x, y)[1].items()}


def same(one, other, rename=lambda name: name):
    """Is every array of `one` in `other` too, and the same, bit for bit?"""
    return all(np.array_equal(g, other[rename(name)]) for name, g in one.items())


gll, deep, bp = (gradients(rule) for rule in (ml.rules.gll(), ml.rules.gll(aux="mlp-sr"), ml.rules.bp()))
never, always = (ml.rules.pgl(period=3, duration=q, aux="0c1f") for q in (0, 3))
checks = {
    "DGL is GLL with another network": same(deep, gradients(ml.rules.dgl())),
    "DGL with 0c1f is GLL": same(gll, gradients(ml.rules.dgl(aux="0c1f"))),
    "PGL, Q = 0, is GLL": same(gll, gradients(never, epoch=2)),
    "PGL, Q = P, has BP's gradients": same(bp, gradients(always)),
}
for what, holds in checks.items():
    print(f"{what:34}{holds}")
assert all(checks.values())

# %% [markdown]
# InfoPro with $\lambda_1 = 0$ and $\lambda_2 = 1$ is GLL through its own classifier. PredSim with $\beta = 0$ is GLL
# where its predictor gets one mean for each channel. That mean is computed in another way, so the last bits may differ.


# %%
def renamed(branch):
    """aux.K.I of GLL is aux.K.BRANCH.I in an objective of several branches."""
    return lambda name: name if name[:3] != "aux" else ".".join([*name.split(".")[:2], branch, *name.split(".")[2:]])


start = ml.Learner(small, ml.rules.gll(aux="1c2f"), K, rng=ml.rng(2), dtype="float64").parameters()
classify = gradients(ml.rules.infopro(lambdas=[0, 1, 0, 1]), start=start, rename=renamed("classifier"))
plain = same(gradients(ml.rules.gll(aux="1c2f")), classify, renamed("classifier"))
print(f"{'InfoPro, λ = 0 and 1, is GLL':34}{plain}")

start = ml.Learner(small, ml.rules.gll(), K, rng=ml.rng(2), dtype="float64").parameters()
predict = gradients(ml.rules.predsim(beta=0, dim_in_decoder=1), start=start, rename=renamed("pred"))
furthest = max(abs(g - predict[renamed("pred")(name)]).max() / abs(g).max() for name, g in gll.items())
print(f"{'PredSim, β = 0, is GLL':34}within {furthest:.0e}")
assert plain and furthest < 1e-12

# %% [markdown]
# ## Experiment
#
# ResNet-8 on 500 digits, four modules of one unit each. In epochs 3 and 6 PGL learns from the last loss. For each seed
# all rules start from the same weights of the main network and meet the same batches. Nothing is tuned: one learning
# rate, and the papers' own weights of the losses.

# %% tags=["parameters"] short="seeds, epochs, images = 1, 3, 100"
seeds, epochs, images = 3, 6, 500

# %%
few = digits.reduced(limit_train=images)


def train(rule, seed):
    """The trained Learner, its test errors by epoch, and those of each module's own classifier after the last one."""
    net, rng = new_net(seed)
    optimizer = ml.optim.SGD(momentum=0.9, weight_decay=1e-4)
    learner = ml.Learner(net, rule, K, rng=rng, optimizer=optimizer)
    rows = ml.fit(learner, few, epochs, batch_size=50, lr=0.1, seed=seed)
    return learner, [row["test_error"] for row in rows], rows[-1]["local_errors"]


runs = {name: [train(rule, seed) for seed in range(seeds)] for name, rule in rules.items()}
draw.curves(
    {name: [errors for _, errors, _ in of_rule] for name, of_rule in runs.items()},
    title=f"Six rules, ResNet-8, K = 4, {images} digits",
)

# %%
print(
    f"test error in % of {len(digits.test_y)} images after epoch {epochs}: mean, and least to largest of {seeds} seeds"
)
for name, of_rule in runs.items():
    last = [errors[-1] for _, errors, _ in of_rule]
    print(f"{name:10}{np.mean(last):5.1f}   {min(last):4.1f} to {max(last):4.1f}")
print(f"one image is {100 / len(digits.test_y):.2f} points")

# %% [markdown]
# In the runs stored here all local rules end above BP on the mean, and DGL, PredSim, InfoPro and PGL below GLL. Yours
# may differ by a few images. The bands of GLL, DGL, PredSim and InfoPro overlap, so nothing follows about their order.
#
# Each module below the last has a classifier of its own, but for BP's, and for InfoPro's module 1: there $\lambda_2$ is
# 0, so that its classifier does not learn.

# %%
for name, of_rule in runs.items():
    by_module = zip(*(local for _, _, local in of_rule), strict=True)
    means = ["     -" if None in errors else f"{np.mean(errors):6.1f}" for errors in by_module]
    print(f"{name:10}", *means)

# %% [markdown]
# In the runs stored here DGL and PredSim err as little behind module 1 as behind the last one, within two points: the
# modules above add next to nothing for digits. Under GLL each module errs less than the one below it. PGL's last epoch
# was a global one, so that its lower modules have just learnt from the last loss, and not from their own.
#
# ### What it costs
#
# Parameters of the auxiliary networks, next to those of the network itself; and the bytes of a training step with a
# batch of 50 above parameters and momentum, estimated from the shapes for one thread. PGL has local and global steps;
# memory must suffice for both.

# %%
net, _ = new_net(0)
print(f"the network has {ml.nets.count(net.parameters()):,} parameters")
print(f"{'':10}{'auxiliary':>10}{'':4}bytes of a step, MB: local  global  average")
for name, rule in rules.items():
    auxiliary = ml.nets.count(ml.Learner(net, rule, K, rng=ml.rng(0)).parameters()) - ml.nets.count(net.parameters())
    memory = ml.memory.over_period(net, rule, K, 50, machine=ml.memory.CPU(1))
    step = [memory.local.step, memory.guided.step, memory.average()]
    print(f"{name:10}{auxiliary:10,}{'':24}", *(f"{bytes_ / 1e6:7.2f}" for bytes_ in step))

# %% [markdown]
# So guess 3: PGL alone. Its global steps take BP's bytes, and only the average over a period is less. (That DGL and PGL
# have the same number of auxiliary parameters is chance: their networks differ, as the list at the top shows.)
#
# ### What PredSim makes alike
#
# $R$ of (3) for nine test images, three of each of three digits, in module 1: before training, and after. Brown is
# alike, white has the cosine 0, violet is opposite.

# %%
chosen = np.concatenate([np.flatnonzero(digits.test_y == digit)[:3] for digit in (0, 1, 7)])
nine, labels = digits.normalise(digits.test_x[chosen]), digits.test_y[chosen]


def output(learner, k, h, training=False):
    """h_k of images h, and what a further pass needs: context and arrays."""
    ctx, p = PassContext(training), learner.parameters() | learner.buffers()
    for module in learner.modules[: k + 1]:
        h, _ = module.forward(h, ctx, p, update_stats=False)
    return h, ctx, p


def similarity(learner, k):
    """R of these nine images in module k."""
    h, ctx, p = output(learner, k, nine)
    return ml.losses.similarity_matrix(learner.modules[k].objective.branches[0].network.forward(h, ctx, p)[0])


names = [f"{label} ({'abc'[n % 3]})" for n, label in enumerate(labels)]
net, rng = new_net(0)
untrained = ml.Learner(net, rules["PredSim"], K, rng=rng)
R = {"before": similarity(untrained, 0), "after": similarity(runs["PredSim"][0][0], 0)}
draw.heat(
    dict(zip(names, R["before"], strict=True)), columns=names, along="image", label="cosine", title="Before training"
)

# %%
draw.heat(
    dict(zip(names, R["after"], strict=True)), columns=names, along="image", label="cosine", title="After training"
)

# %%
alike = (labels[:, None] == labels[None, :]) & ~np.eye(9, dtype=bool)
for when, matrix in R.items():
    one, two = matrix[alike].mean(), matrix[labels[:, None] != labels].mean()
    print(f"{when:8} mean cosine of two images: of one label {one:5.2f}, of two labels {two:5.2f}")

one_hot = ml.losses.similarity_matrix(np.eye(10))
print(f"the target between two of 10 classes: {one_hot[0, 1]:.4f}, which is -1/9")

# %% [markdown]
# So guess 1: $-1/9$. Why not 0, and why not $-1$? That is the first question below.
#
# ### What InfoPro keeps
#
# Behind each module of a finished network we put a new decoder, and train nothing but these decoders. So every network
# gets the same chance, also those that have never had a decoder. What they cannot reconstruct is no longer there, or
# is not there in a form that so small a decoder can use.

# %% tags=["parameters"] short="steps = 5"
steps = 100

# %%
decoding = ml.rules.infopro(lambdas=[1, 0, 1, 0], **image_constants)  # reconstruction alone


def decoders_of(trained):
    """A Learner with the weights of a finished one, of which new decoders alone have learnt."""
    learner = ml.Learner(trained.net, decoding, K, rng=ml.rng(0))
    arrays = trained.parameters() | trained.buffers()
    learner.load({name: a for name, a in arrays.items() if name[:3] != "aux"})
    weights = {name: w for name, w in learner.parameters().items() if ".decoder." in name}
    adam, states = ml.optim.Adam(), {name: {} for name in weights}
    for step in range(steps):
        _, grads = learner.gradients(*next(few.batches(epoch=step, batch_size=50)))
        adam.update([(w, grads[name], states[name]) for name, w in weights.items()], lr=0.01)
    return learner


def reconstruction(learner, k, h):
    """What decoder k makes of h_k of images h: images in [0, 1]. Batch norm takes the statistics of these images."""
    h, ctx, p = output(learner, k, h, training=True)
    return 1 / (1 + np.exp(-learner.modules[k].objective.branches[0].network.forward(h, ctx, p)[0]))


decoded = {name: [decoders_of(learner) for learner, _, _ in runs[name]] for name in ("BP", "GLL", "InfoPro")}

# %%
inputs, true = digits.normalise(digits.test_x), digits.test_x / 255
shown = [int(np.flatnonzero(digits.test_y == digit)[0]) for digit in range(10)]
pictures = {"image": true[shown]}
for name in ("GLL", "InfoPro"):
    for k in (0, K - 2):
        pictures[f"{name}, module {k + 1}"] = reconstruction(decoded[name][0], k, inputs)[shown]
draw.images(pictures, title="Test images, and what a decoder makes of a module's output")


# %%
def off(learner, k):
    """The root mean square of (reconstruction - image), as % of black to white."""
    return 100 * np.sqrt(((reconstruction(learner, k, inputs) - true) ** 2).mean())


distance = {name: [[off(learner, k) for k in range(K - 1)] for learner in of_rule] for name, of_rule in decoded.items()}
draw.curves(distance, along="module", label="distance from the image (%)", title="What can no longer be reconstructed")

# %%
blank = 100 * np.sqrt(((digits.train_x.mean(axis=0) / 255 - true) ** 2).mean())
print(f"distance from the image in % of black to white, mean of {seeds} seeds; the mean training image: {blank:.1f}")
for name, by_seed in distance.items():
    print(f"{name:10}", *(f"{mean:6.1f}" for mean in np.mean(by_seed, axis=0)))

# %% [markdown]
# So guess 2: in the runs stored here it gets harder from module to module in all three networks. Behind module 1 they
# differ by less than half a point. Behind module 3 the images of InfoPro's network are the nearest, 10.2 % off, and
# those of GLL's the furthest, 12.7 %. The mean training image, which is the same for all, is 27.1 % off.
#
# ## Exercises
#
# ### 8a. Write PredSim's matrix
#
# $R$ of (1) to (3), for maps. Without $\varepsilon$, which is there for images whose deviations are all the same.


# %% tags=["solution"] exercise="8a"
def similarities(U):
    """The cosine between each two images of a batch.        U (N, H, W, C)  →  R (N, N)

    Each channel of a map counts by its standard deviation over the positions. A cosine is of two images' deviations,
    each less its mean over the channels.
    """
    s = U.std(axis=(1, 2))
    s = s - s.mean(axis=1, keepdims=True)
    x = s / np.sqrt((s * s).sum(axis=1, keepdims=True))
    return x @ x.T


# %%
passed = ml.teach.check("8a", similarities)

# %% [markdown]
# ### 8b. Write PGL's schedule
#
# Which of the epochs 0, 1, 2 ... are global ones? The paper can be read in two ways, and both are asked for: the last Q
# *of* every P epochs, or Q epochs *after* every P. [docs/papers.md](../docs/papers.md#pgl) says what supports the
# first.


# %% tags=["solution"] exercise="8b"
def global_epochs(epochs, period, duration, includes):
    """Whether each of epochs 0, 1, 2 ... is a global one of PGL, in which the main weights learn from the last loss.

    `period` is P and `duration` Q; training begins with local epochs. `includes`: the last Q of every P epochs are
    global. Otherwise Q global epochs follow after every P local ones.

    Returns truth values, (epochs,).
    """
    cycle = period if includes else period + duration
    return np.arange(epochs) % cycle >= cycle - duration


# %%
passed = ml.teach.check("8b", global_epochs)

# %% [markdown]
# ### Why -1/9?
#
# PredSim's target for two images of different classes is $-1/9$ for 10 classes. Could it be lower for all pairs of
# classes at once? Say what the ten one-hot vectors, less their means, add up to. Then compute the square of that sum
# from the cosines.

# %% [markdown] tags=["solution"]
# The ten one-hot vectors add up to a vector of ones. Less their means they add up to 0, and all have one length $n$.
# So $0 = \|\sum_b \tilde s_b\|^2 = n^2 (10 + 90 c)$, where $c$ is the cosine of two of them: $c = -1/9$. For any ten
# vectors of one length the square of the sum is 0 or more. So no ten directions have a mean cosine below $-1/9$. The
# target sets classes as far apart as ten of them can be.

# %% [markdown]
# ### With labels, and without
#
# Set $\lambda_2 = 0$ in all modules of InfoPro, or $\beta = 1$ in PredSim. What does a module below the last learn from
# then, and does it need labels? What do you expect of the error of the network in each case? Then run them.

# %% [markdown] tags=["solution"]
# With $\lambda_2 = 0$ a module learns from the image alone: three of the four modules are trained without labels. With
# $\beta = 1$ no label is predicted, but $R_y$ says which images have the same one, and that is nearly as good as the
# label itself. In the runs stored here neither lost more than about one image on the mean. The last module has labels,
# and digits are easy to tell apart once they can be seen. Whether that holds for CIFAR-10 is another question.

# %% tags=["solution"]
without = {
    "InfoPro, λ2 = 0": ml.rules.infopro(lambdas=[6, 0, 1, 0], **image_constants),
    "PredSim, β = 1": ml.rules.predsim(beta=1.0),
}
for name, rule in without.items():
    print(f"{name:16}{np.mean([train(rule, seed)[1][-1] for seed in range(seeds)]):5.1f}")

# %% [markdown]
# ## Not shown
#
# * Which objective is best. These are 500 training images and epochs by the handful, nothing is tuned, and auxiliary
#   networks of several sizes take part. The papers' tables are of CIFAR and longer; InfoPro's, with ours at scale tiny,
#   is [here](../docs/results/README.md).
# * The contrast version of InfoPro, whose classifier is a supervised contrastive loss: `version="contrast"`.
# * Combinations. An objective is one of four answers, so InfoPro's can stand behind a backward link:
#   [docs/rules.md](../docs/rules.md). And one of your own is lesson 11.
# * What time it takes. Auxiliary networks are work too; `minilocal bench` and `minilocal simulate` measure it.
# * All places where these papers can be read in two ways: [docs/papers.md](../docs/papers.md). Options, limits and
#   published errors, a page each: [DGL](../docs/rules/dgl.md), [PredSim](../docs/rules/predsim.md),
#   [InfoPro](../docs/rules/infopro.md), [PGL](../docs/rules/pgl.md).
#
# ### Weights that come down
#
# **MAN** (Su and others, "Momentum Auxiliary Network for Supervised Local Learning", 2024) answers the second question
# in a way of its own: what crosses downward are weights. $u$ is the first unit of module $k+1$. Behind module $k$ stand
# $M_k$, an average of $u$ over the steps, and $B_k$, a unit like it that learns. InfoPro's two losses stand behind
# their sum:
#
# $$y_k = M_k(h_k) + B_k(h_k), \qquad
# L_k = \lambda_1\, \mathrm{BCE}\big(\text{decoder}_k(y_k),\, x\big) + \lambda_2\, \mathrm{CE}\big(A_k(y_k), y\big)$$
#
# $$\theta(M_k) \leftarrow m\, \theta(M_k) + (1 - m)\, \theta(u) \qquad \text{after each step, } m = 0.995$$
#
# So a module is asked whether $h_k$ serves the next unit, as that unit was in the last $1/(1-m) = 200$ steps or so. No
# error comes down, and no module waits for one. `ml.rules.man()` is `compose` with InfoPro's objective and
# `ml.boundaries.weights()`; `minilocal locality --rule man` measures when the weights arrive. Each boundary costs two
# more units. Where the paper and its code differ is on [its page](../docs/rules/man.md).
#
# ### Methods that these questions do not describe
#
# Every rule here answers four questions: objective (which loss), boundary (which errors come down), when, keep. Some
# methods without BP are no set of such answers. It is worth knowing where each leaves the frame.
#
# **Forward-Forward** (Hinton, 2022). A layer learns to be active for real data and quiet for other data. Its
# *goodness* is the sum of its squared activities, and a logistic loss pushes that above a threshold for positive images
# and below it for negative ones. The label may be part of the image; then a negative image is one with a wrong label.
# Each layer's input is normalised to one length, so that the goodness of the layer below does not tell.
#
# * Learnt from: the layer's own goodness, in two forward passes, without a classifier.
# * It fits: no error comes down (boundary `closed`), and nothing waits for one (keep).
# * No answer here: the *objective*. Ours are functions of $h_k$, one batch and its labels; this one needs to know
#   which images are negative, and negative images must be made. Nor is a prediction the output of a head: one runs the
#   network with each label, and takes the label of the largest goodness.
#
# **Direct feedback alignment** (Nøkland, 2016), after feedback alignment (Lillicrap and others, 2016). Feedback
# alignment has (3) of lesson 1 with a fixed random matrix in place of $(w^{n+1})^\top$. The direct form sends the error
# $\delta^N$ of the output to every layer at once:
#
# $$\delta^n = f'(z^n) \odot B^n \delta^N, \qquad B^n \text{ random and fixed}$$
#
# * Learnt from: the error of the last loss, through a matrix that is not learnt. Layers turn so that this helps.
# * It fits: there is no local objective (`none`), and activations are kept until the error is there (keep).
# * No answer here: the *boundary*. Ours joins two neighbours. What comes down is the true error of a loss, in time or
#   delayed, or a learnt prediction of it. $B^n \delta^N$ passes by all modules between, and is neither the gradient of
#   the last loss nor of a local one.
#
# **NoProp** (Li, Teh and Pascanu, 2025). Block $t$ gets the image and a noisy copy of the label's embedding, and
# learns to give back the clean embedding. In training the noisy copy is drawn from the label. Only in use does block
# $t+1$ get what block $t$ has made, beginning with pure noise.
#
# * Learnt from: the label, by each block alone, as one step of a diffusion model.
# * It fits: no error comes down, and nothing waits for one.
# * No answer here: the *boundary* again, but upward. Here $h_k$ always goes up, and the question is what comes down. In
#   NoProp nothing goes up in training, so that blocks need not even be run in order.
#
# ### Newer rules that they do describe
#
# **Interlocking backpropagation** (Gomez and others, 2022) answers the second question with a number. An error passes
# down through $n$ whole modules, and the weights of a module learn from one loss alone:
#
# $$w_k \text{ from } L_{m(k)}, \qquad m(k) = \min(k + n, K)$$
#
# With $n = 0$ that is GLL, with $n = K - 1$ BP. In between a module waits for $n$ others, and the caches of $n + 1$
# modules are kept. `ml.rules.interlocking(reach=n)`, and [its page](../docs/rules/interlocking.md).
#
# **AugLocal** (Ma and others, 2024) answers the first question. Its auxiliary networks are made of blocks like the
# network's own later units, evenly spaced, with weights of their own: $d$ of them behind the lowest module, fewer
# further up. So a module learns what a shorter form of the rest of the network can use. No error comes down. On
# ResNet-32 with $d = 2$ these auxiliary networks take 1.5 times the multiply-adds of the network itself.
# `ml.rules.auglocal(depth=2)`, and [its page](../docs/rules/auglocal.md).
#
# **HPFF** (2024) answers both. Two heads stand behind each module. The error of the first ends in the module. The
# second classifies, and reconstructs the image from 2×2 patches; its error passes through the module and the whole
# module below. With $w_1 = 0.001$ and $w_2 = 0.999$ the weights of module $k$ get
#
# $$g_k = w_1 \nabla L_{1,k} + w_2 \big(\nabla L_{2,k} + \nabla L_{2,k+1}\big)$$
#
# Module 1 has no loss: the second head of module 2 teaches it. The two errors of a module take two backward passes,
# since only one of them may leave it. `ml.rules.hpff()`, and [its page](../docs/rules/hpff.md).
#
# Next: [lesson 9](09_late_errors.ipynb), where the error is the true one but comes too late.
