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
# # 3 · Local losses: what if no error crosses?
#
# * **You learn** to write the update of greedy local learning; to hold a stop-gradient to automatic differentiation; to
#   measure with linear probes what can be read off a layer
# * **You need** lesson 1; NumPy; what a convolution is (lesson 2)
# * **Time** 45 minutes; the cells run in 2 minutes on two cores, offline
#
# ## Question
#
# Under backpropagation (BP) the first layer waits for the last one. Its error is there only after a forward through the
# whole network and a backward through the whole network. Until then its activations are kept.
#
# Cut the network into K modules instead. Each gets a small classifier and a loss of its own, and **no error crosses**
# from one module to the next. That is greedy local learning, **GLL**.
# **What does a module keep then, and what does the network lose?**
#
# Four words, as the papers use them. A **unit** is what the papers count: a linear layer or a convolution with its
# ReLU; in a ResNet the first convolution, and each block of two. A **module** is some consecutive units that learn
# together. Its small classifier is an **auxiliary network**; `0c1f`, the papers' linear one, has 0 convolutions and 1
# fully connected layer (after a mean over the map). The last module has none: its classifier is the network's own head.
# A **Learner** is a network that is cut so, under a rule: `gradients` and `step` are its two main methods.
#
# Before you run anything, write down three guesses:
#
# 1. Eight layers in four modules. Module 2 begins its forward. What does module 1 still keep, under BP and under GLL?
# 2. At which depth does a linear classifier read the answer better from a network that BP has trained, and at which
#    from one that GLL has trained?
# 3. What happens to the error of the whole network when K grows?

# %%
import inspect

import numpy as np

import minilocal as ml
from minilocal import draw
from minilocal import equations as eq

# %% [markdown]
# ## Picture
#
# Every loss has its module's colour. The arrow of that colour shows which units its error passes, and where it stops.

# %%
draw.rule_picture(ml.rules.bp(), modules=4, units=8)

# %%
draw.rule_picture(ml.rules.gll(), modules=4, units=8)

# %% [markdown]
# Activations still go all the way up: module 2 computes with what module 1 gives it. Only the errors stop.
#
# Here is such a network, a multilayer perceptron of eight layers, with the shapes, the auxiliary networks, and what
# each module keeps.

# %%
mlp = ml.nets.mlp((64,) * 7, classes=10, channels=1, size=16, rng=ml.rng(0))
rules = {"BP": ml.rules.bp(), "GLL": ml.rules.gll()}
learners = {name: ml.Learner(mlp, rule, modules=4, rng=ml.rng(0)) for name, rule in rules.items()}
draw.network(learners["GLL"], batch_size=100)

# %% [markdown]
# **One step, frame by frame.** `step_through` records what a training step does, in the order in which the engine does
# it, and how many bytes are live. The page has buttons, and the arrow keys work too. (Where a notebook is only shown,
# not run, the page may be missing; the numbers below are from the same frames.)

# %%
digits = ml.data.load("digits", limit_train=500)
x_batch, y_batch = digits.normalise(digits.train_x[:100]), digits.train_y[:100]
steps = {name: draw.step_through(learner, x_batch, y_batch, lr=0.1) for name, learner in learners.items()}
steps["GLL"]

# %%
for name, step in steps.items():
    begins = next(frame for frame in step.frames if frame.kind == "forward" and frame.unit == 3)
    updates = [n for n, frame in enumerate(step.frames, 1) if frame.kind == "update" and frame.unit == 1]
    print(f"{name}: a step of {len(step.frames)} frames")
    print(f"    module 1 keeps {begins.by_module[0] / 1e3:.1f} kB when module 2 begins")
    print(f"    layer 1 learns in frame {updates[0]}")
    print(f"    at most {max(frame.bytes for frame in step.frames) / 1e3:.1f} kB are live")

# %% [markdown]
# So guess 1: under GLL nothing. Module 1 has its gradients before module 2 begins, and frees all that it kept. Only its
# output stays, as the input of module 2. Under BP everything stays until the last loss has its error. Lesson 5 has the
# bytes in full, and checkpointing beside them.
#
# ## Equation
#
# Write $f_k$ for module $k$, $h_k$ for its output and $A_k$ for its auxiliary network, whose weights are $\gamma_k$.
# The **stop-gradient** $\mathrm{sg}[\cdot]$ is the identity in the forward, and has the derivative 0:
#
# $$h_k = f_k(\mathrm{sg}[h_{k-1}]), \qquad L^k = \mathrm{CE}\big(A_k(h_k; \gamma_k),\, y\big)$$
#
# A module with such an input is **gradient-isolated**. Each of its layers $n$ descends the module's own loss. The
# BackLink paper gives this update no number:
#
# $$w^n \leftarrow w^n - \eta\, \nabla L^k(w^n)$$
#
# In errors, for a linear classifier with the weights $w_c$: first that of the classifier's own output, the mean over a
# batch of $B$. Then that of the module's last layer, which comes back through $w_c$ and through nothing else:
#
# $$\delta_c^k = \tfrac{1}{B}\big(\mathrm{softmax}(z_c) - \mathrm{onehot}(y)\big), \qquad
# \delta^n = f'(z^n) \odot (w_c)^\top \delta_c^k$$
#
# From there it goes down by (3), as in lesson 1, and ends at the module's first layer:
#
# $$\delta^i = f'(z^i) \odot (w^{i+1})^\top \delta^{i+1} \tag{3}$$
#
# Where $h_k$ is a map, `0c1f` reads the mean over its $H \times W$ positions, channel by channel. So each position gets
# the same error, $1/(HW)$ of that of the mean.
#
# ## Code
#
# The equations, on columns:

# %%
for function in (eq.local_errors, eq.update_local):
    print(inspect.getsource(function))

# %% [markdown]
# The rule that trains whole networks names a module's objective and its boundary, and one engine does the rest. The
# objective is here the loss of an auxiliary network. This is the rule's file.

# %%
print(inspect.getsource(inspect.getmodule(ml.rules.gll)))

# %% [markdown]
# ## Check
#
# **Against automatic differentiation.** A small network, six layers in three modules of two. We write down its three
# losses in plain matrix products. `boundary` is what happens to an activation on its way into a module.

# %%
K, UNITS = 3, 6
rng = ml.rng(1)
net = ml.nets.mlp((6, 5, 7, 6, 5), classes=4, channels=1, size=3, rng=rng)
images, labels = rng.standard_normal((8, 3, 3, 1)), rng.integers(0, 4, 8)


def learner_of(rule, modules=K):
    """A Learner of that rule; all of them start from the same weights, auxiliary classifiers too."""
    return ml.Learner(net, rule, modules=modules, rng=ml.rng(2), dtype="float64")


start = {name: a.copy() for name, a in learner_of(ml.rules.gll()).parameters().items()}


def local_losses(p, xp=np, boundary=lambda h: h):
    """[L_1, L_2, L_3] of the weights p, samples in rows."""
    h, losses = images.reshape(len(images), -1), []
    for k in range(K):
        h = boundary(h)
        for u in (2 * k, 2 * k + 1):
            z = h @ p[f"layers.{u}.weight"] + p[f"layers.{u}.bias"]
            h = xp.maximum(z, 0)
        if k < K - 1:  # the last module needs no auxiliary classifier: layer 6 is the output
            z = h @ p[f"aux.{k}.0.weight"] + p[f"aux.{k}.0.bias"]
        z = z - z.max(axis=1, keepdims=True)
        log_p = z - xp.log(xp.exp(z).sum(axis=1, keepdims=True))
        losses.append(-log_p[np.arange(len(labels)), labels].mean())
    return losses


# %% [markdown]
# JAX has a stop-gradient. With it at the boundaries, the gradient of the *sum* of the three losses must be GLL's.
# Without it, the same sum lets every loss into all the layers below. Where JAX is not installed, every weight is moved
# a little, as in lesson 1: a weight of module $k$ then learns from $L_k$ alone, or from all losses.


# %%
def by_moving(loss, eps=1e-6):
    """The derivative of loss(losses, k) by every weight of module k, one at a time."""
    g = {name: np.zeros_like(a) for name, a in start.items()}
    for name, a in start.items():
        part, number = name.split(".")[:2]
        k = int(number) // 2 if part == "layers" else int(number)
        for i in np.ndindex(a.shape):
            for sign in (1, -1):
                p = start | {name: a.copy()}
                p[name][i] += sign * eps
                g[name][i] += sign * loss(local_losses(p), k) / (2 * eps)
    return g


try:
    import jax

    jax.config.update("jax_enable_x64", True)
    stop, xp, source = jax.lax.stop_gradient, jax.numpy, "JAX"
    isolated = jax.grad(lambda p: sum(local_losses(p, xp, boundary=stop)))(start)
    connected = jax.grad(lambda p: sum(local_losses(p, xp)))(start)
except ImportError:
    isolated, connected = by_moving(lambda losses, k: losses[k]), by_moving(lambda losses, k: sum(losses))
    source = "moving every weight"

# %%
grads = learner_of(ml.rules.gll()).gradients(images, labels)[1]
print(f"largest difference of GLL's gradient from that of {source}, of the largest number")
print(f"{'':16}{'with sg':>10}{'without':>10}")
for name in [*(f"layers.{u}.weight" for u in range(UNITS)), "aux.0.0.weight", "aux.1.0.weight"]:
    with_stop, without = (abs(grads[name] - g[name]).max() / abs(g[name]).max() for g in (isolated, connected))
    print(f"{name:16}{with_stop:10.0e}{without:10.0e}")
    assert with_stop < (1e-9 if source == "JAX" else 1e-5)

# %% [markdown]
# With the stop-gradient the difference is rounding. Without it the layers of modules 1 and 2 would learn from the
# losses above too. Module 3 has no loss above it, and no auxiliary classifier has any layer above it, so nothing
# changes for these.
#
# **Two exact limits.** With K = 1 there is no boundary, so GLL must be BP. And if no error crosses, module 1 must get
# the same gradients whatever stands above it. Both to the last bit.

# %%
whole = [learner_of(rule, modules=1).gradients(images, labels)[1] for rule in (ml.rules.gll(), ml.rules.bp())]
one_is_bp = all(np.array_equal(whole[0][name], g) for name, g in whole[1].items())

other = learner_of(ml.rules.gll())
other.load({f"layers.{u}.weight": 3 * start[f"layers.{u}.weight"] for u in range(2, UNITS)})
below = [name for name in grads if name.startswith(("layers.0.", "layers.1.", "aux.0."))]
changed = other.gradients(images, labels)[1]
same_below = all(np.array_equal(changed[name], grads[name]) for name in below)

print("K = 1 is BP, bit for bit:", one_is_bp)
print("other weights in modules 2 and 3, the same gradients in module 1, bit for bit:", same_below)
assert one_is_bp and same_below

# %% [markdown]
# ## Experiment
#
# The InfoPro paper explains the error of GLL so: an early module learns what serves its *own* classifier, and throws
# away what the modules above could have used. That can be measured. Train a network, freeze it, and fit a linear
# classifier to the output of each unit: a **linear probe**. Its test error says how much of the answer a plane can read
# there. (The loss of a probe is convex, so it hardly matters where its weights start.)
#
# Real digits and a ResNet of ten units: by BP, and by GLL with K = 2, 4 and 8. All start from the same weights and see
# the same batches, seed by seed.

# %% tags=["parameters"] short="seeds, epochs, depth, splits = 1, 1, 8, (2, 4)"
seeds, epochs, depth, splits = 3, 6, 20, (2, 4, 8)


# %%
def trained(rule, modules, seed):
    """A Learner after its epochs."""
    rng = ml.rng(seed)
    net = ml.nets.resnet(depth, classes=10, channels=1, size=16, rng=rng)
    learner = ml.Learner(net, rule, modules=modules, rng=rng, optimizer=ml.optim.SGD(momentum=0.9, weight_decay=1e-4))
    ml.fit(learner, digits, epochs, batch_size=50, lr=0.1, schedule="cosine", seed=seed)
    return learner


compared = {"BP": (ml.rules.bp(), 1)} | {f"GLL, K = {k}": (ml.rules.gll(), k) for k in splits}
runs = {name: [trained(rule, k, seed) for seed in range(seeds)] for name, (rule, k) in compared.items()}

# %% [markdown]
# `ml.linear_probes` probes the output of each *module*. To get every unit, the trained arrays are copied into a Learner
# whose modules have one unit each. Its rule does not matter, since nothing is trained any more.


# %%
def probe_errors(learner):
    """Test error (%) of a linear probe on the output of each unit, first to last."""
    by_unit = ml.Learner(learner.net, ml.rules.bp(), modules=len(learner.net.units), rng=ml.rng(0))
    arrays = learner.parameters() | learner.buffers()
    by_unit.load({name: arrays[name] for name in (by_unit.parameters() | by_unit.buffers())})
    return ml.linear_probes(by_unit, digits)


probes = {name: np.array([probe_errors(learner) for learner in of_rule]) for name, of_rule in runs.items()}
most = f"GLL, K = {splits[-1]}"
draw.curves(
    {name: probes[name] for name in ("BP", most)},
    along="unit",
    label="test error of a linear probe (%)",
    title=f"What a plane can read at each depth: ResNet-{depth}",
)

# %%
print(f"test error (%) of linear probes, unit by unit, mean of {seeds} seeds; | is the end of a module")
for name, (_, k) in compared.items():
    tops = np.cumsum([len(module.units) for module in runs[name][0].modules])
    means = enumerate(probes[name].mean(axis=0), 1)
    print(f"{name:12}", *(f"{error:5.1f}{'|' if k > 1 and u in tops else ' '}" for u, error in means))
print(f"one of {len(digits.test_y)} images is {100 / len(digits.test_y):.2f} points")

# %% [markdown]
# So guess 2. In the first four units a plane reads a little *more* from GLL's networks than from BP's, on the mean: GLL
# trains them for exactly that. (The bands overlap there.) From then on BP's error falls to less than half, while that
# of GLL with K = 8 hardly moves. Its upper modules have as many weights as BP's. But their input was trained for
# another classifier, and their errors do not reach it. K = 4 lies between.
#
# With K = 2 nothing of the kind is seen: the first module has five units, and its row falls as BP's does. At every unit
# it is below BP's, the last one included. In these runs it matters how early the first boundary comes.
#
# **The modules' own classifiers.** `local_logits` gives the logits of all of them in one pass. The last one is the
# network's own.


# %%
def head_errors(learner):
    """Test error (%) of each module's own classifier, first to last."""
    logits = learner.local_logits(digits.normalise(digits.test_x))
    return [100 * float((z.argmax(axis=1) != digits.test_y).mean()) for z in logits]


print(f"test error (%) of each module's own classifier, mean of {seeds} seeds")
for name, of_rule in runs.items():
    means = np.mean([head_errors(learner) for learner in of_rule], axis=0)
    print(f"{name:12}", *(f"{error:5.1f}" for error in means))

# %% [markdown]
# So guess 3, read off the last number of each row: with two modules the network errs about as BP's does, with four
# more, and with eight most. Yours may differ by a few images.

# %% [markdown]
# ## Exercises
#
# 3a and 3b are one function each. The cell behind it calls it on several cases and compares it with the package's own.
# If a number differs, it says which one, and often why.
#
# ### 3a. Write GLL's update
#
# The last layer of module $k$, a ReLU layer: $f'(z)$ is `z > 0`. You get its weights `w`, its pre-activations `z` and
# its input `x`; its classifier's weights `w_c` and error `delta_c`; and, of the layer above the boundary, `w_next` and
# `delta_next`. Return the new weights. Not all that you get is needed. $\delta \otimes x$ adds over the batch: it is
# `delta @ x.T`.


# %% tags=["solution"] exercise="3a"
def gll_update(w, z, x, w_c, delta_c, w_next, delta_next, eta):
    """The new weights of the last layer of module k under GLL; a ReLU layer, z = w x + b.

    w (O, I), z (O, B), x (I, B). The module's own classifier: w_c (C, O), delta_c (C, B). The first layer of module
    k + 1: w_next (A, O), delta_next (A, B).  →  (O, I)
    """
    return w - eta * ((z > 0) * (w_c.T @ delta_c)) @ x.T


# %%
passed = ml.teach.check("3a", gll_update)

# %% [markdown]
# ### 3b. Write the backward of the local classifier
#
# `0c1f` on a map, samples in rows as in the engine: the mean over the positions of `h`, times `w_c`, plus `b`, are the
# logits. The loss is the mean cross-entropy of the batch. Return its gradients by `w_c`, `b` and `h`. The error of the
# logits is under "Equation", and so is what a mean does to an error. (Its `w_c` is for columns; in rows it is turned.)


# %% tags=["solution"] exercise="3b"
def classifier_gradients(h, w_c, b, labels):
    """(dw_c, db, dh) of the mean cross-entropy of logits = mean over the map(h) w_c + b; samples in rows.

    h (N, H, W, C), w_c (C, classes), b (classes,), labels (N,)  →  the shapes of w_c, b and h
    """
    N, H, width, _ = h.shape
    pooled = h.mean(axis=(1, 2))
    z = pooled @ w_c + b
    dz = np.exp(z - z.max(axis=1, keepdims=True))
    dz /= dz.sum(axis=1, keepdims=True)
    dz[np.arange(N), labels] -= 1
    dz /= N
    dh = np.broadcast_to((dz @ w_c.T / (H * width))[:, None, None], h.shape)
    return pooled.T @ dz, dz.sum(axis=0), dh


# %%
passed = ml.teach.check("3b", classifier_gradients)

# %% [markdown]
# ### 3c. A module for each unit (open)
#
# Let every unit be a module of its own. Which errors are left then, and which layers does (3) still connect? Will the
# probes fall or rise against K = 8? Write it down; then train one such network with `trained`, and compare it with
# `probes[most][0]`, which had the same seed.

# %% [markdown] tags=["solution"]
# Every unit gets the error of its own classifier, and no other. (3) connects only the two convolutions inside a block.
# So each unit is trained as if it were the last one, on an input that nothing can change for its sake: greedy
# layer-by-layer training. K = 8 has that in all units but the first four, which are two modules of two. So the two rows
# are close; where they differ says little, with one seed.

# %% tags=["solution"]
units = len(runs["BP"][0].net.units)
for name, errors in ((most, probes[most][0]), (f"GLL, K = {units}", probe_errors(trained(ml.rules.gll(), units, 0)))):
    print(f"{name:12}", *(f"{error:5.1f}" for error in errors))

# %% [markdown]
# ### 3d. Two linear classifiers, two errors (open)
#
# The classifier of a module and the probe on its last unit are both linear, in the same mean over the map. Yet compare
# the two tables, for K = 8: the module's own errs far more often. Why? And which of the two tells what the modules
# above can still use?

# %% [markdown] tags=["solution"]
# The module's classifier has had six epochs of ten steps, from a rate that shrinks, on features that moved all the
# time. The probe has 300 steps over all images at once, on features at rest and of equal size. So the first says what
# this training came to, the second what a plane can read. Of what the modules above can use the probe tells more, but
# not all: a layer can hold what a plane cannot read, and the next layers are no planes.

# %% [markdown]
# ## Not shown
#
# * That GLL loses *information*. A probe says what a plane can read off a layer's mean over the map. What it cannot
#   read may still be there, in a form that the layers above can use.
# * What the width does. Units 1 to 4 have 16 channels, 5 to 7 have 32 and the last three 64, so that a probe has more
#   numbers to read higher up, under every rule.
# * That the same happens on CIFAR-10, with 32 layers and hundreds of epochs. `minilocal reproduce linear-probes` is
#   that experiment; it takes a GPU.
# * That nothing helps. A stronger auxiliary network (`ml.rules.gll(aux="1c2f")`) and another local loss (lesson 8) are
#   the usual remedies; lesson 4 lets a little error across.
# * How fast it is. That modules need not wait for each other is lesson 6.
#
# Where to read on: [the papers, to the letter](../docs/papers.md), [all rules](../docs/rules.md); then lesson 4,
# [BackLink](04_backlink.ipynb).
