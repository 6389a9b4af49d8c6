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
# # 1 · Backpropagation: what does it keep, and why in this order?
#
# * **You learn** to write a layer's forward, error and update by hand; to check a gradient by moving one weight; to say
#   what a training step keeps, and until when
# * **You need** NumPy and the chain rule
# * **Time** 60 minutes; the cells run in a minute on two cores, offline

# %% [markdown]
# ## Question
#
# A weight deep inside a network has to change, but the loss is computed at the last layer only.
# **How does the error of a layer in the middle come about, and what must be kept in memory until it is there?**
#
# Before you run anything, write down three guesses:
#
# 1. Double the depth of a network. What happens to the memory that one training step needs?
# 2. A layer makes two numbers for each neuron, $z$ (before the ReLU) and $y$ (after it). Which of them may be thrown
#    away at once?
# 3. In a residual network two layers read one activation, so two errors come back to it. A program loses one of the
#    two, in every block. Does the training curve show it?

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
# Three words of the package come here for the first time. A **rule** says which error updates which layer; `bp` is
# backpropagation. A **Learner** is a network under a rule, and its `step` is one training step: forward, backward,
# update. It cuts the network into **modules**; BP needs no cut, so here is one module.
#
# This is the network that we take apart below: four layers, each with the shape of its output for one image. Beside a
# module stands how many bytes its activations take ("keeps"), and how many of them wait while other modules work
# ("waits"). With one module there is no other, so nothing waits.

# %%
net = ml.nets.mlp((64, 64, 64), classes=10, channels=1, size=16, rng=ml.rng(0))
learner = ml.Learner(net, ml.rules.bp(), modules=1, rng=ml.rng(0))
draw.network(learner, batch_size=32)

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
# The engine does the same with samples in rows, and for convolutions too. On one batch of real digits, from the same
# weights, its gradients are ours, transposed:

# %%
digits = ml.data.load("digits")


def as_columns(images):
    return digits.normalise(images, "float32").reshape(len(images), -1).T


_, grads = learner.gradients(digits.normalise(digits.train_x[:32]), digits.train_y[:32])
p = learner.parameters()
w4, b4 = ([p[f"layers.{n}.{kind}"].T for n in range(4)] for kind in ("weight", "bias"))
zs, xs = forward_pass(w4, b4, as_columns(digits.train_x[:32]))
_, deltas = backward_pass(w4, zs, digits.train_y[:32])
for n in range(4):
    ours, engine = eq.outer(deltas[n], xs[n]), grads[f"layers.{n}.weight"].T
    gap = abs(ours - engine).max() / abs(engine).max()
    print(f"layers.{n}.weight  largest difference {gap:.0e} of the largest gradient")
    assert gap < 1e-4

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
    error_at = {"d": 1.0, "c": 0.0, "b": 0.0, "a": 0.0}
    for node in order:
        for below, part in passes_on[node](error_at[node]).items():
            error_at[below] = error_at[below] + part if add else part
    return error_at["a"]


print("right                                     ", error_of_a("dcb"))
print("b's error is passed on before c's is added", error_of_a("dbc"))
print("the second error replaces the first       ", error_of_a("dcb", add=False))

assert error_of_a("dcb") == 114
assert error_of_a("dbc") != 114 and error_of_a("dcb", add=False) != 114

# %% [markdown]
# Neither mistake raises an exception; the numbers are wrong, that is all. This is why every gradient in this package is
# compared with automatic differentiation. Here is where the engine adds the two paths of a residual block, at the end
# of its backward. `ds` has come over the shortcut; the first convolution adds it to its own input error.

# %%
print("\n".join(inspect.getsource(ml.layers.Residual.backward).splitlines()[-4:]))

# %% [markdown]
# ## Experiment
#
# ### What a step keeps
#
# Look again at what the backward pass needs. Equation (2) needs every $x^n$, so the input of every layer must be kept
# from the forward pass until its error comes back. Equation (3) needs $f'(z^n)$, which for the ReLU is 1 where $z > 0$
# and 0 elsewhere, and that is where $y > 0$, too. So guess 2: $z$ can go, and $y^n = x^{n+1}$ is kept anyway.

# %%
z, y = eq.forward(w[0], b[0], X)
assert np.array_equal(eq.relu_derivative(z), eq.relu_derivative(y))
print("f'(z) is f'(y), bit for bit:", np.array_equal(eq.relu_derivative(z), eq.relu_derivative(y)))

# %% [markdown]
# `draw.step_through` lets a copy of a Learner take one step, and records it as **frames**: forward, loss, backward,
# update, and what was freed, each with the bytes that are live. We cut the four layers into four modules, so that the
# bytes are counted layer by layer (under BP the cut changes nothing else).

# %%
batch = digits.normalise(digits.train_x[:32]), digits.train_y[:32]
in_four = ml.Learner(net, ml.rules.bp(), modules=4, rng=ml.rng(0))
step = draw.step_through(in_four, *batch, lr=0.1)
for n, frame in enumerate(step.frames, 1):
    print(f"{n:3}  {frame.bytes:6,} bytes  {frame.note}")

# %% [markdown]
# Frame 7 frees the output of layer 4, the logits: the loss has made its error of them. What waits from there on is the
# input $x^n$ of each layer.
#
# The same as a picture: a column for each piece of work, ↑ forward and ↓ backward through a layer, and in it what is
# kept right after it. A row is one layer's input, the output of the layer below; so that of layer 2 begins with ↑1. The
# row of layer 4 has the logits and their error too. Layer 1 has no row: its input is the batch, which is there all the
# time and is not counted.

# %%
symbols, columns, held = {"forward": "↑", "local loss": "", "backward": "↓"}, [], []
for frame in step.frames:
    if frame.kind in symbols:
        columns.append(symbols[frame.kind] + ("L" if frame.part == "objective" else str(frame.module)))
        held.append(frame.by_module)
    held[-1] = frame.by_module  # a frame of kind "freed" behind it: what is left

rows = {f"x of layer {n + 1}": [of_layers[n] / 1e3 for of_layers in held] for n in (3, 2, 1)}
draw.heat(
    rows, along="work, in order", columns=columns, from_least=True, form="{:.1f}", label="kB kept", title="What waits"
)

# %% [markdown]
# That answers the title. Errors can only come down in the order last layer to first, by (3). So the layer that was
# first in the forward is the last to get its error, and everything waits for it: first in, last out.
#
# In a notebook that runs, the next cell is a page to click through: the network, and the frames one by one.

# %%
step

# %% [markdown]
# ### What depth costs
#
# Now guess 1, measured. We count the bytes that are alive at the peak of one training step, above what was there before
# it, for networks of growing depth, on 32 images of 16 × 16.


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


# %% tags=["parameters"] short="depths, deepest = (8, 14), 14"
depths, deepest = (8, 14, 20, 32), 32

# %%
peaks = {depth: peak(depth, ml.rules.bp()) for depth in depths}
draw.bars(
    {f"BP, ResNet-{depth}": n / 1e6 for depth, n in peaks.items()},
    label="MB at the peak of one step",
    title="Deeper keeps more",
)

# %%
for few, many in pairwise(depths):
    blocks = (many - few) // 2  # a block is two convolutions
    ratio, more = peaks[many] / peaks[few], (peaks[many] - peaks[few]) / blocks / 1e6
    print(f"ResNet-{few} to ResNet-{many}: × {ratio:.2f}, {more:.2f} MB for each further block")
twice = peak(14, ml.rules.bp(), batch=64)
print(f"ResNet-14, 64 images in place of 32: × {twice / peaks[14]:.2f}")
assert peaks[14] > peaks[8] and twice > 1.5 * peaks[14]

# %% [markdown]
# So guess 1: close to a straight line. Each further block takes about as much again, since its activations are kept
# until its error has come. Twice the images take nearly twice the memory: what a layer keeps, it keeps for every image.
# Only the weights and their gradients do not grow.
#
# There is an old remedy that changes no gradient: keep only the *inputs* of a few modules, and compute the rest again
# when the error comes (activation checkpointing). Whatever local learning saves has to be compared with it.

# %%
plain, again = peak(deepest, ml.rules.bp(), modules=4), peak(deepest, ml.rules.bp(keep="inputs"), modules=4)
print(
    f"ResNet-{deepest}: BP {plain / 1e6:.1f} MB, checkpointed at 4 modules {again / 1e6:.1f} MB ({again / plain:.0%})"
)

small = ml.nets.resnet(8, classes=10, channels=1, size=16, rng=ml.rng(0))
rules = ml.rules.bp(), ml.rules.bp(keep="inputs")
stored, recomputed = (ml.Learner(small, rule, modules=4, rng=ml.rng(0)).gradients(*batch)[1] for rule in rules)
print("the same gradients, bit for bit:", all(np.array_equal(stored[n], recomputed[n]) for n in stored))

# %% [markdown]
# ### What a lost error does
#
# Guess 3, on real digits and a residual network written with the three equations: eight blocks $y \leftarrow y +
# f(w y)$. Two errors come back to each $y$: over the shortcut, $e$, and through the block, $w^\top \delta$. They are
# added, or one of them is lost.

# %%
JOINS = {
    "both errors added": lambda e, through: e + through,
    "the block's replaces the shortcut's": lambda e, through: through,
    "passed on before the block's is there": lambda e, through: e,
}


def residual_pass(w, X, labels, join):
    """(loss, δ and input of every layer, logits): y = f(w⁰ X), then y ← y + f(w y) block by block, then w y."""
    zs, xs = [], [X]
    for n, w_n in enumerate(w[:-1]):
        z, y = eq.forward(w_n, np.zeros(len(w_n), w_n.dtype), xs[-1])
        zs, xs = [*zs, z], [*xs, xs[-1] + y if n else y]
    logits = w[-1] @ xs[-1]
    loss, dz = ml.losses.cross_entropy(logits.T, labels)
    deltas, e = [dz.T], w[-1].T @ dz.T
    for n in reversed(range(len(zs))):
        deltas = [eq.relu_derivative(zs[n]) * e, *deltas]
        if n:
            e = join(e, w[n].T @ deltas[0])
    return loss, deltas, xs, logits


def initial(rng, dtype="float32"):
    """Weights of 256 → 64, eight blocks of 64, half as large, and 64 → 10."""
    shapes, sizes = [(64, 256), *[(64, 64)] * 8, (10, 64)], [1, *[0.5] * 8, 1]
    return [rng.standard_normal(s).astype(dtype) * (size / s[1] ** 0.5) for s, size in zip(shapes, sizes, strict=True)]


# %% tags=["parameters"] short="seeds, epochs = 2, 2"
seeds, epochs = 4, 12

# %%
X_train, X_test = as_columns(digits.train_x), as_columns(digits.test_x)


def train(seed, join, eta=0.05):
    """Test error (%) after each epoch, by (2)."""
    rng = np.random.default_rng(seed)
    w, errors_after = initial(rng), []
    for _ in range(epochs):
        for chosen in np.array_split(rng.permutation(len(digits.train_y)), 45):
            _, deltas, xs, _ = residual_pass(w, X_train[:, chosen], digits.train_y[chosen], join)
            w = [eq.update(v, delta, x, eta) for v, delta, x in zip(w, deltas, xs, strict=True)]
        logits = residual_pass(w, X_test, digits.test_y, join)[-1]
        errors_after.append(100 * float((logits.argmax(axis=0) != digits.test_y).mean()))
    return errors_after


runs = {name: [train(seed, join) for seed in range(seeds)] for name, join in JOINS.items()}
draw.curves(runs, title=f"Eight residual blocks by hand, {len(digits.train_y)} digits")

# %%
print(f"test error in % of {len(digits.test_y)} images after the last epoch, mean of {seeds} seeds (least to largest)")
for name, of_seeds in runs.items():
    last = [errors_after[-1] for errors_after in of_seeds]
    print(f"{name:39}{np.mean(last):5.1f} ({min(last):.1f} to {max(last):.1f})")

# %% [markdown]
# So guess 3: all three learn. Without the block's part the error ends close to the right one. Without the shortcut's it
# falls more slowly, which passes for a poor learning rate. Nobody who sees one of these curves alone would look for a
# mistake. The check needs no training at all: move all weights a little in a random direction $d$; the loss must move
# by the sum of $\partial L / \partial w \cdot d$.

# %%
rng = np.random.default_rng(1)
w64, d64 = initial(rng, "float64"), initial(rng, "float64")
X64, y64 = X_train[:, :50].astype("float64"), digits.train_y[:50]
for name, join in JOINS.items():
    _, deltas, xs, _ = residual_pass(w64, X64, y64, join)
    slope = sum((eq.outer(delta, x) * d).sum() for delta, x, d in zip(deltas, xs, d64, strict=True))
    up, down = (
        residual_pass([v + s * d for v, d in zip(w64, d64, strict=True)], X64, y64, join)[0] for s in (1e-6, -1e-6)
    )
    gap = abs(slope - (up - down) / 2e-6) / abs(slope)
    print(f"{name:39}the gradient is off by {gap:.0e} of itself")
    assert (gap < 1e-5) == (name == "both errors added")

# %% [markdown]
# ## Exercises
#
# Write each function in the cell below its question. The check runs it beside the package's own, and says what is
# wrong.

# %% [markdown]
# ### 1a. Write (3)
#
# It gets $z^n$, the weights of the layer above and that layer's error, and gives $\delta^n$ of a ReLU layer. *Equation*
# has it.


# %% tags=["solution"] exercise="1a"
def error(z, w_above, delta_above):
    """δ of a ReLU layer by (3).        z (O, B), w_above (A, O), delta_above (A, B)  →  (O, B)"""
    return (z > 0) * (w_above.T @ delta_above)


# %%
passed = ml.teach.check("1a", error)

# %% [markdown]
# ### 1b. Write (2)
#
# It gets the weights of a layer, its error, its input and $\eta$, and gives the new weights. The error of the mean loss
# has its $1/B$ already.


# %% tags=["solution"] exercise="1b"
def new_weights(w, delta, x, eta):
    """The weights after (2); w itself stays.        w (O, I), delta (O, B), x (I, B), eta η  →  (O, I)"""
    return w - eta * delta @ x.T


# %%
passed = ml.teach.check("1b", new_weights)

# %% [markdown]
# ### 1c. Write the first error
#
# The error of the last layer comes from the loss: the mean cross-entropy of the softmax of $z$. In `backward_pass`
# above the package computes it. Derive it, with its $1/B$. Logits may be in the thousands.


# %% tags=["solution"] exercise="1c"
def classifier_error(z, labels):
    """δ = ∂L/∂z of the mean cross-entropy of softmax(z).        z (C, B), a column a sample; labels (B,)  →  (C, B)"""
    p = np.exp(z - z.max(axis=0))
    p /= p.sum(axis=0)
    p[labels, np.arange(len(labels))] -= 1
    return p / len(labels)


# %%
passed = ml.teach.check("1c", classifier_error)

# %% [markdown]
# ### 1d. Backpropagate through a graph
#
# A graph in which a node may have several readers, as in *Two ways to get it wrong*. An edge is (i, j, ∂j/∂i). In which
# order must the nodes pass their error on? `error_of_a` has the two rules.


# %% tags=["solution"] exercise="1d"
def errors(nodes, edges):
    """∂(last node)/∂(node) of every node.        →  (nodes,)

    An edge (i, j, d) says that node j reads node i, with ∂j/∂i = d. Nodes are numbered so that i < j; the edges are in
    any order, and two nodes may have several.
    """
    e = np.zeros(nodes)
    e[-1] = 1
    for node in reversed(range(nodes)):
        for i, j, d in edges:
            if j == node:
                e[i] += d * e[j]
    return e


# %%
passed = ml.teach.check("1d", errors)

# %% [markdown]
# ### Put together
#
# Train a network of two hidden layers on the digits with nothing but `forward_pass` and *your* `classifier_error`,
# `error` and `new_weights`, for `epochs` epochs. Take 64 neurons in each hidden layer, weights from a normal
# distribution with the variance 2 / inputs, biases of 0, batches of 32 and $\eta = 0.1$. What is its test error? About
# 8 % is right. (A bias is a weight whose input is always 1.)

# %% tags=["solution"]
rng = np.random.default_rng(0)
w = [rng.standard_normal((o, i), dtype="float32") * (2 / i) ** 0.5 for i, o in pairwise([256, 64, 64, 10])]
b = [np.zeros(len(v), "float32") for v in w]
ones = np.ones((1, 32), "float32")
for _ in range(epochs):
    for chosen in np.split(rng.permutation(len(digits.train_y))[: 44 * 32], 44):
        zs, xs = forward_pass(w, b, X_train[:, chosen])
        deltas = [classifier_error(zs[-1], digits.train_y[chosen])]
        for z, w_above in zip(reversed(zs[:-1]), reversed(w), strict=False):
            deltas = [error(z, w_above, deltas[0]), *deltas]
        w = [new_weights(v, delta, x, 0.1) for v, delta, x in zip(w, deltas, xs, strict=True)]
        b = [new_weights(v[:, None], delta, ones, 0.1)[:, 0] for v, delta in zip(b, deltas, strict=True)]
answers = forward_pass(w, b, X_test)[0][-1].argmax(axis=0)
print(f"test error {100 * (answers != digits.test_y).mean():.1f} % of {len(answers)} images")

# %% [markdown]
# ### Another activation
#
# `eq.forward` takes any `f`, `eq.backward` any `df`. Write the derivative of `np.tanh`, and check a gradient by moving
# each weight. `forward_pass` and `backward_pass` have the ReLU inside: give them, and `by_moving`, an `f` and a `df` to
# pass on; or take one layer and a loss of your own. May $z$ still be thrown away?

# %% [markdown] tags=["solution"]
# $f'(z) = 1 - \tanh(z)^2 = 1 - y^2$. So $y$ is enough once more, and $z$ may go.


# %% tags=["solution"]
def tanh_derivative(z):
    return 1 - np.tanh(z) ** 2


rng = np.random.default_rng(1)
w1, w2, x1, c = (rng.standard_normal(shape) for shape in ((4, 3), (2, 4), (3, 5), (2, 5)))
z1, y1 = eq.forward(w1, np.zeros(4), x1, f=np.tanh)  # L = Σ c ⊙ (w2 y1), so the δ of the layer above is c
by_hand = eq.outer(eq.backward(z1, w2, c, df=tanh_derivative), x1)


def loss_at(w1):
    return (c * (w2 @ np.tanh(w1 @ x1))).sum()


perturbation = 1e-6 * np.eye(12).reshape(12, 4, 3)
moved = np.array([(loss_at(w1 + d) - loss_at(w1 - d)) / 2e-6 for d in perturbation]).reshape(4, 3)
print(f"tanh: largest difference {abs(by_hand - moved).max():.0e}")
assert abs(by_hand - moved).max() < 1e-7

# %% [markdown]
# ## Not shown
#
# * That this network is a good one, or that the learning rate is: nothing was tuned, and 360 test images are few.
# * That a lost error never matters. In another network, or at another rate, the curve may show it.
# * How fast any of this is. Columns and lists are for reading; the engine works on blocks of rows. Memory and seconds
#   of whole networks are in [docs/benchmarks/memory.md](../docs/benchmarks/memory.md) and
#   [docs/benchmarks/cpu.md](../docs/benchmarks/cpu.md).
# * That checkpointing is free: it computes most of the forward a second time.
# * That a brain could do it. Equation (3) uses the very weights that the forward used, in the other direction, and
#   every layer waits for the one above. [Lesson 3](03_local_losses.ipynb) cuts that chain.
#
# Next: [lesson 2](02_convolution.ipynb), the same equations for convolutions and batch norm. The engine itself, file
# by file: [docs/tour.md](../docs/tour.md).
