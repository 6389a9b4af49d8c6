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
# # 1 · Backpropagation by hand, and what it keeps
#
# * **You learn** to write the backward pass of a network by hand, to check it, and to count the bytes that it keeps
# * **You need** NumPy; what a gradient is
# * **Time** 45 minutes; the cells run within a minute on two cores, offline
#
# ## Question
#
# A weight deep inside a network has to change, but the loss is computed at the last layer only.
# **How does the error of a layer in the middle come about, and what must be kept in memory until it is there?**
#
# Before you run anything, write down two guesses:
#
# 1. Double the depth of a network. What happens to the memory that one training step needs?
# 2. A layer makes two numbers for each neuron, $z$ (before the ReLU) and $y$ (after it). Which of them may be thrown
#    away at once?

# %%
import inspect
import tracemalloc
from itertools import pairwise

import numpy as np

import minilocal as ml
from minilocal import draw
from minilocal import equations as eq

# %% [markdown]
# ## Picture
#
# The forward pass goes from left to right (black). At its end is one loss. Its error goes all the way back (the arrow
# below), through every layer. The package draws this from the rule itself.

# %%
draw.rule_picture(ml.rules.bp(), modules=1, units=6, title="BP: one loss, and its error goes through the whole network")

# %% [markdown]
# ## Equation
#
# In the letters of the BackLink paper, for layer $n$:
#
# $$y^n = f(z^n) = f(w^n x^n + b^n), \qquad x^{n+1} = y^n \tag{1}$$
#
# $$w^n \leftarrow w^n - \eta\, \delta^n \otimes x^n \tag{2}$$
#
# $$\delta^n = f'(z^n) \odot (w^{n+1})^\top \delta^{n+1} \tag{3}$$
#
# $\delta^n = \partial L / \partial z^n$ is the **error** of layer $n$: how much the loss would rise if $z^n$ rose a
# little. Equation (3) is the whole idea: of the loss, a layer needs nothing but the error of the layer above, which
# comes back through that layer's weights. (The numbers are those of the journal's print; the preprint counts
# differently, as `minilocal/equations.py` says.)
#
# ## Code
#
# This is the file that the tests compare with automatic differentiation, read from disk as you run the cell.

# %%
for function in (eq.forward, eq.backward, eq.update, eq.outer):
    print(inspect.getsource(function))

# %% [markdown]
# One sample is one column. A mini-batch `X (I, B)` is `B` columns side by side, and $\delta \otimes x$ then adds up
# over them. So nothing has to change for a batch.
#
# Here is a network of three layers, and one call of each equation per layer:

# %%
rng = np.random.default_rng(0)
widths = [5, 8, 6, 3]
w = [rng.standard_normal((o, i)) / i**0.5 for i, o in pairwise(widths)]
b = [0.1 * rng.standard_normal(o) for o in widths[1:]]
X, labels = rng.standard_normal((5, 4)), np.array([0, 2, 1, 2])


def forward_pass(w, b, X):
    """(1), first layer to last: every z, and every layer's input x."""
    zs, xs = [], [X]
    for w_n, b_n in zip(w, b, strict=True):
        z, y = eq.forward(w_n, b_n, xs[-1])
        zs, xs = [*zs, z], [*xs, y]
    return zs, xs[:-1]


def backward_pass(w, zs, labels):
    """(3), last layer to first: every δ. That of the last layer comes from the loss itself."""
    loss, dz = ml.losses.cross_entropy(zs[-1].T, labels)  # the engine keeps samples in rows: hence the .T
    deltas = [dz.T]
    for z, w_above in zip(reversed(zs[:-1]), reversed(w), strict=False):
        deltas = [eq.backward(z, w_above, deltas[0]), *deltas]
    return loss, deltas


zs, xs = forward_pass(w, b, X)
loss, deltas = backward_pass(w, zs, labels)
print(f"loss {loss:.4f};  shapes of δ, first layer to last:", [d.shape for d in deltas])

# %% [markdown]
# ## Check
#
# A gradient can be checked without any theory: move one weight a little, and see how far the loss moves.


# %%
def by_moving(w, b, n, eps=1e-6):
    """∂L/∂w of layer n, one weight at a time: (L(w + ε) - L(w - ε)) / 2ε."""
    g = np.zeros_like(w[n])
    for i in np.ndindex(g.shape):
        for sign in (1, -1):
            moved = [v.copy() for v in w]
            moved[n][i] += sign * eps
            zs, _ = forward_pass(moved, b, X)
            g[i] += sign * ml.losses.cross_entropy(zs[-1].T, labels)[0] / (2 * eps)
    return g


for n in range(3):
    by_hand, moved = eq.outer(deltas[n], xs[n]), by_moving(w, b, n)
    print(f"w{n + 1}  {by_hand.shape!s:8}  largest difference {abs(by_hand - moved).max():.0e}")
    assert abs(by_hand - moved).max() < 1e-8

# %% [markdown]
# ### Two ways to get it wrong
#
# Equation (3) is for a chain, where each layer has one layer above it. In a ResNet an activation has *two* readers: the
# next convolution, and the shortcut. Two rules keep that right, and each looks removable until it is removed:
#
# * errors that come back over several paths are **added**;
# * the error of a node is passed on only **after all of them are there**.
#
# The smallest example: $b = a^2$, $c = b^2$, $d = c + b$. Here $b$ is read twice, by $c$ and by $d$. Since
# $d = a^4 + a^2$, the right answer at $a = 3$ is $4 a^3 + 2 a = 114$.


# %%
def error_of_a(order, add=True, a=3.0):
    b = a * a
    passes_on = {
        "d": lambda e: {"c": e, "b": e},
        "b": lambda e: {"a": 2 * a * e},
        "c": lambda e: {"b": 2 * b * e},
    }
    error = {"d": 1.0, "c": 0.0, "b": 0.0, "a": 0.0}
    for node in order:
        for below, part in passes_on[node](error[node]).items():
            error[below] = error[below] + part if add else part
    return error["a"]


print("right                                     ", error_of_a("dcb"))
print("b's error is passed on before c's is added", error_of_a("dbc"))
print("the second error replaces the first       ", error_of_a("dcb", add=False))

assert error_of_a("dcb") == 114
assert error_of_a("dbc") != 114 and error_of_a("dcb", add=False) != 114

# %% [markdown]
# Neither mistake raises an exception; the numbers are wrong, that is all. This is why every gradient in this package is
# compared with automatic differentiation. Here is where the engine adds the two paths of a residual block: the sum at
# the end.

# %%
print(inspect.getsource(ml.layers.Residual.backward))

# %% [markdown]
# ## What it keeps
#
# Look again at what the backward pass needs. Equation (2) needs every $x^n$, so the input of every layer must be kept
# from the forward pass until its error comes back. Equation (3) needs $f'(z^n)$, which for the ReLU is 1 where $z > 0$
# and 0 elsewhere, and that is where $y > 0$, too. So $z$ can go (guess 2), and $y^n = x^{n+1}$ is kept anyway.

# %%
z, y = eq.forward(w[0], b[0], X)
assert np.array_equal(eq.relu_derivative(z), eq.relu_derivative(y))
kept, weights = sum(x[:, 0].size for x in xs), sum(v.size for v in w)
print(
    f"kept for the backward pass: {kept} numbers per sample; the weights are {weights}, however many samples there are"
)

# %% [markdown]
# Now guess 1, measured. We count the bytes that are alive at the peak of one training step, above what was there before
# it, for networks of growing depth: ResNet-8, 14, 20 and 32, on 32 images of 16 × 16.
#
# Three words of the package come here for the first time. A **rule** says which error updates which layer; `bp` is
# backpropagation. A **Learner** is a network under a rule, and its `step` is one training step: forward, backward,
# update. It cuts the network into **modules**, which BP needs for checkpointing only (below).


# %%
def peak(depth, rule, modules=1, batch=32):
    """Bytes alive at the peak of one training step, above those before it."""
    rng = ml.rng(0)
    net = ml.nets.resnet(depth, classes=10, channels=1, size=16, rng=rng)
    learner = ml.Learner(net, rule, modules=modules, rng=rng)
    x, labels = rng.standard_normal((batch, 16, 16, 1), dtype="float32"), rng.integers(0, 10, batch)
    learner.step(x, labels, lr=0.1)  # the first step also makes the momentum, which stays
    tracemalloc.start()
    learner.step(x, labels, lr=0.1)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


bytes_of = {f"BP, ResNet-{depth}": peak(depth, ml.rules.bp()) for depth in (8, 14, 20, 32)}
draw.bars(
    {name: n / 1e6 for name, n in bytes_of.items()}, label="MB at the peak of one step", title="Deeper keeps more"
)

# %%
blocks = [3, 6, 9, 15]
for (few, shallow), (many, deep) in pairwise(zip(blocks, bytes_of.values(), strict=True)):
    more = (deep - shallow) / (many - few) / 1e6
    print(f"from {few:2} to {many:2} blocks: × {deep / shallow:.2f}, {more:.2f} MB for each further block")

# %% [markdown]
# Close to a straight line: each further block takes about as much again, since its activations are kept until its error
# has come. An exercise asks what the batch does.
#
# There is an old remedy that changes no gradient: keep only the *inputs* of a few modules, and compute the rest again
# when the error comes (activation checkpointing). Whatever local learning saves has to be compared with it.

# %%
plain, again = peak(32, ml.rules.bp(), modules=4), peak(32, ml.rules.bp(keep="inputs"), modules=4)
print(f"ResNet-32: BP {plain / 1e6:.1f} MB, checkpointed at 4 modules {again / 1e6:.1f} MB ({again / plain:.0%})")

net = ml.nets.resnet(8, classes=10, channels=1, size=16, rng=ml.rng(0))
images, classes = rng.standard_normal((32, 16, 16, 1), dtype="float32"), rng.integers(0, 10, 32)
rules = ml.rules.bp(), ml.rules.bp(keep="inputs")
stored, recomputed = (ml.Learner(net, rule, modules=4, rng=ml.rng(0)).gradients(images, classes)[1] for rule in rules)
print("the same gradients, bit for bit:", all(np.array_equal(stored[n], recomputed[n]) for n in stored))

# %% [markdown]
# ## Experiment
#
# Are three equations enough to read digits? Real ones, 16 × 16, and a network of two hidden layers, trained by nothing
# but `forward`, `backward` and `update`.

# %%
digits = ml.data.load("digits")


def as_columns(images):
    return digits.normalise(images, "float32").reshape(len(images), -1).T


rng = np.random.default_rng(0)
widths = [256, 64, 64, 10]
w = [rng.standard_normal((o, i), dtype="float32") * (2 / i) ** 0.5 for i, o in pairwise(widths)]
b = [np.zeros(o, "float32") for o in widths[1:]]
X_train, X_test = as_columns(digits.train_x), as_columns(digits.test_x)

errors = []
for _ in range(12):
    for chosen in np.array_split(rng.permutation(len(digits.train_y)), 45):
        zs, xs = forward_pass(w, b, X_train[:, chosen])
        _, deltas = backward_pass(w, zs, digits.train_y[chosen])
        ones = np.ones((1, len(chosen)), "float32")  # a bias is a weight whose input is always 1
        w = [eq.update(v, delta, x, eta=0.1) for v, delta, x in zip(w, deltas, xs, strict=True)]
        b = [eq.update(v[:, None], delta, ones, eta=0.1)[:, 0] for v, delta in zip(b, deltas, strict=True)]
    answers = forward_pass(w, b, X_test)[0][-1].argmax(axis=0)
    errors.append(100 * float((answers != digits.test_y).mean()))

print(f"test error after the first epoch {errors[0]:.1f} %, after the last {errors[-1]:.1f} %")
print(f"({len(answers)} test images: one of them is {100 / len(answers):.2f} %)")
draw.curves({"BP, by hand": errors}, title="Three equations, 1437 digits")

# %% [markdown]
# Your numbers may differ from those stored here by a few images: the last bit of a sum depends on the machine.
#
# The engine does the same with samples in rows, and for convolutions too. On one batch, from the same weights, its
# gradients are ours, transposed:

# %%
net = ml.nets.mlp((64, 64), classes=10, channels=1, size=16, rng=ml.rng(0))
learner = ml.Learner(net, ml.rules.bp(), modules=1, rng=ml.rng(0))
learner.load({f"layers.{n}.weight": w[n].T for n in range(3)} | {f"layers.{n}.bias": b[n] for n in range(3)})
_, grads = learner.gradients(digits.normalise(digits.train_x[:32]), digits.train_y[:32])

zs, xs = forward_pass(w, b, X_train[:, :32])
_, deltas = backward_pass(w, zs, digits.train_y[:32])
for n in range(3):
    ours, engine = eq.outer(deltas[n], xs[n]), grads[f"layers.{n}.weight"].T
    print(f"layers.{n}.weight  largest difference {abs(ours - engine).max() / abs(engine).max():.0e} of the largest")
    assert abs(ours - engine).max() < 1e-4 * abs(engine).max()

# %% [markdown]
# ## Exercises
#
# ### 1a. Write (3)
#
# The error of a ReLU layer, from that of the layer above. Equation (3) is above, and a batch is `B` columns.


# %% tags=["solution"] exercise="1a"
def error(z, w_above, delta_above):
    """δ of a ReLU layer by (3).        z (O, B), w_above (A, O), delta_above (A, B)  →  (O, B)"""
    return (z > 0) * (w_above.T @ delta_above)


# %%
passed = ml.teach.check("1a", error)

# %% [markdown]
# ### Change one number
#
# Guess the peak of ResNet-20 at `batch=64` from the bar above, then call `peak(20, ml.rules.bp(), batch=64)`.

# %% tags=["solution"]
# Nearly twice as much. What a layer keeps, it keeps for every image; the gradients of the weights do not grow.
once, twice = peak(20, ml.rules.bp()), peak(20, ml.rules.bp(), batch=64)
print(f"batch 32: {once / 1e6:.1f} MB, batch 64: {twice / 1e6:.1f} MB, × {twice / once:.2f}")

# %% [markdown]
# ### One new line
#
# `eq.forward` takes any `f`, `eq.backward` any `df`. Write the derivative of `np.tanh` and check it by moving each
# weight. May $z$ still be thrown away?


# %% tags=["solution"]
# f'(z) = 1 - tanh(z)² = 1 - y². So y is enough once more, and z may go.
def tanh_derivative(z):
    return 1 - np.tanh(z) ** 2


rng = np.random.default_rng(1)
w1, w2, X, c = (rng.standard_normal(shape) for shape in ((4, 3), (2, 4), (3, 5), (2, 5)))
z1, y1 = eq.forward(w1, np.zeros(4), X, f=np.tanh)  # L = Σ c ⊙ (w2 y1), so the δ of the layer above is c
by_hand = eq.outer(eq.backward(z1, w2, c, df=tanh_derivative), X)


def loss_at(w1):
    return (c * (w2 @ np.tanh(w1 @ X))).sum()


perturbation = 1e-6 * np.eye(12).reshape(12, 4, 3)
moved = np.array([(loss_at(w1 + d) - loss_at(w1 - d)) / 2e-6 for d in perturbation]).reshape(4, 3)
print(f"tanh: largest difference {abs(by_hand - moved).max():.0e}")
assert abs(by_hand - moved).max() < 1e-7

# %% [markdown]
# ### Think
#
# In `error_of_a`, which orders of `"d"`, `"c"`, `"b"` are right? What makes an order right in general?

# %% tags=["solution"]
# Only "dcb". A node's error is whole when those of all its readers have been passed on: a topological order.
print({order: error_of_a(order) for order in ("dcb", "dbc", "cdb", "cbd", "bdc", "bcd")})

# %% [markdown]
# ## Not shown
#
# * That this network is a good one, or that the learning rate is: nothing was tuned, there is one seed, and 360 test
#   images are few.
# * How fast any of this is. Columns and lists are for reading; the engine works on blocks of rows.
# * That checkpointing is free: it computes most of the forward a second time.
# * That a brain could do it. Equation (3) uses the very weights that the forward used, in the other direction, and
#   every layer waits for the one above. Lesson 4 cuts that chain.
