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
# # 6 · In parallel: can modules run at once?
#
# * **You learn** to name the three locks and the rules that break them, to read a pipeline off a Gantt chart and
#   compute its step time, and to train one network in two processes
# * **You need** lessons 3 and 4; NumPy
# * **Time** 45 minutes; the cells run in 2 minutes on two cores, offline
#
# ## Question
#
# Four modules, and a device for each of them. **Can all four work at the same time, and how much faster is a step
# then?**
#
# Under backpropagation (BP) the answer is no, and the reasons have names, from the DNI paper (Jaderberg et al.,
# "Decoupled Neural Interfaces using Synthetic Gradients"):
#
# * **forward lock**: a module runs its forward after the modules below have, on the same batch;
# * **update lock**: a module is updated after the modules above have run their forward;
# * **backward lock**: a module is updated after the modules above have sent their error down.
#
# Before you run anything, write down three guesses:
#
# 1. With BP on four devices, which share of a step does a device wait? And with GLL?
# 2. GLL keeps the forward lock: module 4 needs what module 3 makes of the batch. Can all four devices work at the same
#    time nevertheless?
# 3. BackLink's module needs the error of one neighbour. Is its step longer than GLL's, and what for?

# %%
import inspect
import tempfile
import time
from pathlib import Path

import numpy as np

import minilocal as ml
from minilocal import draw, published
from minilocal.kernels.threads import available
from minilocal.parallel import synchronous
from minilocal.parallel.simulate import Link, ModuleCosts, PartCosts, Placement, first_steps, simulate
from minilocal.parallel.simulate.measure import Measure

RULES = {
    "BP": ml.rules.bp(),
    "GLL": ml.rules.gll(),
    "BackLink, l = 1": ml.rules.backlink(length=1),
    "DDG": ml.rules.ddg(),
    "FDG": ml.rules.fdg(),
}

# %% [markdown]
# ## Picture
#
# What each of four devices does, from the first batch on. The package simulates this: a device does what the real
# program does, in its order, and waits for messages. Here the seconds are made up. Each of 16 units takes 10 ms for its
# forward and 20 ms for its backward, and has an output of 400 kB: a message of 0.2 ms.
#
# A colour is a batch, and its number stands in the bars. A backward is hatched.

# %%
unit = PartCosts(forward=0.010, backward=0.020, backward_weights=0.020, output=400_000, parameters=10_000)
loss = PartCosts(forward=0.001, backward=0.002)


def place(rule, K=4, units=16):
    """K modules of equal units on K devices; each has a loss where the rule gives it one."""
    losses = [loss if rule.objective.is_local or k == K - 1 else None for k in range(K)]
    return Placement(rule, [ModuleCosts((unit,) * (units // K), own, input=400_000) for own in losses])


def picture(name):
    """The first 0.7 seconds."""
    bars, devices = first_steps(place(RULES[name]), steps=6), [f"device {k}" for k in range(1, 5)]
    return draw.gantt(bars, devices, until=0.7, title=f"{name}: the first 0.7 s on four devices")


picture("BP")

# %% [markdown]
# **BP: devices take turns.** A batch goes up, its error comes down, and only then does the next batch enter. One device
# works at a time.

# %%
picture("GLL")

# %% [markdown]
# **GLL: a pipeline.** A module waits for the activation from below, and for nothing from above. So device 1 begins
# batch 1 while the devices above work on batch 0. First the pipeline **fills**: device 4 begins after 120 ms. Then all
# four work all the time, in the **steady state**.

# %%
picture("BackLink, l = 1")

# %% [markdown]
# **BackLink: a pipeline with copies.** On several devices BackLink is unfolded. Device 2 holds a copy of the last unit
# of module 1, and runs it under the loss of module 2. So each device has one part of that unit's gradient. The parts
# are exchanged one step later, and no device waits for an error. The copies are more work on every device but the
# first, which waits for the others.

# %%
picture("DDG")

# %% [markdown]
# **DDG: late errors.** The error of the last loss comes down through all modules, one module in each iteration. The
# pipeline takes longer to fill, and then all four devices work. Lesson 9 asks what late errors do to the weights.
#
# In numbers, in the steady state:

# %%
alone = simulate(place(RULES["BP"], K=1)).step
waits = {}
for name, rule in RULES.items():
    schedule = simulate(place(rule))
    waits[name] = schedule.idle
    shares = "".join(f"{share:5.0%}" for share in schedule.idle)
    print(f"{name:16} step {1000 * schedule.step:5.1f} ms, {alone / schedule.step:.2f} times as fast; waits: {shares}")
assert min(waits["BP"]) > 0.7 and max(waits["GLL"]) < 0.05 and max(waits["DDG"]) < 0.05

# %% [markdown]
# So guess 1: three quarters of a step under BP, next to nothing under GLL. And guess 2: yes. The forward lock costs a
# fill at the start of a run, and no time afterwards.
#
# Which lock a rule breaks is no matter of opinion. The package perturbs one activation or error at a time, and looks
# which updates change, and how many steps later (`minilocal locality`):

# %%
print(f"{'':10}{'forward':10}{'update':10}backward")
for rule in RULES.values():
    print(f"{rule.name:10}" + "".join(f"{lock:10}" for lock in ml.locality.measure(rule)[0].locks))

# %% [markdown]
# "1 unit, 1 up": at most one unit of a module needs an error of the same step, from one module above. That unit is the
# one with a copy.
#
# So a rule has to break the backward lock for modules to work at once. The forward lock alone costs a fill.
#
# ## Equation
#
# No paper numbers these, so the letters are ours. On device $k$ a batch takes $F_k$ seconds for the forward, and $B_k$
# for all that follows: loss, backward, update. A message between modules $k$ and $k+1$ takes, of both devices,
#
# $$c_k = \text{latency} + \frac{\text{bytes}_k}{\text{bandwidth}}, \qquad c_0 = c_K = 0 \tag{a}$$
#
# Under BP modules take turns, and every boundary is crossed twice:
#
# $$T_{\text{BP}} = \sum_{k=1}^{K} (F_k + B_k) + 2 \sum_{k=1}^{K-1} c_k \tag{b}$$
#
# A full pipeline goes at the pace of its slowest module, which has two neighbours:
#
# $$T_{\text{GLL}} = \max_k\, (c_{k-1} + F_k + B_k + c_k) \tag{c}$$
#
# With modules of equal work and free messages that is $1/K$ of BP's step on one device: the **ideal speed-up** is K.
# Two things change $B_k$: under BackLink the copies are in it, and under GLL a module's first unit needs no error at
# its input, so a little less is computed than under BP.
#
# ## Code
#
# What crosses a boundary downward, between real processes: the file that the simulation uses too.

# %%
rank = synchronous.SynchronousRank
for thing in (synchronous.Exchange, synchronous.exchange_at, rank._send_up, rank._share_above, rank._update_linked):
    print(inspect.getsource(thing))

# %% [markdown]
# No rule is named here. A boundary says how many units an error enters, and whether it goes on; that decides what is
# exchanged.
#
# ## Check
#
# **The equations against the simulation.** Five modules of unequal work, with a slow link:

# %%
rng, K = np.random.default_rng(0), 5
F, B = 0.01 + 0.02 * rng.random(K), 0.03 + 0.03 * rng.random(K)
nbytes, link = rng.integers(500_000, 2_000_000, K - 1), Link(latency=0.001, bandwidth=2e8, eager=0)
c = link.latency + nbytes / link.bandwidth  # (a)

T = {
    "BP": (F + B).sum() + 2 * c.sum(),  # (b)
    "GLL": (np.append(0, c) + F + B + np.append(c, 0)).max(),  # (c)
}
for name, expected in T.items():
    rule = RULES[name]
    losses = [PartCosts() if rule.objective.is_local or k == K - 1 else None for k in range(K)]
    units = [PartCosts(f, b, b, output=int(n)) for f, b, n in zip(F, B, [*nbytes, 0], strict=True)]
    costs = [ModuleCosts((u,), own, input=int(n)) for u, own, n in zip(units, losses, [0, *nbytes], strict=True)]
    simulated = simulate(Placement(rule, costs), link).step
    print(f"{name:4} equation {1000 * expected:.3f} ms, simulated {1000 * simulated:.3f} ms")
    assert abs(simulated - expected) < 1e-12

# %% [markdown]
# **The same bits.** Do the weights stay the same? We train ResNet-8, cut into four modules, twice: in this process, and
# in two processes of MPI (**ranks**) at once, two modules each. A rank is another process and cannot import from a
# notebook. So the function goes into a file.


# %%
def train(names, parallel, steps):
    """{rule: its weights after some steps}, trained by all ranks that call this, or by one process alone."""
    kind = ml.parallel.Learner if parallel else ml.Learner
    digits = ml.data.load("digits", limit_train=32 * steps)
    weights = {}
    for name in names:
        net = ml.nets.resnet(8, classes=10, channels=1, size=16, rng=ml.rng(0))
        learner = kind(net, ml.rules.get(name), modules=4, rng=ml.rng(0))
        for x, y in digits.batches(0, 32):
            learner.step(x, y, lr=0.05)
        weights[name] = {n: a.copy() for n, a in learner.parameters().items()}
    return weights


def in_ranks(function, *args, processes=2):
    """What each rank returns; None where MPI is missing."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "work.py"
        file.write_text(f"import time\nimport numpy as np\nimport minilocal as ml\n{inspect.getsource(function)}")
        try:
            return ml.parallel.launch(f"{file}:{function.__name__}", *args, processes=processes)
        except ml.UserError as missing:
            print(f"not run here: {missing}")


# %%
names = ["bp", "gll", "backlink", "ddg", "fdg"]
one, ranks = train(names, False, 5), in_ranks(train, names, True, 5)
for name in names if ranks else ():
    ours, theirs = one[name], ranks[0][name]
    gap = max(abs(ours[n] - theirs[n]).max() for n in ours)
    same = all(np.array_equal(ours[n], theirs[n]) for n in ours)
    print(f"{name:10}largest difference of {len(ours)} arrays: {gap:g}; the same bits: {same}")
    assert same

# %% [markdown]
# Equal, not only close: both programs do the same operations in the same order. (Where MPI is not installed the cell
# says so, and the lesson goes on.)
#
# ## Experiment
#
# How much faster on 2, 4, 8, 16 devices, with the work of a real network? ResNet-32 has 16 units. We time each kind of
# unit on this machine, on one core, and simulate the rest. In place of seeds there are rounds: each measures
# everything anew.

# %% tags=["parameters"] short="rounds, least, KS = 2, 0.002, (1, 2, 4)"
rounds, least, KS = 4, 0.03, (1, 2, 4, 8, 16)  # seconds for which a piece of work is repeated; modules and devices

# %%
IMAGES = 32
net = ml.nets.resnet(32, rng=ml.rng(0))
modules = {
    (name, K): ml.Learner(net, rule, modules=K, rng=ml.rng(0)).modules for name, rule in RULES.items() for K in KS
}


def schedules(table):
    """{(rule, K): its schedule} by the costs in the table; those that it does not hold are measured."""
    measure = Measure(net, IMAGES, table, least=least)
    return {(name, K): simulate(Placement(RULES[name], measure.modules(m))) for (name, K), m in modules.items()}


# %%
tables = [{} for _ in range(rounds)]
measured = [schedules(table) for table in tables]
speedups = {"ideal": [KS] * rounds}
for name in RULES:
    speedups[name] = [[s["BP", 1].step / s[name, K].step for K in KS] for s in measured]
draw.curves(
    speedups,
    along="modules, and devices, K",
    points=[str(K) for K in KS],
    label="speed-up over BP on one device",
    repeats="rounds",
    title="ResNet-32, simulated from measured units",
)

# %%
print(f"step in % of BP's on one device, mean of {rounds} rounds; in brackets the share in which devices wait\n")
print(f"{'K':16}" + "".join(f"{K:>13}" for K in KS))
print(f"{'ideal, 1/K':16}" + "".join(f"{100 / K:8.1f}     " for K in KS))
for name in RULES:
    shares = 100 * np.mean([[s[name, K].step / s["BP", 1].step for K in KS] for s in measured], axis=0)
    idle = [100 * np.mean([np.mean(s[name, K].idle) for s in measured]) for K in KS]
    cells = (f"{step:8.1f} ({share:2.0f})" for step, share in zip(shares, idle, strict=True))
    print(f"{name:16}" + "".join(cells))

# %% [markdown]
# Read it from your own figure; the seconds are your machine's. In the rounds stored here:
#
# * BP gains nothing from devices, and its devices wait more with each doubling.
# * GLL, DDG and FDG gain with each doubling, and stay above the ideal. Equal numbers of units are not equal work: the
#   slowest module sets the pace, and the others wait for it.
# * BackLink is as fast as GLL at K = 2, where the device without copies is the slowest. At K = 16 a module has one
#   unit, and its device a copy of another one: about twice the step. So guess 3.
#
# ### Two cores, for real
#
# Two ranks on this machine, beside BP in one process, all with one thread each. The ratio is to BP in the same round.


# %%
def seconds(name, parallel, images, steps):
    """Seconds between the ends of steps, the median, once the pipeline is full."""
    ml.use_threads(1)
    kind, K = (ml.parallel.Learner, 2) if parallel else (ml.Learner, 1)
    net, rng = ml.nets.resnet(32, rng=ml.rng(0)), ml.rng(0)
    learner = kind(net, ml.rules.get(name), modules=K, rng=rng)
    x, y = rng.standard_normal((images, *net.shape), dtype="float32"), rng.integers(10, size=images)
    ends = []
    for _ in range(steps + 4):
        learner.step(x, y, lr=1e-4)
        ends.append(time.perf_counter())
    return float(np.median(np.diff(ends[3:])))


# %% tags=["parameters"] short="turns, timed, images = 0, 1, 4"
turns, timed, images = 2, 5, IMAGES

# %%
ratios = {name: [] for name in ("gll", "backlink", "ddg", "fdg")}
for _ in range(turns):
    bp = in_ranks(seconds, "bp", False, images, timed, processes=1)
    if bp is None:
        break
    for name, of_turns in ratios.items():
        of_turns.append(max(in_ranks(seconds, name, True, images, timed)) / bp[0])

print(f"cores here: {available()}; step in two ranks over BP's in one, the ideal is 0.50")
for name, of_turns in ratios.items():
    if of_turns:
        print(f"{name:10}" + "  ".join(f"{ratio:.2f}" for ratio in of_turns))

# %% [markdown]
# These are few steps, and both ranks share memory and caches. Where rounds do not agree, or a ratio is below the ideal,
# other programs ran on these cores as well. The package's own measurement takes turns for half an hour:
# [benchmarks/parallel.md](../docs/benchmarks/parallel.md).
#
# ### Beside the papers

# %%
for row in published.table("backlink_ieee_run_time"):
    remark = f" ({row['remark']})" if row["remark"] else ""
    print(f"{row['method']:9} on {row['devices']}s: at most {row['percent']} % {row['compared']}{remark}")
for row in published.table("fdg_table4"):
    if row["metric"] == "relative_time":
        print(f"{row['method']:13} K = {row['K']}, {row['network']}: {row['value']} % of BP's time")

# %% [markdown]
# BackLink's Fig. 9 is ResNet-110 on real GPUs, in up to 16 modules, and the text says "at most 52 %" less than BP. Our
# simulation gains more as K grows, since a module's work keeps its device busy. A few narrow units do not keep a GPU
# busy: the start of a kernel takes longer than its work.
#
# ## Exercises
#
# ### 6a. The end of each batch
#
# Write `ends`: when module k has finished batch t, from the seconds of forwards and backwards. The pictures of BP and
# GLL show what waits for what; messages take no time here.


# %% tags=["solution"] exercise="6a"
def ends(forward, backward, batches, locked):
    """The second in which each module has finished each batch.        forward, backward (K,)  →  (K, batches)

    One device a module; messages take no time, and wait until they are read. Batch 0 enters at second 0. A module
    forwards a batch when its own batch before is finished and the activation from below has come. Then it passes its
    activation up. Its backward follows at once, or where `locked` after the backward of the module above.
    """
    finished = np.zeros((len(forward), batches))
    for t in range(batches):
        arrived = 0.0
        for k in range(len(forward)):
            before = finished[k, t - 1] if t else 0.0
            arrived = max(arrived, before) + forward[k]
            finished[k, t] = arrived + backward[k]
        if locked:
            for k in reversed(range(len(forward) - 1)):
                finished[k, t] = finished[k + 1, t] + backward[k]
    return finished


# %%
passed = ml.teach.check("6a", ends)

# %% [markdown]
# ### 6b. The pace of a pipeline
#
# Write `step_time`: (a) and (c), and the share of a step in which each device waits.


# %% tags=["solution"] exercise="6b"
def step_time(work, nbytes, latency, bandwidth):
    """(step, idle) of GLL's pipeline in its steady state.        work (K,), nbytes (K-1,)  →  seconds, (K,)

    One device a module, which needs work[k] seconds a batch. Module k sends nbytes[k] to module k+1: that takes latency
    + nbytes / bandwidth seconds of both devices. `idle` is the share of a step in which a device neither works nor has
    a message.
    """
    c = latency + nbytes / bandwidth
    own = work + np.append(0.0, c) + np.append(c, 0.0)
    return own.max(), 1 - own / own.max()


# %%
passed = ml.teach.check("6b", step_time)

# %% [markdown]
# ### 6c. Open: a better cut
#
# Four modules of four units each do not take the same time. Which of them is the slowest, and why? `ml.split.balanced`
# cuts a list of costs so that the largest module costs as little as it can. What does GLL's step become, on four
# devices, with the costs of your first round? (`tables[0]` has them; `Measure(net, IMAGES, tables[0])` times nothing
# that is in it.)

# %% tags=["solution"]
measure = Measure(net, IMAGES, tables[0], least=least)
even = measure.modules(modules["GLL", 4])
costs_of_units = [u.forward + u.backward + u.update for module in even for u in module.units]
cut = ml.split.balanced(costs_of_units, 4)
better = measure.modules(ml.Learner(net, RULES["GLL"], modules=cut, rng=ml.rng(0)).modules)
for sizes, costs in (([4, 4, 4, 4], even), (cut, better)):
    schedule = simulate(Placement(RULES["GLL"], costs))
    shares = " ".join(f"{share:4.0%}" for share in schedule.idle)
    print(f"{sizes}: {100 * schedule.step / measured[0]['BP', 1].step:.1f} % of BP's step; devices wait {shares}")

# %% [markdown] tags=["solution"]
# The blocks of a ResNet have nearly equal multiply-adds, but not equal seconds: those of the lower stages have larger
# maps, and the stem is a single convolution. So the slowest module is one with many blocks of the lower stages and
# without the stem. The cut takes a unit from it and gives it to the top. It cannot reach 1/4: units are not divided.

# %% [markdown]
# ### 6d. Open: what a longer link costs
#
# How does BackLink's step grow with l = 1, 2, 4, on four devices? Say first what a device does more. Then make the link
# between devices slower, 100 MB a second: which rule suffers most, and why?

# %% tags=["solution"]
links = {"GLL": ml.rules.gll()} | {f"BackLink, l = {n}": ml.rules.backlink(length=n) for n in (1, 2, 4)}
for bandwidth in (2.7e9, 1e8):
    print(f"{bandwidth / 1e6:.0f} MB a second")
    for name, rule in links.items():
        costs = measure.modules(ml.Learner(net, rule, modules=4, rng=ml.rng(0)).modules)
        schedule = simulate(Placement(rule, costs), Link(bandwidth=bandwidth))
        share = 100 * schedule.step / measured[0]["BP", 1].step
        print(f"  {name:16}{share:6.1f} % of BP's step, {schedule.nbytes / 1e6:.1f} MB sent in a step")

# %% [markdown] tags=["solution"]
# Every device but the first runs l units of the module below as well, forward and backward. With modules of four units
# l = 4 is another module's work: the step nearly doubles. A link is free only where the slowest device has no copies,
# as at K = 2 in the table above.
#
# Over the slow link a module between two others needs the time of two messages more, under every rule. BackLink sends
# gradients as well. With l = 2 the most bytes are sent, and in the runs stored here that link loses most.

# %% [markdown]
# ## Not shown
#
# * GPUs. Two processes on two cores share memory and caches; two GPUs have a link that may be slower than a module.
#   [parallel.md](../docs/parallel.md) has the arithmetic for it, and no run on several GPUs has been made.
# * The memory of each device. A pipeline splits the network's memory as well: `simulate(...).memory`, and lesson 5.
# * What a rule learns. DDG and FDG are the fastest here, and their errors are late: [lesson 9](09_late_errors.ipynb).
# * Other pipelines. BP with micro-batches (GPipe) fills and drains once a step, and keeps BP's gradient.
# * `minilocal simulate` does all of this for any network, rule and link; `minilocal train --processes 2` trains so.
