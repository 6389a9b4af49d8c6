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
# # 2 · Convolution: how is it one matrix product?
#
# * **You learn** to write a convolution and its backward as three matrix products; to derive batch norm's backward; to
#   say what batch norm does to the errors of a deep network
# * **You need** lesson 1, NumPy and the chain rule
# * **Time** 75 minutes; the cells run in a minute on two cores, offline

# %% [markdown]
# ## Question
#
# A convolution slides a small window over an image, and weighs the pixels in it. Lesson 1 had matrices only.
# **How is a convolution one matrix product, and its backward two more? And what does batch norm, which stands behind
# nearly every convolution, do to an error?**
#
# Before you run anything, write down three guesses:
#
# 1. Write each 3×3 window of an image as a row of numbers. How many times as many numbers are that as the image has?
#    When are they not more?
# 2. Add 5 to everything that a convolution puts into one channel, before its batch norm. What changes behind the norm?
#    So what is the sum, over the batch, of the error in front of it?
# 3. Twenty convolutions, each with a ReLU. Make all weights smaller by a factor of 0.41. By what factor does the error
#    at the first one change? And with batch norm?

# %%
import inspect
import time

import numpy as np

import minilocal as ml
from minilocal import draw, layers, ops
from minilocal.kernels.cpu import FORMS

# %% [markdown]
# ## Picture
#
# An image of 5×5 pixels, each with its number. A 3×3 window has nine pixels. Written as a row, they are one row of the
# matrix at the right (blue). Each place of the window is one row: nine windows, nine rows.

# %%
draw.windows((5, 5), 3, window=(1, 1), pixel=(2, 2), title="3×3 windows, stride 1")

# %% [markdown]
# Pixel 13 (orange) is in all nine windows, at another place in each. So it stands nine times in the matrix. Whatever
# error comes back to these nine entries belongs to the one pixel, and is *added*: lesson 1's first rule.
#
# With stride 2 the windows are two pixels apart, and padding puts zeros (grey) around the image:

# %%
draw.windows((4, 4), 3, stride=2, pad=1, window=(0, 1), pixel=(1, 1), title="stride 2, padding 1")

# %% [markdown]
# ## Equation
#
# The numbers of the equations are this lesson's. $x$ is a batch of images, channels last: $N$ images of $H \times W$
# pixels with $I$ channels. Windows are $k \times k$, $s$ pixels apart, and $x$ is 0 outside the image. **im2col**
# writes window $p, q$ of image $n$ as a row:
#
# $$C_{(n, p, q),\,(i, j, c)} = x_{n,\; s p + i - \mathrm{pad},\; s q + j - \mathrm{pad},\; c} \tag{1}$$
#
# With the weights as a matrix $W$ of $k \cdot k \cdot I$ rows and $O$ columns, the forward is one product and the
# backward two ($\delta = \partial L / \partial z$; the code calls it `dz`):
#
# $$z = C\, W, \qquad \frac{\partial L}{\partial W} = C^\top \delta, \qquad
# \frac{\partial L}{\partial x} = \mathrm{col2im}(\delta\, W^\top) \tag{2}$$
#
# That is a linear layer whose samples are the windows. What is new is **col2im** alone. im2col only copies numbers, so
# it is linear: a large matrix of zeros and ones. An error goes back through a matrix by its transpose, as it does
# through $w$ in lesson 1. col2im is that transpose, the **adjoint** of im2col, which means
#
# $$\langle \mathrm{im2col}(x),\, c \rangle = \langle x,\, \mathrm{col2im}(c) \rangle
# \quad\text{for all } x \text{ and } c \tag{3}$$

# %% [markdown]
# ### Batch norm
#
# Each channel of $z$ has $M = N \cdot P \cdot Q$ numbers, $z_1 \ldots z_M$. Batch norm (Ioffe and Szegedy, "Batch
# Normalization", Algorithm 1) brings them to mean 0 and deviation 1, then scales and shifts:
#
# $$n_i = (z_i - \mu)\, r, \qquad r = \frac{1}{\sqrt{\sigma^2 + \varepsilon}}, \qquad
# y_i = \gamma\, n_i + \beta \tag{4}$$
#
# $\mu$ and $\sigma^2$ depend on every $z_j$, so the error of one $z_j$ comes from *all* $y_i$. Three lines:
#
# $$\begin{aligned}
# \frac{\partial \mu}{\partial z_j} &= \frac{1}{M}, \qquad
# \frac{\partial r}{\partial z_j} = -\frac{r^3}{2} \cdot \frac{2\,(z_j - \mu)}{M} = -\frac{r^2 n_j}{M} \\
# \frac{\partial n_i}{\partial z_j} &= r \Big( 1_{i = j} - \frac{1}{M} \Big) - (z_i - \mu)\, \frac{r^2 n_j}{M}
# = r \Big( 1_{i = j} - \frac{1}{M} - \frac{n_i n_j}{M} \Big) \\
# dz_j &= \sum_i \gamma\, dy_i\, \frac{\partial n_i}{\partial z_j}
# = \gamma\, r \Big( dy_j - \frac{1}{M} \sum_i dy_i - n_j\, \frac{1}{M} \sum_i dy_i\, n_i \Big)
# \end{aligned} \tag{5}$$
#
# and $d\gamma = \sum_i dy_i\, n_i$, $d\beta = \sum_i dy_i$ are the two sums that stand in it.

# %% [markdown]
# ## Code
#
# The plain code of the package, as it stands in `minilocal/ops`. First (1) and its adjoint, in slices: one copy for
# each place in the window, not one for each window.

# %%
for function in (ops.conv.im2col, ops.conv.col2im):
    print(inspect.getsource(function))

# %% [markdown]
# Then (2), the convolution and its backward. (`@op` is explained under *The same, faster*.)

# %%
for function in (ops.conv2d, ops.conv2d_backward):
    print(inspect.getsource(function))

# %% [markdown]
# Batch norm reads a batch of images as rows of channels, so one piece of code does images and vectors. It can do the
# ReLU behind it at once. ReLU's backward needs its output $a$ only (lesson 1, guess 2).

# %%
for function in (ops.batch_norm_stats, ops.batch_norm_apply, ops.batch_norm_backward):
    print(inspect.getsource(function))

# %% [markdown]
# Max pooling keeps one small number for each window: the place of its largest pixel. The error goes there, and nowhere
# else.

# %%
for function in (ops.max_pool, ops.max_pool_backward, ops.relu, ops.relu_backward):
    print(inspect.getsource(function))

# %% [markdown]
# One convolution, step by step, on 16 real digits: 8 channels, 3×3 windows, padding 1.

# %%
digits = ml.data.load("digits")
x = digits.normalise(digits.train_x[:16], "float64")
W = ml.rng(0).standard_normal((3, 3, 1, 8))
C = ops.conv.im2col(x, k=3, stride=1, pad=1)
z = C.reshape(-1, 9) @ W.reshape(9, 8)
print(f"images {x.shape}, windows {C.shape}: {C.size / x.size:.0f} times as many numbers")
print(f"as matrices {C.reshape(-1, 9).shape} times {W.reshape(9, 8).shape} is {z.shape}, or {(16, 16, 16, 8)}")
with ops.reference():
    assert np.array_equal(z.reshape(16, 16, 16, 8), ops.conv2d(x, W, stride=1, pad=1))
for k, stride, pad in ((3, 1, 1), (3, 2, 1), (5, 1, 2), (4, 4, 0)):
    print(f"k = {k}, stride {stride}, padding {pad}: × {ops.conv.im2col(x, k, stride, pad).size / x.size:.2f}")

# %% [markdown]
# So guess 1: nine times as many, $k^2 / s^2$ in general, and not more where the windows do not overlap.
#
# ## Check
#
# **The adjoint**, (3), on random numbers, for several strides and paddings. On whole numbers there is no rounding, and
# both sides must be the same to the digit.

# %%
rng = ml.rng(1)
for k, stride, pad in ((3, 1, 1), (3, 2, 1), (5, 1, 2), (2, 2, 0), (3, 3, 2)):
    x = rng.standard_normal((4, 9, 7, 3))
    c = rng.standard_normal(ops.conv.im2col(x, k, stride, pad).shape)
    left, right = (ops.conv.im2col(x, k, stride, pad) * c).sum(), (x * ops.conv.col2im(c, x.shape, stride, pad)).sum()
    x, c = (100 * x).round(), (100 * c).round()
    exact = (ops.conv.im2col(x, k, stride, pad) * c).sum(), (x * ops.conv.col2im(c, x.shape, stride, pad)).sum()
    print(f"k = {k}, stride {stride}, padding {pad}: {left:.10f} = {right:.10f};  {exact[0]:.0f} = {exact[1]:.0f}")
    assert abs(left - right) < 1e-10 and exact[0] == exact[1]

# %% [markdown]
# **Against automatic differentiation.** The same formulas, without a line of the package: by JAX, or, where it is not
# installed, by moving every number a little, as in lesson 1. All of it runs on the plain code above.

# %%
try:
    import jax

    jax.config.update("jax_enable_x64", True)
    source, allowed = "JAX", 1e-12
except ImportError:
    jax, source, allowed = None, "moving every number", 1e-6


def gradients_of(loss, *arrays):
    """∂loss(xp, *arrays) of every array, with xp JAX's NumPy or NumPy itself."""
    if jax:
        grads = jax.grad(lambda *a: loss(jax.numpy, *a), argnums=range(len(arrays)))(*arrays)
        return [np.asarray(g) for g in grads]
    grads = [np.zeros_like(a) for a in arrays]
    for a, g in zip(arrays, grads, strict=True):
        for i in np.ndindex(a.shape):
            before = a[i]
            for sign in (1, -1):
                a[i] = before + sign * 1e-6
                g[i] += sign * loss(np, *arrays) / 2e-6
            a[i] = before
    return grads


# %%
def compare(what, names, ours, theirs):
    """Print the largest differences, each as a share of the largest number."""
    gaps = [abs(a - b).max() / abs(b).max() for a, b in zip(ours, theirs, strict=True)]
    print(f"{what:32}", "  ".join(f"{name} {gap:.0e}" for name, gap in zip(names, gaps, strict=True)))
    assert max(gaps) < allowed


# %%
def convolution(xp, x, W, stride, pad):
    """JAX's own, or a sum over windows without im2col."""
    if xp is not np:
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, W, (stride, stride), [(pad, pad)] * 2, dimension_numbers=layout)
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(padded, W.shape[:2], axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("npqcij,ijco->npqo", views, W)


print("largest difference from", source)
with ops.reference():
    for k, stride, pad in ((3, 1, 1), (3, 2, 1), (5, 1, 2), (2, 2, 0), (1, 1, 0)):
        x, W = rng.standard_normal((2, 6, 5, 3)), rng.standard_normal((k, k, 3, 4))
        z = ops.conv2d(x, W, stride, pad)
        dz = rng.standard_normal(z.shape)  # L = Σ dz · z has the error dz at z
        theirs = gradients_of(lambda xp, x, W: (dz * convolution(xp, x, W, stride, pad)).sum(), x, W)  # noqa: B023
        z_theirs = np.asarray(convolution(jax.numpy if jax else np, x, W, stride, pad))
        ours = z, *ops.conv2d_backward(dz, x, W, stride, pad)
        compare(f"k = {k}, stride {stride}, padding {pad}", ("z", "dx", "dW"), ours, (z_theirs, *theirs))


# %% [markdown]
# Batch norm with its ReLU, and max pooling, whose windows may overlap:


# %%
def normalised(xp, z, gamma, beta):
    rows = z.reshape(-1, z.shape[-1])
    n = (rows - rows.mean(axis=0)) / xp.sqrt(rows.var(axis=0) + 1e-5)
    return xp.maximum(gamma * n + beta, 0).reshape(z.shape)


def pooled(xp, x, k, stride):
    P, Q = ((side - k) // stride + 1 for side in x.shape[1:3])
    places = [(i, j) for i in range(k) for j in range(k)]
    return xp.stack([x[:, i : i + stride * P : stride, j : j + stride * Q : stride] for i, j in places]).max(axis=0)


# %%
with ops.reference():
    z, gamma, beta = 3 + 2 * rng.standard_normal((4, 3, 3, 5)), rng.random(5), rng.standard_normal(5)
    stats, dy = ops.batch_norm_stats(z, 1e-5), rng.standard_normal(z.shape)
    a = ops.batch_norm_apply(z, stats.mean, stats.r, gamma, beta, relu=True)
    ours = ops.batch_norm_backward(dy, z, stats.mean, stats.r, gamma, a)[:3]
    theirs = gradients_of(lambda xp, *arrays: (dy * normalised(xp, *arrays)).sum(), z, gamma, beta)
    compare("batch norm and ReLU", ("dz", "dγ", "dβ"), ours, theirs)
    for k, stride in ((2, 2), (3, 2), (3, 1)):
        x = rng.standard_normal((2, 7, 7, 3))
        y, argmax = ops.max_pool(x, k, stride)
        dy = rng.standard_normal(y.shape)
        theirs = gradients_of(lambda xp, x: (dy * pooled(xp, x, k, stride)).sum(), x)  # noqa: B023
        compare(
            f"max pooling, k = {k}, stride {stride}",
            ("dx",),
            [ops.max_pool_backward(dy, argmax, x.shape, k, stride)],
            theirs,
        )

# %% [markdown]
# ### What the mean and the variance do to an error
#
# In (5) two things are taken away from $dy$: its mean, and its part along $n$. So the error that leaves batch norm
# through $z$ can be read without a derivative:
#
# * $\sum_j dz_j = 0$: a shift of a whole channel changes nothing, so no error may ask for one;
# * $\sum_j dz_j\, n_j = 0$, but for $\varepsilon$: nor does a stretch;
# * and since stretching the weights of the convolution below stretches $z$, $\langle W, dW \rangle = 0$ for each
#   channel, again but for $\varepsilon$: the gradient is at right angles to the weights.

# %%
x, W = rng.standard_normal((8, 6, 6, 3)), rng.standard_normal((3, 3, 3, 5))
z = ops.conv2d(x, W, 1, 1)
stats, gamma, beta = ops.batch_norm_stats(z, 1e-5), rng.random(5), rng.standard_normal(5)
y, shifted = (
    ops.batch_norm_apply(v, s.mean, s.r, gamma, beta) for v in (z, z + 5) for s in [ops.batch_norm_stats(v, 1e-5)]
)
print(f"5 added to every z: y changes by {abs(shifted - y).max():.0e}")

dy = rng.standard_normal(z.shape)
dz, dgamma, dbeta, _ = ops.batch_norm_backward(dy, z, stats.mean, stats.r, gamma)
dW, n = ops.conv2d_backward(dz, x, W, 1, 1)[1], (z - stats.mean) * stats.r


def largest(v):
    """The largest sum of a channel."""
    return abs(v.sum(axis=(0, 1, 2))).max()


print(f"Σ dy    {largest(dy):8.2f}    Σ dz    {largest(dz):.0e}")
print(f"Σ dy·n  {largest(dy * n):8.2f}    Σ dz·n  {largest(dz * n):.0e}")
print(f"largest dW {abs(dW).max():.2f}    ⟨W, dW⟩ {largest(W * dW):.0e}")
assert abs(shifted - y).max() < 1e-10 and largest(dz) < 1e-10
assert largest(dz * n) < 1e-3 * largest(dy * n) and largest(W * dW) < 1e-3 * abs(dW).max()

# %% [markdown]
# So guess 2: behind the norm nothing changes, and the sum of the error in front of it is 0.
#
# ### Evaluation
#
# In training an image's output depends on the other images of its batch, since $\mu$ and $\sigma^2$ do. For a single
# test image that will not do. So the layer keeps **running statistics**, a moving average over batches, and uses them
# in evaluation. There they are constants, and the backward is only $dz = \gamma\, r\, dy$.

# %%
norm, training, evaluation = layers.BatchNorm(3), layers.PassContext(), layers.PassContext(training=False)
for steps in (1, 10, 100):
    for _ in range(steps):
        _, cache = norm.forward(4 + 2 * rng.standard_normal((16, 5, 5, 3)), training)
        norm.update_running_stats(cache)
    print(
        f"{steps:4} batches more: mean",
        norm.buffers["running_mean"].round(2),
        "variance",
        norm.buffers["running_var"].round(2),
    )

batch = 4 + 2 * rng.standard_normal((8, 5, 5, 3))
for context in (training, evaluation):
    in_batch, alone = norm.forward(batch, context)[0][:1], norm.forward(batch[:1], context)[0]
    kind = "training" if context.training else "evaluation"
    print(f"{kind:10}  an image alone and in a batch of 8 differ by {abs(in_batch - alone).max():.1e}")

# %% [markdown]
# The numbers were drawn with mean 4 and variance 4.
#
# ### The same, faster
#
# A call of an operation looks for a fast form of it, for the library that its arrays belong to; `@op` says so. On NumPy
# these are blocks that stay in the processor's cache, shared by its cores. Inside `ml.ops.reference()` the whole engine
# runs on the plain code that you have read.

# %%
print("fast on NumPy:", ", ".join(sorted(FORMS)))

net = ml.nets.resnet(8, classes=10, channels=1, size=16, rng=ml.rng(0))
learner = ml.Learner(net, ml.rules.bp(), modules=1, rng=ml.rng(0))
images, labels = digits.normalise(digits.train_x[:64]), digits.train_y[:64]


def seconds(repeats=5):
    """The least time of a call of `gradients`, and what it gave."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        grads = learner.gradients(images, labels)[1]
        times.append(time.perf_counter() - start)
    return min(times), grads


fast, fast_grads = seconds()
with ops.reference():
    plain, plain_grads = seconds()
gap = max(abs(fast_grads[n] - g).max() / abs(g).max() for n, g in plain_grads.items())
print(f"ResNet-8, {len(labels)} images, float32: the plain code takes {plain / fast:.1f} times as long")
print(f"largest difference of a gradient: {gap:.0e} of the largest of its array")
assert gap < 1e-3

# %% [markdown]
# ## Experiment
#
# Guess 3. A plain network, no shortcuts: convolutions of 16 channels in a row, each with a ReLU, with batch norm in
# between or without. Its weights begin normal with He's deviation $\sqrt{2 / (k^2 O)}$, which is meant to keep errors
# at one size, times a gain. A gain of 0.41 is $1/\sqrt 6$: the deviation of the uniform weights that common frameworks
# begin with.


# %%
def plain_net(depth, norm, gain, seed):
    """A unit is a convolution, batch norm if `norm`, and a ReLU; the first one has stride 2."""
    initial, units = layers.Initializer.of(ml.rng(seed)), []
    for u in range(depth):
        conv = layers.Conv(16 if u else 1, 16, 3, initial, stride=1 if u else 2, pad=1, name=f"conv{u}")
        conv.parameters[f"conv{u}.weight"] *= gain
        behind = layers.BatchNormReLU(16, initial, name=f"bn{u}") if norm else layers.ReLU()
        units.append(layers.Sequential([conv, behind], f"unit{u}"))
    head = [layers.GlobalAveragePool(), layers.Flatten(), layers.Linear(16, 10, initial, name="fc", last=True)]
    return ml.nets.Net(f"plain{depth}", units, layers.Sequential(head, "head"), 10, (16, 16, 1), initial)


# %% [markdown]
# Real digits, the network's real loss, no training: the error at the output of each unit, from the last one down.


# %%
def error_sizes(net, x, labels):
    """log10 of the root mean square of the error at each unit's output, over that at the last one's."""
    parts, caches, sizes = [*net.units, net.head], [], []
    for part in parts:
        x, cache = part.forward(x, training)
        caches.append(cache)
    _, error = ml.losses.cross_entropy(x, labels)
    for part, cache in zip(reversed(parts), reversed(caches), strict=True):
        error, _ = part.backward(error, cache)
        sizes.append(float(np.sqrt((error.astype("float64") ** 2).mean())))
    return np.log10(np.array(sizes[-2::-1]) / sizes[0])  # the last of them is the error at the image


# %% tags=["parameters"] short="depth, seeds, epochs, limit = 8, 2, 1, 200"
depth, seeds, epochs, limit = 20, 4, 8, 500

# %%
tried = {
    "no norm, gain 1": (False, 1.0),
    "no norm, gain 2": (False, 2.0),
    "no norm, gain 0.41": (False, 6**-0.5),
    "batch norm, gain 1": (True, 1.0),
    "batch norm, gain 0.41": (True, 6**-0.5),
}
sizes = {
    name: [error_sizes(plain_net(depth, *how_built, seed), images, labels) for seed in range(seeds)]
    for name, how_built in tried.items()
}
figure = draw.curves(sizes, along="unit", label="log10 of the error's size", title=f"{depth} convolutions, untrained")
draw.legend_below(figure)
figure

# %%
print(f"the error at the first unit, over that at the last of {depth}; mean of the logarithm, {seeds} seeds")
for name, of_seeds in sizes.items():
    first = [float(one[0]) for one in of_seeds]
    per_unit = 10 ** (np.mean(first) / (depth - 1))
    print(f"{name:22} 10^{np.mean(first):5.1f} (10^{min(first):.1f} to 10^{max(first):.1f}), × {per_unit:.2f} a unit")
with_norm = [np.array(sizes[f"batch norm, gain {gain}"]) for gain in ("1", "0.41")]
print(f"with batch norm the two gains differ by {abs(with_norm[0] - with_norm[1]).max():.0e} in the logarithm")
assert abs(with_norm[0] - with_norm[1]).max() < 0.02

# %% [markdown]
# So guess 3. Without a norm each unit multiplies the error by the gain: over 19 units by $0.41^{19}$. With it the gain
# is gone: it divides out in (4), and the two curves lie on each other. But the size is not constant. It grows from unit
# to unit on the way down, at any gain. Yang and others ("A Mean Field Theory of Batch Normalization") show for fully
# connected networks that no variance of the initial weights prevents that. Shortcuts do: a ResNet has both.
#
# Does training depend on it? The same network, half as deep to be quick, for a few epochs:

# %%
some = digits.reduced(limit_train=limit)


def train(norm, gain, seed):
    """Test error (%) after each epoch."""
    net = plain_net(depth // 2, norm, gain, seed)
    learner = ml.Learner(net, ml.rules.bp(), modules=1, rng=ml.rng(seed), optimizer=ml.optim.SGD(momentum=0.9))
    return [row["test_error"] for row in ml.fit(learner, some, epochs, batch_size=50, lr=0.05, seed=seed)]


chosen = ["no norm, gain 0.41", "no norm, gain 1", "batch norm, gain 0.41"]
runs = {name: [train(*tried[name], seed) for seed in range(seeds)] for name in chosen}
draw.curves(runs, title=f"{depth // 2} convolutions, {len(some.train_y)} digits")

# %%
print(f"test error in % of {len(some.test_y)} images after the last epoch, mean of {seeds} seeds (least to largest)")
for name, of_seeds in runs.items():
    last = [errors[-1] for errors in of_seeds]
    print(f"{name:22}{np.mean(last):5.1f} ({min(last):.1f} to {max(last):.1f})")

# %% [markdown]
# In the runs stored here the network with batch norm learns to read digits, from weights that without it leave the
# lower units no error at all. A gain of 1 keeps the error's size, and is still slower at this learning rate.

# %% [markdown]
# ## Exercises
#
# Write each function in the cell below its question, in plain NumPy. The check runs it beside the package's own.

# %% [markdown]
# ### 2a. Write im2col
#
# Every window of every image as a row, by (1). *Picture* shows which pixel goes where; loops over windows are fine.


# %% tags=["solution"] exercise="2a"
def im2col(x, k, stride, pad):
    """Every k×k window of every image, zeros around it.        x (N, H, W, C)  →  (N, P, Q, k, k, C)

    P = (H + 2 pad - k) // stride + 1, Q the same of W. [n, p, q, i, j] is the pixel at row i, column j of window p, q.
    """
    P, Q = ((side + 2 * pad - k) // stride + 1 for side in x.shape[1:3])
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    cols = np.empty((len(x), P, Q, k, k, x.shape[3]))
    for p in range(P):
        for q in range(Q):
            cols[:, p, q] = x[:, p * stride : p * stride + k, q * stride : q * stride + k]
    return cols


# %%
passed = ml.teach.check("2a", im2col)

# %% [markdown]
# ### 2b. Write col2im
#
# The adjoint of 2a, by (3): each error goes back to the pixel that it came from. What happens where windows overlap?


# %% tags=["solution"] exercise="2b"
def col2im(cols, H, W, stride, pad):
    """The images whose windows these errors belong to.        cols (N, P, Q, k, k, C)  →  (N, H, W, C)

    The adjoint of im2col: Σ im2col(x)·cols = Σ x·col2im(cols) for every x.
    """
    N, P, Q, k, _, C = cols.shape
    x = np.zeros((N, H + 2 * pad, W + 2 * pad, C))
    for p in range(P):
        for q in range(Q):
            x[:, p * stride : p * stride + k, q * stride : q * stride + k] += cols[:, p, q]
    return x[:, pad : pad + H, pad : pad + W]


# %%
passed = ml.teach.check("2b", col2im)

# %% [markdown]
# ### 2c. Write batch norm's backward
#
# (5), for rows of channels: $dz$, $d\gamma$ and $d\beta$ from $dy$, $z$ and $\gamma$.


# %% tags=["solution"] exercise="2c"
def batch_norm_backward(dy, z, gamma, eps):
    """(dz, dγ, dβ) of y = γ n + β.        dy, z (M, C), gamma (C,)  →  (M, C), (C,), (C,)

    n = (z - μ) r, r = 1/√(σ² + eps); μ and σ² are the mean and the biased variance of each column of z.
    """
    r = 1 / np.sqrt(z.var(axis=0) + eps)
    n = (z - z.mean(axis=0)) * r
    dgamma, dbeta = (dy * n).sum(axis=0), dy.sum(axis=0)
    return gamma * r * (dy - dbeta / len(z) - n * dgamma / len(z)), dgamma, dbeta


# %%
passed = ml.teach.check("2c", batch_norm_backward)

# %% [markdown]
# ### 2d. Write max pooling's backward
#
# The windows may overlap, so one pixel may be the largest of several.


# %% tags=["solution"] exercise="2d"
def max_pool_backward(dy, x, k, stride):
    """dx of the maximum over k×k windows, `stride` apart.        dy (N, P, Q, C), x (N, H, W, C)  →  the shape of x"""
    dx = np.zeros_like(x)
    for n, p, q, c in np.ndindex(dy.shape):
        window = x[n, p * stride : p * stride + k, q * stride : q * stride + k, c]
        i, j = np.unravel_index(window.argmax(), window.shape)
        dx[n, p * stride + i, q * stride + j, c] += dy[n, p, q, c]
    return dx


# %%
passed = ml.teach.check("2d", max_pool_backward)

# %% [markdown]
# ### What a convolution keeps
#
# $\partial L / \partial W$ in (2) needs $C$. Yet the layer keeps $x$ and writes $C$ again in the backward. How many
# bytes does that save for a batch of 128 images of 32 × 32 pixels with 16 channels, float32, 3×3 windows? Who else
# needs $x$ anyway?

# %% [markdown] tags=["solution"]
# $C$ has $k^2 = 9$ times as many numbers as $x$. And $x$ costs nothing: it is the output of the ReLU below, which keeps
# it for its own backward.

# %% tags=["solution"]
of_x = 128 * 32 * 32 * 16 * 4
print(f"x {of_x / 1e6:.1f} MB, C {9 * of_x / 1e6:.1f} MB")

# %% [markdown]
# ### A bias in front of a batch norm
#
# Give the convolution below a batch norm a bias. What is its gradient? Why have the ResNets of the package no biases in
# their convolutions?

# %% [markdown] tags=["solution"]
# A bias shifts a whole channel, and batch norm takes the shift away again. Its gradient is $\sum_j dz_j = 0$. $\beta$
# does what a bias would do.

# %% tags=["solution"]
conv, norm = layers.Conv(3, 5, 3, ml.rng(0), bias=True, name="conv"), layers.BatchNorm(5, name="bn")
z, of_conv = conv.forward(rng.standard_normal((8, 6, 6, 3)), training)
y, of_norm = norm.forward(z, training)
dz, _ = norm.backward(rng.standard_normal(y.shape), of_norm)
bias = conv.backward(dz, of_conv)[1]["conv.bias"]
print(f"the largest gradient of a bias: {abs(bias).max():.0e}")
assert abs(bias).max() < 1e-10

# %% [markdown]
# ## Not shown
#
# * That im2col is the fastest way. It writes $k^2$ times as many numbers, block by block here. For 3×3 windows the
#   package has Winograd's form too, and on a GPU an implicit product that never writes $C$:
#   [docs/design.md](../docs/design.md), [docs/benchmarks/cpu.md](../docs/benchmarks/cpu.md).
# * That batch norm is the only remedy. Shortcuts are another: lesson 1's residual network has no norm.
# * That a gain of 1 needs no norm. Nothing was tuned: one learning rate, few digits, a few epochs.
# * That the paper's reason for batch norm is the right one. Why it helps is disputed; here you saw what it does to
#   errors.
#
# Next: [lesson 3](03_local_losses.ipynb) gives each module a loss of its own. Layers of your own:
# [docs/your-own.md](../docs/your-own.md).
