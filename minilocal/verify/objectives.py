"""DGL, PredSim, InfoPro, PGL and compositions: the cases, each a rule with another local objective."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minilocal import boundaries, objectives, rules
from minilocal.rules import Rule, compose
from minilocal.rules.when import periodic
from minilocal.verify.compare import Result
from minilocal.verify.synchronous import RuleCase, row

LAMBDAS = (5.0, 0.5, 0.25, 2.0)
LABELS = (0, 1, 1, 0, 2, 1)  # one label stands alone, so that one anchor of a contrast has no positive


def _case(name: str, rule: Rule, modules: int = 3, net: str = "convolutions", is_global: bool = False) -> RuleCase:
    return RuleCase(name, rule, net, modules, is_global, LABELS)


def _guided(**options: Any) -> Rule:
    """PGL with a global epoch every time, the first included."""
    return rules.pgl(period=1, duration=1, **options)


infopro, predsim, link, weights = objectives.infopro, objectives.predsim, boundaries.link, boundaries.weights
HEADS = objectives.hpff(LAMBDAS, aux="0c1f", own=0.3, patches=1)
CASCADE = compose(objective=HEADS, boundary=boundaries.cascade())
CASES: dict[str, list[RuleCase]] = {
    "DGL": [
        *(
            _case(aux, rules.dgl(aux=aux), K)
            for aux, K in (("mlp-sr", 3), ("mlp-sr-auglocal", 2), ("mlp", 2), ("cnn", 3))
        ),
        _case("mlp-sr", rules.dgl(), 3, "mlp, four units"),
        _case("mlp-sr", rules.dgl(), 3, "wide"),
    ],
    "PredSim": [
        _case("β 0.99", rules.predsim(), 3),
        _case("β 0.99", rules.predsim(), 4, "mlp, four units"),
        _case("β 0.6, few features", rules.predsim(beta=0.6, dim_in_decoder=50, zero=False), 2),
        _case("β 0.6, few features", rules.predsim(beta=0.6, dim_in_decoder=50, zero=False), 2, "wide"),
        _case("β 0", rules.predsim(beta=0.0), 2),
        _case("β 1, the last loss at 1-β", rules.predsim(beta=1.0, final_weight="1-beta"), 2),
        _case("the last loss at 1-β", rules.predsim(beta=0.7, final_weight="1-beta"), 2),
    ],
    "InfoPro, softmax": [
        *(_case("four λ", rules.infopro(lambdas=LAMBDAS), K) for K in (2, 4)),
        _case("published λ, some of them 0", rules.infopro(), 3),
        _case("four λ", rules.infopro(lambdas=LAMBDAS), 3, "wide"),
        _case("own mean", rules.infopro(lambdas=LAMBDAS, mean=0.5, std=[0.4, 0.5, 0.6], aux="0c1f"), 3),
    ],
    "InfoPro, contrast": [
        _case("τ 0.07", rules.infopro(lambdas=LAMBDAS, version="contrast"), 3),
        _case("τ 0.5", rules.infopro(lambdas=LAMBDAS, version="contrast", temperature=0.5, aux="0c2f"), 2),
    ],
    "PGL": [
        _case("AUX-ADAPT", rules.pgl(), 3),
        *(_case("AUX-ADAPT", _guided(), K, is_global=True) for K in (2, 4)),
        _case("0c1f", _guided(aux="0c1f"), 3, "mlp, four units", True),
    ],
    "AugLocal": [
        *(_case(f"d {d}", rules.auglocal(depth=d), K, net) for d, K, net in ((1, 3, "wide"), (2, 4, "resnet8"))),
        _case("d 3, τ 1", rules.auglocal(depth=3, tau=1.0), 3),
    ],
    "HPFF": [
        _case("four λ", rules.hpff(lambdas=LAMBDAS, aux="0c1f", own=0.4), 4),
        _case("whole maps", rules.hpff(lambdas=LAMBDAS, aux="0c1f", patches=1, keep="inputs"), 3),
        _case("own 0", rules.hpff(lambdas=LAMBDAS, aux="0c1f", own=0.0, patches=1), 3),
        _case("cascade 0, contrast", rules.hpff(version="contrast", aux="0c2f", own=1.0, cascade=0.0), 3, "wide"),
        _case("1 module", rules.hpff(), 1),
    ],
    "HPFF's objective, other boundaries": [
        _case("l 2", compose(objective=HEADS, boundary=link(2)), 3),
        _case("total", compose(objective=HEADS, boundary=link("module", 0.25, error="total")), 4),
        _case("a global epoch", _guided(around=CASCADE), 3, is_global=True),
    ],
    "A cascade of other objectives": [
        _case("a classifier", compose(objective=objectives.classifier(), boundary=boundaries.cascade()), 4, "resnet8"),
        _case("InfoPro", compose(objective=infopro(LAMBDAS), boundary=boundaries.cascade()), 3),
    ],
    "MAN": [
        *(_case(f"bias {bias}", rules.man(bias=bias), K) for bias, K in (("unit", 4), ("channel", 3), ("none", 2))),
        _case(
            "start random, λ by stage",
            rules.man(start="random", interpolate="stage", lambdas=(5, 0.5, 4, 0.4)),
            4,
            "wide",
        ),
        _case("contrast", rules.man(version="contrast", aux="0c2f"), 3, "resnet8"),
        _case("a classifier", compose(objective=objectives.classifier(), boundary=weights()), 4, "mlp, four units"),
        _case("dropout", compose(objective=objectives.classifier("0c2f"), boundary=weights()), 4, "dropout"),
        _case("two micro-batches", compose(objective=objectives.classifier(), boundary=weights(), accumulate=2), 3),
        _case("PGL around it", _guided(around=rules.man()), 3, is_global=True),
    ],
    "BackLink and InfoPro": [
        _case("l 1", compose(objective=infopro(LAMBDAS, aux="0c1f"), boundary=link(1)), 3),
        _case("l 2, contrast", compose(objective=infopro(LAMBDAS, version="contrast"), boundary=link(2, 0.25)), 2),
    ],
    "BackLink and PredSim": [
        _case("l 1", compose(objective=predsim(0.6), boundary=link(1)), 3),
        _case("l 2", compose(objective=predsim(0.6), boundary=link(2, 0.25)), 2, "mlp, four units"),
    ],
    "BackLink and other networks": [
        _case("mlp-sr, l 2", rules.backlink(length=2, alpha=0.25, aux="mlp-sr"), 2),
        _case("AUX-ADAPT, l 1", rules.backlink(aux="aux-adapt", alpha=0.25), 3),
    ],
    "Auxiliary networks with options": [
        *(
            _case(aux, rules.backlink(aux=aux, alpha=0.25), 3, "few pixels")
            for aux in ("1c2f+bn", "1c2f+dropout", "1c3f+bn+dropout", "0c1f+flat", "1c2f+flat+bn")
        ),
        _case("0c2f+dropout", rules.gll(aux="0c2f+dropout"), 3, "mlp, four units"),
        _case("aux-adapt+bn", rules.pgl(aux="aux-adapt+bn"), 3, "few pixels"),
        _case("InfoPro, 1c2f+bn", rules.infopro(lambdas=LAMBDAS, aux="1c2f+bn"), 2, "few pixels"),
    ],
    "PGL and BackLink": [
        _case("l 2", rules.pgl(around="backlink:length=2,alpha=0.25"), 2),
        _case("l 2", _guided(around="backlink:length=2,alpha=0.25"), 2, is_global=True),
        _case(
            "by compose, inputs kept",
            compose(objective=objectives.classifier("0c2f"), boundary=link(), when=periodic(1, 1), keep="inputs"),
            3,
            is_global=True,
        ),
    ],
    "PGL and ContSup": [
        _case(context, _guided(around=f"contsup:context={context}"), 4, is_global=True) for context in ("image", "both")
    ],
    "ContSup and InfoPro": [
        _case("R1E", compose(objective=infopro(LAMBDAS), boundary=boundaries.closed(), context="both"), 4),
    ],
    "PGL and InfoPro": [_case("four λ", _guided(around=rules.infopro(lambdas=LAMBDAS)), 3, is_global=True)],
}


def run(quick: bool = False) -> Iterator[Result]:
    """One row for each rule and composition."""
    for name, cases in CASES.items():
        yield row("objectives", name, cases[:1] if quick else cases)
