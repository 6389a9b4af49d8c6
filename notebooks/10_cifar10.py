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
# # 10 · CIFAR-10: one script, on a CPU and on a GPU
#
# * **You learn** to run one script on either device, to read a paper's recipe and count what it takes, and to say what
#   a tiny run shows and what only the full one does
# * **You need** lesson 4; mean and standard deviation; for the full size a GPU and some days
# * **Time** 45 minutes; the cells run within two minutes on two cores, offline
#
# ## Question
#
# So far all networks were small, and trained on some hundred digits. The tables of the papers are of ResNet-32 on
# CIFAR-10: colour images of 32×32 pixels, in 10 classes.
#
# **What of such a table can two cores show in a minute, and what does the rest take?**
#
# Before you run anything, write down three guesses:
#
# 1. The recipe: 50,000 images, batches of 512, 200 epochs. How often is each weight updated?
# 2. One step from the same weights on the same batch, in float32 and in float64. In how many digits do the gradients
#    agree?
# 3. ResNet-32 in K = 16 modules, on 500 images. Is BackLink below GLL, as in the paper? And is BP below both?

# %%
import inspect
import time

import numpy as np

import minilocal as ml
from minilocal import draw
from minilocal.cli import main
from minilocal.data.batches import training_batches
from minilocal.published import table

# %% [markdown]
# The device is a GPU where CuPy finds one, else the CPU. The data set is CIFAR-10 where its files lie in the data
# folder already, else the digits in the package. Nothing is fetched unasked: `minilocal data cifar10` in a terminal
# fetches CIFAR-10. Stored outputs are of the digits on a CPU.


# %%
def found_device():
    """ "cuda" where a first kernel runs on a GPU, else "cpu"."""
    try:
        ml.to_device(np.zeros(1), "cuda")
    except ml.UserError:  # `minilocal doctor` says what is missing
        return "cpu"
    return "cuda"


def found_data():
    """CIFAR-10 where it is there, else the digits."""
    try:
        return ml.data.load("cifar10", download=False)
    except ml.UserError:
        return ml.data.load("digits")


device, dataset = found_device(), found_data()
print(f"device: {device}\ndata:   {dataset}")

# %% [markdown]
# ## Picture
#
# ResNet-32 has 16 units: a first convolution and 15 blocks. In 16 modules each is a module, so that every unit but the
# last is the linked unit of its module: it learns from its own loss and from the next one's.

# %%
backlink = ml.rules.backlink(length=1, alpha=0.5, aux="1c2f")
draw.rule_picture(backlink, modules=16, units=16, title="BackLink, l = 1, on ResNet-32, K = 16")

# %% [markdown]
# CIFAR's augmentation pads an image with black, by four of its 32 pixels, cuts out a square of the first size at a
# random place, and mirrors it with probability 1/2. Top: images. Below: what two epochs might show of
# them. (Digits are never mirrored in training: a mirrored 2 is no 2.)

# %%
samples = np.stack([dataset.train_x[dataset.train_y == c][0] for c in range(10)])
rows = {"image": samples}
for epoch in (1, 2):
    rows[f"epoch {epoch}"] = ml.data.crop_and_flip(samples, samples.shape[1] // 8, "constant", True, ml.rng(epoch))
draw.images(rows, columns=dataset.classes, title="Random crops and mirrors")

# %% [markdown]
# ## Equation
#
# The recipe of the BackLink paper (IEEE) for convolutional auxiliary networks is stochastic gradient descent with
# momentum $\mu = 0.9$ and weight decay $\lambda = 10^{-4}$, from the learning rate $\eta_0 = 0.5$, for $E = 200$ epochs
# with batches of 512. It numbers none of this. For every weight, with the gradient $g$ that the rule gives it:
#
# $$v \leftarrow \mu v + g + \lambda w, \qquad w \leftarrow w - \eta_e\, v$$
#
# How $\eta$ falls is not said there, nor whether images are augmented. Here it falls as in InfoPro's public code, and
# images are cropped and mirrored, as is usual on CIFAR. In epoch $e = 1 \dots E$
#
# $$c_e = \frac{\eta_0}{2} \Big( 1 + \cos \frac{\pi e}{E} \Big), \qquad
# \eta_e = \begin{cases} c_e & e > 10 \\ \tfrac{e-1}{10}\, c_e + \tfrac{11-e}{10}\, 0.01 & e \le 10 \end{cases}$$

# %%
E = 200
schedule = ml.optim.schedule("infopro", lr=0.5, epochs=E)
draw.curves(
    {"learning rate": [schedule.lr(e) for e in range(E)]}, label="η", title="Warm-up and cosine over 200 epochs"
)

# %%
per_epoch = -(-50_000 // 512)
print(f"{per_epoch} batches an epoch, the last of {50_000 - 512 * (per_epoch - 1)} images")
print(f"{per_epoch * E:,} updates in {E} epochs")

# %% [markdown]
# So guess 1: 19,600.
#
# ## Code
#
# The recipe is a file in the package, with its source and with what was chosen here. In a terminal this is
# `minilocal train --preset backlink-conv --modules 16 --show`, which trains nothing:

# %%
status = main(["train", "--preset", "backlink-conv", "--modules", "16", "--show"])

# %% [markdown]
# The update, and the batches. On a GPU the host draws (image, top, left, mirrored) for every image of an epoch, by the
# same random numbers, and the GPU cuts the batches out:

# %%
for function in (ml.ops.sgd, training_batches):
    print(inspect.getsource(function))

# %% [markdown]
# The script of this lesson. `device` is all that differs between a CPU and a GPU:


# %%
def new_learner(rule, seed=0, device=device, dtype="float32"):
    """ResNet-32 in 16 modules under that rule, on that device."""
    rng = ml.rng(seed)
    net = ml.nets.resnet(32, classes=len(dataset.classes), channels=dataset.channels, size=dataset.size, rng=rng)
    optimizer = ml.optim.SGD(momentum=0.9, weight_decay=1e-4)
    return ml.Learner(net, rule, 16, rng=rng, device=device, dtype=dtype, optimizer=optimizer)


print(new_learner(backlink))

# %% [markdown]
# ## Check
#
# **float32.** Rounding to float32 changes a number by up to $2^{-24}$ of it, $6 \cdot 10^{-8}$. How far does that grow
# through 32 layers, forward and backward? All gradients of one step, against float64 from the same weights:

# %%
images, labels = dataset.train_x[:32], dataset.train_y[:32]
single, double = (
    new_learner(backlink, device="cpu", dtype=dtype).gradients(dataset.normalise(images, dtype), labels)
    for dtype in ("float32", "float64")
)
losses = abs(single[0] - double[0]).max() / double[0].max()
gaps = {name: abs(single[1][name] - g).max() / abs(g).max() for name, g in double[1].items()}
print(f"losses: {losses:.0e}")
half, furthest = np.median(list(gaps.values())), max(gaps.values())
print(f"{len(gaps)} gradients, as a share of the largest number: half within {half:.0e}, all within {furthest:.0e}")
assert losses < 1e-5 and half < 1e-4 and furthest < 1e-2

# %% [markdown]
# So guess 2: five to six digits. float32 has seven to begin with, and each layer rounds again, forward and backward.
#
# **The same seed is the same run.** Weights and batches are named by the seed alone. They must be the same again, to
# the last bit; and on a GPU too. Compare the first labels below with your neighbour's: they depend on no machine.


# %%
def first_numbers(device):
    """All weights, and the first augmented batch of the run with seed 0, on the host."""
    learner = new_learner(backlink, device=device)
    x, y = next(dataset.batches(0, 64, key=learner.key, augment=True, device=device))
    return [ml.to_host(a) for a in (y, x, *learner.parameters().values())]


def equal(one, other):
    """Are all these arrays the same, bit for bit?"""
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


host = first_numbers("cpu")
print("the first labels:", *host[0][:16])
print(f"{len(host) - 2} arrays of weights and one batch, the same again: {equal(host, first_numbers('cpu'))}")
assert equal(host, first_numbers("cpu"))
if device == "cpu":
    print("no GPU: the comparison with it is skipped")
else:
    assert equal(host, first_numbers(device))
    print("the same on the GPU: True")

# %% [markdown]
# **A stopped run goes on as if nothing had been.** Long runs end early: a time limit, a power cut. Here are two epochs
# in one go; and one epoch, all numbers copied into a new Learner, and then the second:

# %%
few = dataset.reduced(limit_train=20, limit_test=10)


def fit_one_more(learner):
    """One more epoch. The rate is constant, since a cosine would need to know the whole length."""
    ml.fit(learner, few, epochs=1, batch_size=20, lr=0.1, schedule="constant", augment=True)
    return learner


at_once = fit_one_more(fit_one_more(new_learner(backlink, device="cpu")))
stopped = fit_one_more(new_learner(backlink, device="cpu"))
resumed = new_learner(backlink, seed=1, device="cpu")  # other weights, which restore replaces
resumed.restore(stopped.state())
fit_one_more(resumed)
print("stopped and resumed is at once, bit for bit:", equal(*(l.parameters().values() for l in (at_once, resumed))))
assert equal(*(l.parameters().values() for l in (at_once, resumed)))

# %% [markdown]
# ## Experiment
#
# ### A row of Table III, tiny
#
# BP, GLL and BackLink with $l = 1$, as in the column K = 16 of the paper's Table III, but on 500 images and for a few
# epochs. In each seed every rule meets the same weights and batches.

# %% tags=["parameters"] short="seeds, epochs, limit = 1, 1, 100"
seeds, epochs, limit = 3, 6, 500

# %%
tiny = dataset.reduced(limit_train=limit, limit_test=360)
compared = {"BP": ml.rules.bp(), "GLL": ml.rules.gll(aux="1c2f"), "BackLink, l = 1": backlink}
runs = {}
for name, rule in compared.items():
    rows = [ml.fit(new_learner(rule, seed), tiny, epochs, batch_size=50, lr=0.1, seed=seed) for seed in range(seeds)]
    runs[name] = [[row["test_error"] for row in of_seed] for of_seed in rows]
draw.curves(runs, title=f"ResNet-32, K = 16, {limit} images of {tiny.name}")

# %%
last = {name: np.array(of_rule)[:, -1] for name, of_rule in runs.items()}
print(f"test error in % of {len(tiny.test_y)} images after epoch {epochs}: mean, and least to largest of {seeds} seeds")
for name, errors in last.items():
    print(f"{name:17}{errors.mean():5.1f}   {errors.min():4.1f} to {errors.max():4.1f}")
print("GLL - BackLink, seed by seed:", *(f"{gain:+.1f}" for gain in last["GLL"] - last["BackLink, l = 1"]), "points")

# %% [markdown]
# So guess 3: in the runs stored here BackLink is below GLL with each of the three seeds, and BP is below both. Yours
# may differ by a few images.
#
# ### What is published
#
# The paper's own numbers are in the package, as they are printed: errors for BP and GLL, and for BackLink the gain over
# GLL. Beside them stand ours, which are all of tiny runs on the digits: those of `minilocal reproduce backlink-table3`,
# three seeds and a few epochs ([docs/results](../docs/results/README.md)), and those of this page.

# %%
printed = {
    (row["method"], row["l"]): float(row["value"])
    for row in table("backlink_ieee_table3")
    if (row["dataset"], row["network"]) == ("CIFAR-10", "ResNet-32") and row["K"] in ("1", "16")
}
published = {
    "BP": printed["BP", ""],
    "GLL": printed["GLL", "0"],
    "BackLink, l = 1": printed["GLL", "0"] - printed["BackLink", "1"],
}
reproduced = {"BP": 7.96, "GLL": 31.48, "BackLink, l = 1": 21.30}  # docs/results/backlink-table3-tiny
print(f"test error, %{'':6}PUBLISHED, CIFAR-10   ours, tiny: digits   this page: {tiny.name}")
for name in compared:
    print(f"{name:17}{published[name]:10.2f}{reproduced[name]:22.2f}{last[name].mean():20.1f}")

# %% [markdown]
# The three rules have one order in all three columns, and that is all that can be compared. Our errors are of another
# data set, and of training that had hardly begun. They say nothing about the published ones.
#
# ### What the full size takes here
#
# The clock runs over a step of BackLink on random images of CIFAR's size. The rest is arithmetic: InfoPro's recipe has
# 160 epochs, BackLink's 200, and that of AugLocal 400. For one network and data set, Table III has some twenty cells.

# %% tags=["parameters"] short="batch, steps = 8, 1"
batch, steps = 64, 3

# %%
rng = ml.rng(0)
net = ml.nets.resnet(32, rng=rng)
learner = ml.Learner(net, backlink, 16, rng=rng, device=device)
x = ml.to_device(rng.standard_normal((batch, 32, 32, 3)).astype("float32"), device)
y = ml.to_device(rng.integers(0, 10, batch), device)
seconds = []
for _ in range(1 + steps):
    began = time.perf_counter()
    ml.to_host(learner.step(x, y, lr=0.1))  # reading the losses waits for a GPU
    seconds.append(time.perf_counter() - began)
rate = batch / min(seconds[1:])
print(f"{rate:.0f} images a second on this {device}, so an epoch of 50,000 takes {50_000 / rate / 60:.0f} minutes")
for epochs_of, name in ((160, "InfoPro"), (200, "BackLink"), (400, "AugLocal")):
    print(
        f"{epochs_of} epochs ({name}): 50,000 x {epochs_of} / {rate:.0f} = {50_000 * epochs_of / rate / 3600:.0f} hours"
    )

# %% [markdown]
# On a CPU it is days for one run of one cell. That is why the table above is tiny, and why no table of full size is
# here.
#
# ### The full cell, step by step
#
# On a machine with a GPU, in a terminal:
#
# ```sh
# minilocal doctor                                    # is the GPU found, and does a kernel run?
# minilocal data cifar10                              # fetch, verify, describe
# minilocal train --preset backlink-conv --modules 16 --device cuda --out runs/backlink-K16
# minilocal train --resume runs/backlink-K16          # after a stop: the same numbers as without one
# minilocal predict runs/backlink-K16                 # its errors, class by class
# ```
#
# Every epoch is a row of `runs/backlink-K16/metrics.jsonl`, and a checkpoint. This is the cell of the paper's table, by
# five seeds, beside what is printed; with `--list` it shows the plan and trains nothing:
#
# ```sh
# minilocal reproduce backlink-table3 --scale full --cells cifar10-resnet32-backlink-l1-K16 --device cuda
# minilocal report reproduce/backlink-table3-full
# ```
#
# Pages: [a GPU](../docs/gpu.md), [data sets](../docs/data.md), [runs](../docs/runs.md),
# [the papers' experiments](../docs/reproduce.md), [reports](../docs/report.md).
#
# ## Exercises
#
# ### 10a. Write the learning rate
#
# $\eta_e$ of the Equation section, for one epoch.


# %% tags=["solution"] exercise="10a"
def learning_rate(e, epochs, lr):
    """The learning rate of epoch e = 1 ... E, with E = `epochs` and η₀ = `lr`.

    c is the cosine from η₀ at e = 0 down to 0 at e = E. After epoch 10 the rate is c. Up to it, it is a mean of c and
    0.01, with the weight (e-1)/10 for c: 0.01 in the first epoch, and nine tenths of the way to c in the tenth.
    """
    c = lr / 2 * (1 + np.cos(np.pi * e / epochs))
    if e > 10:
        return c
    return c * (e - 1) / 10 + 0.01 * (11 - e) / 10


# %%
passed = ml.teach.check("10a", learning_rate)

# %% [markdown]
# ### 10b. Write the augmentation
#
# The random numbers are drawn already, one place and one 0 or 1 for each image. Pad with black, cut, mirror.


# %% tags=["solution"] exercise="10b"
def crops(images, top, left, mirrored, padding):
    """Each image padded by black, cut out at its own place, then mirrored or not.        →  (N, H, W, C)

    images (N, H, W, C); top, left (N,), 0 to 2·padding, the place of the crop's upper left corner in the padded image;
    mirrored (N,), 1 where left and right are exchanged.
    """
    N, H, W, C = images.shape
    padded = np.zeros((N, H + 2 * padding, W + 2 * padding, C), images.dtype)
    padded[:, padding : padding + H, padding : padding + W] = images
    out = np.zeros_like(images)
    for n in range(N):
        crop = padded[n, top[n] : top[n] + H, left[n] : left[n] + W]
        out[n] = crop[:, ::-1] if mirrored[n] else crop
    return out


# %%
passed = ml.teach.check("10b", crops)

# %% [markdown]
# ### Luck of the test images
#
# In the paper GLL and BackLink ($l = 1$) differ by 2.57 points at K = 16, on 10,000 test images. Suppose that an image
# is misclassified with probability $p$, each on its own. What is the standard error of the error rate on $n$ images?
# What is it for the paper's two rates, and what for those on our 360 test images? Which differences can be luck?

# %% tags=["solution"]
for what, n, pair in (
    ("published", 10_000, (published["GLL"], published["BackLink, l = 1"])),
    ("this page", len(tiny.test_y), (last["GLL"].mean(), last["BackLink, l = 1"].mean())),
):
    errors = [100 * (p / 100 * (1 - p / 100) / n) ** 0.5 for p in pair]
    both = (errors[0] ** 2 + errors[1] ** 2) ** 0.5
    print(f"{what}: GLL ± {errors[0]:.2f}, BackLink ± {errors[1]:.2f}, difference {pair[0] - pair[1]:.2f} ± {both:.2f}")

# %% [markdown] tags=["solution"]
# $\sqrt{p(1-p)/n}$. The published difference is five of its standard errors: no luck of the test images. Ours is
# between two and three. The two networks meet the same test images, so their errors are not independent, and the
# true deviation of the difference is smaller. But another initial weight and another order of the batches change an
# error as well. Only several seeds show that, and no formula for test images.

# %% [markdown]
# ### Fewer, larger steps
#
# InfoPro's recipe has 160 epochs with batches of 1024, at $\eta_0 = 0.8$. How many updates is that, next to BackLink's
# recipe? A table takes BackLink's numbers from one recipe and InfoPro's from the other. What follows for a comparison
# of the two rules?

# %% tags=["solution"]
for name, batch_size, n in (("BackLink's recipe", 512, 200), ("InfoPro's recipe", 1024, 160)):
    print(f"{name:18}{-(-50_000 // batch_size) * n:7,} updates")

# %% [markdown] tags=["solution"]
# Less than half as many. The BackLink paper's rows of DGL and InfoPro are the numbers of InfoPro's paper
# ([docs/papers.md](../docs/papers.md)), by InfoPro's recipe; its rows of GLL and BackLink are by its own. A difference
# of such rows is one of rule *and* recipe. `minilocal reproduce backlink-table3` trains all rows by one recipe.

# %% [markdown]
# ## Not shown
#
# * Anything of a GPU. No number on this page was measured on one, and no published error of the full table has been
#   reproduced with minilocal. [docs/gpu.md](../docs/gpu.md) says what is proven about the code for GPUs, and
#   [docs/results](../docs/results/README.md) what has been run.
# * That the order of the rules at full size is that of the tiny run. A few epochs end long before any rule has learnt
#   what it can. The published errors of BP, GLL and BackLink are those above.
# * CIFAR-10 itself, unless its files were there. [Three curves on a tenth of
#   it](../docs/benchmarks/cifar10-resnet32/README.md), one seed, do not rank rules.
# * Other splits, networks and data sets: `minilocal reproduce --list`.
#
# Next: [lesson 11](11_own_rule.ipynb), a rule of your own.
