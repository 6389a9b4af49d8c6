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
# # 5 · Memory: where do the bytes go?
#
# * **You learn** to say which arrays a layer keeps and until when; to derive the peak of a step from the bytes of its
#   modules, under four rules; to compare claims about memory fairly
# * **You need** lessons 1, 3 and 4; NumPy; what a peak is
# * **Time** 45 minutes; the cells run in 2 minutes on two cores, offline
#
# ## Question
#
# Local learning takes less memory than backpropagation: the BackLink paper has 79 % less for ResNet-110.
# **Which bytes are saved, and would nothing else save them?**
#
# Before you run anything, write down three guesses:
#
# 1. ResNet-110 has 1.7 million weights. In a training step on 512 images of 32 × 32, what takes more bytes: the
#    weights, or the activations? How many times as much?
# 2. Cut it into 16 modules with as many blocks each, and train them by GLL. Does a step take a sixteenth of BP's bytes?
# 3. BP with activation checkpointing at the same 15 boundaries changes no gradient. Does it take more than BackLink,
#    less, or about as much?

# %%
import inspect
from itertools import accumulate, pairwise

import numpy as np

import minilocal as ml
from minilocal import draw, published, summary
from minilocal.engine import Module, SynchronousEngine
from minilocal.layers import BatchNorm, Linear, ReLU

ml.use_threads(2)  # scratch memory grows with threads: with two of them, everybody meters the same

# %% [markdown]
# ## Picture
#
# One training step of ResNet-20 on 64 small images, in five modules of two units. A stair has one tread for each
# forward and each backward, and its height is the bytes of the activations that are alive then. Nothing is computed
# for it: the engine runs on arrays that have a shape and no numbers.

# %%
rules = {
    "BP": ml.rules.bp(),
    "BP, checkpointed": ml.rules.bp(keep="inputs"),
    "BP, accumulated": ml.rules.bp(accumulate=2),
    "GLL": ml.rules.gll(),
    "BackLink, l = 1": ml.rules.backlink(length=1),
}
resnet20 = ml.nets.resnet(20, classes=10, channels=1, size=16, rng=ml.rng(0))
stairs = {name: ml.memory.estimate(resnet20, rule, 5, 64).curve for name, rule in rules.items()}
draw.timeline(
    {name: np.array(stair) / 1e6 for name, stair in stairs.items()},
    label="live activations (MB)",
    work="forwards and backwards, in order",
    title="One step of ResNet-20, K = 5, 64 images",
)

# %% [markdown]
# Under BP the bytes grow through all forwards, and fall with the error. Under GLL they grow and fall module by module.
# BackLink's do so too, but on a floor: the linked units of the module below wait. Checkpointed BP keeps little through
# the forward, and then the bytes of each module grow once more, from the top down. Accumulated BP's grow twice, with
# half of the images each time.
#
# **What is freed when?** A real step of BackLink, frame by frame, on ResNet-8 in four modules of one unit. Move
# through it with the arrow keys. (A page on the web may show one line here. Run the cell.)

# %%
resnet8 = ml.nets.resnet(8, classes=10, channels=1, size=16, rng=ml.rng(0))
images, labels = ml.rng(1).standard_normal((32, 16, 16, 1), dtype="float32"), np.arange(32) % 10


def step_of(rule):
    """One step on these images, as frames."""
    return draw.step_through(ml.Learner(resnet8, rule, modules=4, rng=ml.rng(0)), images, labels)


step_of(rules["BackLink, l = 1"])

# %% [markdown]
# The same in text, for two rules: every backward of a unit, and what is freed behind it.

# %%
for name in ("GLL", "BackLink, l = 1"):
    print(name)
    frames = step_of(rules[name]).frames
    for frame, behind in pairwise(frames):
        if frame.kind == "backward" and frame.unit:
            freed = behind.note if behind.kind == "freed" else "nothing is freed yet"
            print(f"  module {frame.module} backward, {frame.note.split(', of ')[1].split(';')[0]:20} {freed}")

# %% [markdown]
# Under GLL a module's caches go with its own backward. Under BackLink they stay for a second one: its error comes from
# above, one module later.
#
# ## Equation
#
# Two of the three equations of lesson 1 decide what a layer has to keep (letters and numbers of the BackLink paper):
#
# $$w^n \leftarrow w^n - \eta\, \delta^n \otimes x^n \tag{2}$$
#
# $$\delta^n = f'(z^n) \odot (w^{n+1})^\top \delta^{n+1} \tag{3}$$
#
# | layer | its backward needs | so it keeps | bytes for $B$ images |
# |---|---|---|---|
# | linear, convolution | $x$, by (2) | its input | $4BI$, or $4BHWC$ |
# | ReLU | where $z > 0$, by (3) | its output: the next layer has the same array as its input | 0 more |
# | batch norm | $n = (z - \mu)\, r$ | its input $z$; $\mu$ and $r$, two numbers for each channel | $4BHWC + 8C$ |
# | max pooling | which pixel was largest | one byte for each window | $BPQC$ |
# | dropout | which numbers were dropped | its mask | |
# | mean pooling, flatten, shortcut | a shape | nothing | 0 |
#
# So a block of convolution, norm, ReLU, convolution, norm, addition, ReLU keeps **four maps**: $z$ and $y$ of each
# half. Where it changes the shape, the shortcut's norm keeps a fifth.
#
# Now the modules. $x_k$ are the bytes of module $k$'s input, and $c_k$ all that its units keep, with their last output
# and without $x_k$. $l_k$ are those of its linked units, without that output. The images are the caller's: $x_1 = 0$.
# The peak of a step is the largest sum that is ever alive at once. (These have no number: the paper has memory in
# words, and as Fig. 7.)
#
# $$M_\text{BP} = \sum_k c_k, \qquad M_\text{checkpointed} = \max_k \Big( \sum_{j \le k} x_j + c_k \Big)$$
#
# $$M_\text{GLL} = \max_k\, (x_k + c_k), \qquad M_\text{BackLink} = \max_k\, (l_{k-1} + x_k + c_k)$$
#
# But for BP, the sum over modules became a maximum. Beside it stands what waits: under GLL nothing, under BackLink the
# linked units of *one* module, under checkpointing one array for each module below. BP accumulated over $m$
# micro-batches has $M_\text{BP}$ of $B/m$ images, and the gradients so far.
#
# ## Code
#
# What a layer keeps is what its forward returns second:

# %%
for method in (Linear.forward, ReLU.forward, BatchNorm.forward):
    print(inspect.getsource(method))

# %% [markdown]
# Who frees it is the engine. Read its step with one question: which name still holds a module's `caches` when the next
# module starts? (`pending` does, if an error from above can still reach it.)

# %%
print(inspect.getsource(SynchronousEngine.step))

# %% [markdown]
# And in a module's backward, `pop` hands over the last reference: the layer's cache and its error are free as soon as
# the layer has used them.

# %%
print(inspect.getsource(Module.backward))

# %% [markdown]
# ## Check
#
# Bytes have no autograd. Their check is that three ways of counting agree:
#
# * **by hand**, with the formulas above;
# * **estimated**: the engine on arrays without numbers, as in the picture;
# * **metered**: a real step, in which every array is followed until it is freed.
#
# A multilayer perceptron first, three modules of two layers. Its layers keep their inputs and outputs, so $4B$ times
# some widths is all there is, and $4B \cdot 10$ for a loss, whose error has one number for each class.

# %%
B, widths = 32, [200, 100, 60, 150, 80, 10]  # the last are the logits
mlp = ml.nets.mlp(widths[:-1], classes=10, channels=1, size=16, rng=ml.rng(0))
c = [4 * B * (widths[n] + widths[n + 1]) for n in (0, 2, 4)]
x = [0, 4 * B * widths[1], 4 * B * widths[3]]
waits = [0, 4 * B * widths[0], 4 * B * widths[2]]  # l = 1: the last layer's input, in the module below
loss = 4 * B * 10
by_hand = {
    "BP": sum(c) + loss,
    "BP, checkpointed": max(below + own for below, own in zip(accumulate(x), c, strict=True)) + loss,
    "BP, accumulated": (sum(c) + loss) // 2,
    "GLL": max(map(sum, zip(x, c, strict=True))) + loss,
    "BackLink, l = 1": max(map(sum, zip(waits, x, c, strict=True))) + loss,
}
for name, rule in rules.items():
    learner = ml.Learner(mlp, rule, modules=3, rng=ml.rng(0))
    counted = [
        by_hand[name],
        max(ml.memory.estimate(mlp, rule, 3, B).curve),
        max(ml.memory.profile(learner, images, labels).curve),
    ]
    print(f"{name:17} by hand {counted[0]:6}  estimated {counted[1]:6}  metered {counted[2]:6} bytes")
    assert len(set(counted)) == 1

# %% [markdown]
# To the byte. Now ResNet-8, where blocks, norms and shortcuts take part. Estimate and meter are compared after *every*
# forward and backward, not at the peak alone. The last two columns are the whole step: activations, and what the
# kernels take for a moment, errors, temporaries and gradients. The meter of these is Python's `tracemalloc`, which
# also counts Python's own objects. There the two may differ, by a few per cent.

# %%
for name, rule in rules.items():
    metered = ml.memory.profile(ml.Learner(resnet8, rule, modules=4, rng=ml.rng(0)), images, labels)
    estimated = ml.memory.estimate(resnet8, rule, 4, len(images))
    differ = max(abs(a - b) for a, b in zip(estimated.curve, metered.curve, strict=True))
    off = estimated.step / metered.step - 1
    print(
        f"{name:17} {len(metered.curve)} calls, activations differ by {differ} bytes; "
        f"whole step {metered.step / 1e6:5.2f} MB metered, {estimated.step / 1e6:5.2f} estimated, {off:+.1%}"
    )
    assert differ == 0 and abs(off) < 0.05

# %% [markdown]
# So shapes are enough. That is worth a lot: from here on no step has to run, and networks of any size fit.
#
# ## Experiment
#
# ### Figure 7 of the paper
#
# The paper's network: ResNet-110 on CIFAR-10, 512 images, convolutional auxiliary networks (`1c2f`), one GPU. The
# bytes are the peak of a step, with weights and momentum. There is no chance in them, so there are no seeds: we vary
# the number of modules, and then the batch.

# %% tags=["parameters"] short="depth, counts, B = 20, (2, 4), 64"
depth, counts, B = 110, (2, 4, 8, 16), 512

# %%
net, gpu = ml.nets.resnet(depth, classes=10, rng=ml.rng(0)), ml.memory.GPU()


def recipes(K):
    """The rules, at K modules, with the paper's auxiliary networks."""
    conv = {"aux": "1c2f"}
    return {
        "BP, checkpointed": ml.rules.bp(keep="inputs"),
        "BP, accumulated": ml.rules.bp(accumulate=K),
        "GLL": ml.rules.gll(**conv),
        "BackLink, l = 1": ml.rules.backlink(length=1, **conv),
        "BackLink, l = 2": ml.rules.backlink(length=2, **conv),
        "BackLink, l = 4": ml.rules.backlink(length=4, **conv),
        "BackLink, l = 4, inputs kept": ml.rules.backlink(length=4, keep="inputs", **conv),
    }


def fits(rule, K):
    """Whether a link is as short as the shortest module."""
    return getattr(rule.boundary, "length", 0) <= len(net.units) // K


def total(rule, K, images):
    """Bytes of a step at its peak, weights and momentum included; none where a link is too long."""
    return ml.memory.estimate(net, rule, K, images, machine=gpu).total if fits(rule, K) else float("nan")


bp = ml.memory.estimate(net, ml.rules.bp(), 1, B, machine=gpu)
bytes_of = {name: [bp.total] for name in ("BP", *recipes(2))}
for K in counts:
    for name, rule in {"BP": None, **recipes(K)}.items():
        bytes_of[name].append(total(rule, K, B) if rule else bp.total)

figure = draw.curves(
    {name: np.array(sizes) / 1e9 for name, sizes in bytes_of.items()},
    points=["1", *map(str, counts)],
    along="modules K",
    label="memory of a step (GB)",
    title=f"{net.name}, {B} images",
)
draw.legend_below(figure)
figure

# %%
print(f"% of BP's {bp.total / 1e9:.2f} GB    K =", *(f"{K:5}" for K in counts))
for name, sizes in bytes_of.items():
    shares = (f"{n / bp.total:5.0%}" if n == n else "    -" for n in sizes[1:])
    print(f"{name:30}", *shares)

# %% [markdown]
# ("-": a link of 4 is longer than the shortest module.) "Inputs kept" is BackLink with checkpointing in its linked
# units: `keep="inputs"`. "Accumulated" is BP in K micro-batches, one after the other.
#
# So guess 1: the weights are hardly seen.

# %%
print(f"{net.name}: weights {bp.parameters / 1e6:.1f} MB, activations at the peak {bp.activations / 1e6:.0f} MB")
print(f"that is {bp.activations / bp.parameters:.0f} times as much")

# %% [markdown]
# And guess 2: far more than a sixteenth. Here is what each module keeps under GLL at the largest K, its input and its
# auxiliary network included:

# %%
K = counts[-1]
kept = summary.kept_bytes(ml.Learner(net, recipes(K)["GLL"], modules=K, rng=ml.rng(0)), B).peak
draw.curves(
    {"GLL": [100 * n / bp.step for n in kept]},
    along="module",
    label="% of BP's step",
    title=f"GLL: what each of {K} modules keeps",
)

# %% [markdown]
# The lower modules have the wide maps, and the maximum counts. As many blocks are not as many bytes; the first open
# question below is about that. K = 2 saves little for the same reason.
#
# ### Beside the paper
#
# The paper prints no table of Fig. 7. Its text has these numbers; each is the largest over K.

# %%
table = published.table("backlink_text_claims")
printed = {
    (r["method"], r["metric"]): r["value"] for r in table if r["network"] == "ResNet-110" and "memory" in r["metric"]
}


def saved(name):
    """The most that a rule takes less than BP, in %."""
    return f"{100 * (1 - np.nanmin(bytes_of[name]) / bp.total):.0f} %"


def above_gll(*names):
    """The most that these take more than GLL, in %."""
    return f"{100 * max(np.nanmax(np.divide(bytes_of[name], bytes_of['GLL'])) - 1 for name in names):.0f} %"


links = [f"BackLink, l = {n}" for n in (1, 2, 4)]
print(f"{'':43}paper    here")
print(f"{'GLL, less than BP':43}{printed['GLL', 'memory_reduction_vs_bp_max']} %     {saved('GLL')}")
less, more = (printed["BackLink", f"memory_{what}_max"] for what in ("reduction_vs_bp", "overhead_vs_gll"))
print(f"{'BackLink, l = 1, less than BP':43}{less} %     {saved('BackLink, l = 1')}")
print(f"{'BackLink, more than GLL':43}{more} %     {above_gll(*links)}")
print(f"{'BackLink, l = 4, inputs kept, more than GLL':43}         {above_gll('BackLink, l = 4, inputs kept')}")

# %% [markdown]
# The savings are the paper's. Its small overhead is not that of linked units that keep their caches, which grows with
# $l$. It is nearer to that of linked units which keep one input, and compute the rest again. The paper does not say
# which it did. This package offers both; caches are the default.
#
# ### The batch
#
# Activations grow with the batch; weights, momentum and gradients do not. So the shares of BP's bytes fall a little
# with it, most where activations are few. The same network, at the largest K:

# %%
batches = (64, 128, 256)
for name, rule in {"BP": ml.rules.bp(), **recipes(K)}.items():
    if "l = 2" in name or "l = 4" in name:
        continue
    sizes = [ml.memory.estimate(net, rule, K, n, machine=gpu).total / 1e6 for n in batches]
    print(f"{name:17}", *(f"{n:6.0f}" for n in sizes), f" MB; from 128 to 256 images × {sizes[2] / sizes[1]:.2f}")

# %% [markdown]
# ### Is it fair?
#
# Guess 3, now: about as much. In the table above, checkpointed BP is never more than a few points away from GLL and
# from BackLink with $l = 1$. It is not free, but neither is a link. Checkpointing computes most of the forward twice,
# and a linked unit has two backwards. So we count the multiply-adds of a step, frame by frame, on small images. A
# backward counts twice its forward; auxiliary networks are left out.

# %%
small = ml.nets.resnet(depth, classes=10, size=8, rng=ml.rng(0))
two_images, two_labels = ml.rng(1).standard_normal((2, 8, 8, 3), dtype="float32"), np.array([0, 1])
macs = [unit.macs(shape) for unit, shape in zip(small.units, [small.shape, *small.shapes], strict=False)]


def work(rule):
    """Multiply-adds of a step in the units of the network."""
    learner = ml.Learner(small, rule, modules=K, rng=ml.rng(0))
    frames = [f for f in draw.step_through(learner, two_images, two_labels).frames if f.unit]
    return sum({"forward": 1, "backward": 2}.get(f.kind, 0) * macs[f.unit - 1] for f in frames)


compared = {"BP": ml.rules.bp(), **{name: rule for name, rule in recipes(K).items() if fits(rule, K)}}
compared["BackLink, l = 1, inputs kept"] = ml.rules.backlink(length=1, keep="inputs", aux="1c2f")
share = {name: 100 * total(rule, K, B) / bp.total for name, rule in compared.items()}
effort = {name: work(rule) for name, rule in compared.items()}
effort["BP, accumulated"] = effort["BP"]  # the same images, in several parts
draw.scatter(
    {name: (effort[name] / effort["BP"], share[name], float("nan")) for name in compared},
    along="multiply-adds of a step, BP = 1",
    label="memory, % of BP",
    title=f"{net.name}, K = {K}: what a byte costs",
)

# %%
for name in compared:
    print(f"{name:30} memory {share[name]:4.0f} %   multiply-adds × {effort[name] / effort['BP']:.2f}")

# %% [markdown]
# At the same boundaries, checkpointed BP takes about as much memory as local learning, for one more forward, about a
# third more work, and changes no bit of BP's gradient. BP accumulated over micro-batches takes less than any. **So
# memory alone is no reason for local learning.** Its reason is that modules need not wait for each other: lesson 6.
#
# ## Exercises
#
# ### 5a. What a module keeps
#
# The bytes that a module of linear layers and ReLUs keeps between its forward and its backward. You get its widths,
# from its input to its output, and the number of images. The table under "Equation" has all you need.


# %% tags=["solution"] exercise="5a"
def kept_bytes(widths, images):
    """Bytes of float32 activations that a module keeps for its backward, its input included.

    The module is a chain of linear layers, each with a ReLU: from widths[0] numbers to widths[1], and so on. A linear
    layer keeps its input; a ReLU keeps its output, which tells where f'(z) is 1. An array that two layers keep is there
    once.
    """
    return 4 * images * sum(widths)


# %%
passed = ml.teach.check("5a", kept_bytes)

# %% [markdown]
# ### 5b. From modules to the peak
#
# The four formulas, as code. You get three lists, one number for each module: $x_k$, $c_k$ and $l_k$ in bytes. Return
# the four peaks. The check builds a network whose modules keep just that, and meters a step under each rule.


# %% tags=["solution"] exercise="5b"
def peaks(inputs, caches, linked):
    """The most bytes of activations at one moment of a step: under BP, BP checkpointed, GLL, BackLink.

    One number for each module, first to last:
    inputs   bytes of its input, which is the output of the module below; 0 for the first, whose images are the caller's
    caches   bytes of all that its units keep: its output is among them, its input is not
    linked   bytes of all that its linked units keep, without its output; 0 for the last, which has no module above it
    """
    K = range(len(caches))
    bp = sum(caches)
    checkpointed = max(sum(inputs[: k + 1]) + caches[k] for k in K)
    gll = max(inputs[k] + caches[k] for k in K)
    backlink = max(inputs[k] + caches[k] + (linked[k - 1] if k > 0 else 0) for k in K)
    return bp, checkpointed, gll, backlink


# %%
passed = ml.teach.check("5b", peaks)

# %% [markdown]
# ### 5c. A better cut
#
# Under GLL the largest module counts. Where would you cut ResNet-110 into 16 modules, so that it becomes as small as
# possible? Should the lower modules have more blocks, or fewer? `ml.costs.measure(net, rule, K, "memory").cut()` gives
# the best cut; a Learner takes such a list as `modules`. What does it save, and why not more?

# %% tags=["solution"]
rule = recipes(K)["GLL"]
cut = ml.costs.measure(net, rule, K, "memory", images=32).cut()
even, best = (ml.memory.estimate(net, rule, sizes, B, machine=gpu).step for sizes in (K, cut))
print("units of each module, even:", [len(module) for module in ml.split(net.units, K)])
print("                       best:", cut)
print(f"the step takes {best / even:.0%} of the bytes that it takes with the even cut")

# %% [markdown] tags=["solution"]
# The lower modules get fewer blocks, since their maps have the most numbers. Two things stay: a module has at least one
# block, and what the kernels take for a moment is not kept by any module. And the test error becomes another one, since
# the auxiliary networks stand at other depths.

# %% [markdown]
# ### 5d. The cheapest of all?
#
# BP accumulated over K micro-batches takes the least memory in our table, and no more multiply-adds than BP. What does
# it change, and when would you not use it? Compare its gradient with BP's on ResNet-8, and on the perceptron `mlp`,
# which has no batch norm.

# %% tags=["solution"]
for name, other in (("resnet8", resnet8), ("mlp", mlp)):
    one, several = (
        ml.Learner(other, ml.rules.bp(accumulate=m), modules=1, rng=ml.rng(0)).gradients(images, labels)[1]
        for m in (1, 8)
    )
    gap = max(abs(one[n] - several[n]).max() / abs(one[n]).max() for n in one)
    print(f"{name:8} largest difference of the two gradients: {gap:.0e} of the largest number of an array")

# %% [markdown] tags=["solution"]
# Without batch norm the mean of the micro-batches' gradients is BP's gradient, but for rounding. With batch norm, each
# micro-batch is normalised by its own statistics, of few images: another function, and another gradient. Small batches
# also keep a GPU less busy, which multiply-adds do not show.

# %% [markdown]
# ## Not shown
#
# * Seconds. A third more multiply-adds need not be a third more time; `minilocal bench` measures it, and
#   [docs/benchmarks/memory.md](../docs/benchmarks/memory.md) has some of its figures.
# * A GPU's allocator. The bytes are those of arrays, each rounded to 512. A real pool has gaps, and a framework has a
#   context of its own. The paper's numbers are those of another framework.
# * Evaluation: it needs no caches under any rule.
# * The error that each rule ends with. Less memory at a larger error is another trade, which lessons 3 and 4 are about.
# * [docs/results](../docs/results/README.md) has Fig. 7 for both networks, made by `minilocal reproduce backlink-fig7`.
#   What local learning adds beyond memory is [lesson 6](06_parallel.ipynb).
