"""A line or two for each command that work as they are, shown at the end of its help."""

EXAMPLES = {
    "demo": ("minilocal demo", "minilocal demo --seed 1 --out runs/another"),
    "train": (
        "minilocal train --rule backlink --length 2 --net resnet8 --modules 4 --epochs 5",
        "minilocal train --rule compose --set rule.objective=classifier --set rule.boundary=link:length=2,alpha=0.25",
        "minilocal train --rule gll --net resnet8 --modules 4 --processes 2 --epochs 5",
        "minilocal train --rule pgl --help",
        "minilocal train --preset backlink-conv --show",
    ),
    "sweep": (
        "minilocal sweep --rule backlink,gll --set rule.alpha=0.25,0.5 --net resnet8 --seeds 0-4 --jobs 2",
        "minilocal sweep --modules '3,3,2;4' --net resnet8 --lr 0.1,0.05 --epochs 5 --out sweeps/cuts --list",
        "minilocal sweep --rule bp,gll --net resnet32 --dataset cifar10 --seeds 0-2 --device cuda:0,1",
    ),
    "reproduce": (
        "minilocal reproduce --list",
        "minilocal reproduce backlink-table3 --rows 'cifar10-resnet32-*' --cells '*-bp,*-K16' --jobs 2",
        "minilocal reproduce backlink-table3 --scale small --trials 3 --device cuda:0,1",
    ),
    "report": ("minilocal report runs", "minilocal report 'runs/*-seed?' --format md,csv --out results"),
    "predict": (
        "minilocal predict runs/backlink-resnet8-digits-seed0",
        "minilocal predict digits-resnet8-backlink-l1-K4.npz --images mine.npz",
    ),
    "export": (
        "minilocal export runs/backlink-resnet8-digits-seed0",
        "minilocal export --table digits-resnet8-backlink-l1-K4.npz digits-resnet8-bp-K1.npz",
    ),
    "verify": ("minilocal verify --only equations",),
    "locality": (
        "minilocal locality --rule backlink --set rule.length=2",
        "minilocal locality --rule compose --set rule.objective=infopro --set rule.boundary=link",
    ),
    "memory": ("minilocal memory --net resnet32 --modules 4,8",),
    "simulate": (
        "minilocal simulate --net resnet32 --modules 2,4 --costs costs.json",
        "minilocal simulate --net resnet20 --rule backlink:length=2 --modules 4 --gantt steps.svg",
    ),
    "explorer": (
        "minilocal explorer --net resnet20",
        "minilocal explorer --out explorer.html --results docs/results",
    ),
    "bench": ("minilocal bench --quick --what steps --net resnet8",),
    "data": ("minilocal data digits", "minilocal data digits --sheet digits.png"),
    "doctor": ("minilocal doctor",),
}
