"""BP, GLL, BackLink, Interlocking, ContSup: the cases, from the closed boundary to errors through several modules."""

from __future__ import annotations

from collections.abc import Iterator

from minilocal import boundaries
from minilocal.boundaries import link
from minilocal.objectives import classifier
from minilocal.rules import compose
from minilocal.verify.compare import OWN, Result
from minilocal.verify.synchronous import RuleCase, named, row, single_precision

NETS = ("dropout", "mlp", "resnet8")
CASES: dict[str, list[RuleCase]] = {
    "BP": [
        *(named("bp", net, K) for net in NETS for K in (1, 3)),
        named("bp", "dropout", 2, keep="inputs"),
        named("bp", modules=3, keep="inputs"),
        named("bp", modules=2, accumulate=2),
    ],
    "GLL": [
        *(named("gll", net, K) for net in NETS for K in (1, 2, 4)),
        *(named("gll", modules=3, aux=aux) for aux in ("1c2f", "0c2f", "aux-adapt")),
        named("gll", "wide", 3, aux="2c2f"),
    ],
    "BackLink, literal": [
        *(
            named("backlink", net, K, length=l, alpha=alpha, weighting="literal")
            for net, K, l in (
                ("mlp", 2, 2),
                ("mlp", 3, 1),
                ("mlp", 5, 1),
                ("resnet8", 2, 1),
                ("resnet8", 2, 2),
                ("resnet8", 3, 1),
            )
            for alpha in (0.0, 0.25, 1.0)
        ),
        named("backlink", "resnet8", 2, length=2, alpha=0.25, weighting="literal", keep="inputs"),
        named("backlink", "resnet8", 4, length=3, alpha=0.25, weighting="literal"),
        named("backlink", "dropout", 2, length=2, alpha=0.25, keep="inputs"),
    ],
    "BackLink, unfolded": [
        *(
            named("backlink", net, K, length=l, alpha=alpha, weighting="unfolded")
            for net, K, l in (("mlp", 2, 2), ("mlp", 3, 2), ("resnet8", 2, 2), ("resnet8", 3, 1))
            for alpha in (0.0, 0.25, 1.0)
        ),
        named("backlink", "resnet8", 2, length=2, alpha=0.25, weighting="unfolded", aux="1c2f"),
    ],
    **{
        f"BackLink, {error}": [
            named("backlink", net, K, length=l, alpha=alpha, weighting=weighting, error=error)
            for net, K, l, alpha, weighting in (
                ("mlp", 5, 1, 0.25, "literal"),
                ("mlp", 3, 2, 0.25, "literal"),
                ("mlp", 3, "module", 0.25, "unfolded"),
                ("mlp", 5, 1, 0.0, "literal"),
                ("resnet8", 4, 1, 0.25, "literal"),
                ("resnet8", 2, 2, 0.25, "literal"),
                ("dropout", 4, "module", 0.5, "literal"),
            )
        ]
        for error in ("own-scaled", "total")
    },
    "Interlocking": [
        *(named("interlocking", "mlp", K, reach=n) for K, n in ((5, 0), (5, 1), (5, 2), (5, 3), (3, 2))),
        *(named("interlocking", "resnet8", K, reach=n) for K, n in ((2, 1), (4, 1), (4, 2), (4, 3))),
        named("interlocking", "dropout", 4, reach=2, keep="inputs"),
        named("interlocking", "resnet8", 3, reach=1, aux="1c2f"),
    ],
    "ContSup": [
        *(named("contsup", "resnet8", K, context=c) for K, c in ((2, "image"), (3, "below"), (4, "both"))),
        *(named("contsup", "convolutions", 4, context=c, aux="0c1f") for c in ("image", "below", "both")),
        named("contsup", "wide", 3, context="both"),
    ],
    "BP on ContSup's network": [
        *(named("bp", "resnet8", K, context=c) for K, c in ((2, "image"), (3, "below"), (4, "both"))),
        named("bp", "convolutions", 4, context="both", keep="inputs"),
        named("bp", "convolutions", 4, context="below", accumulate=2),
    ],
    "ContSup and other boundaries": [
        *(
            RuleCase(name, compose(objective=classifier("0c1f"), boundary=boundary, context="both"), "convolutions", 4)
            for name, boundary in (
                ("l 1", link(1, 0.25)),
                ("l 2, total", link(2, 0.25, error="total")),
                ("whole modules, total", link("module", 0.25, "unfolded", "total")),
                ("n 2", boundaries.reach(2)),
            )
        ),
    ],
}
SINGLE = {
    "bp": named("bp", modules=1),
    "gll": named("gll", modules=4),
    "backlink": named("backlink", modules=2, length=2, alpha=0.25),
    "interlocking": named("interlocking", modules=4, reach=2),
    "contsup": named("contsup", modules=4, context="both"),
}


def run(quick: bool = False) -> Iterator[Result]:
    """One row for each rule in float64, then one for each in float32."""
    for name, cases in CASES.items():
        yield row("rules", name, cases[::2] if quick else cases)
    for rule, case in list(SINGLE.items())[-1:] if quick else SINGLE.items():
        ours, jax = single_precision(case)
        yield Result(
            "rules", f"{rule}, float32", f"{OWN} × JAX's own float32 error", 1, ours, OWN * jax, worst=str(case)
        )
