"""The explorer's page: one file that needs no other, small, and in a browser the numbers of its data."""

from __future__ import annotations

import json
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import minilocal as ml
from minilocal.draw.style import MODULES
from minilocal.explorer import choices, html, points, write
from minilocal.explorer.choices import CHOICES, Variant
from minilocal.explorer.points import data
from tests.helpers.browser import dom_of, in_a_browser, title_of

WIDTHS = (390, 1280)
FEW = [
    Variant("bp"), Variant("gll", "1c2f"), Variant("backlink", "1c2f", 0), Variant("backlink", "1c2f", 1),
    Variant("backlink", "1c2f", 2), Variant("dni"), Variant("fdg"), Variant("interlocking", "1c2f", 1),
    Variant("interlocking", "1c2f", 2), Variant("auglocal", "", 2),
]  # fmt: skip


@pytest.fixture(scope="module")
def content() -> Any:
    """ResNet-32 at K = 2 and 4 with some rules."""
    results = Path(__file__).parents[2] / "docs" / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(points, "variants", lambda: iter(FEW))
        patch.setattr(choices, "counts", lambda units: [2, 4])
        return data(["resnet32"], results)


class Tags(HTMLParser):
    """The tags of a page with their attributes, and those that are not closed."""

    VOID = ("meta", "input", "br", "img", "link", "hr")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_one_file_well_formed_and_labelled(content, tmp_path):
    page = html(content)
    parsed = Tags(page)
    assert parsed.open == [] and not re.findall(r"(?:src|href)\s*=|url\((?!#)|@import|fetch\(", page)
    labels = {facts.get("for") for tag, facts in parsed.tags if tag == "label"}
    fields = [facts["id"] for tag, facts in parsed.tags if tag in ("input", "select")]
    assert len(fields) == 8 and set(fields) <= labels
    assert len(page.encode()) < 200_000


def test_the_data_survive_and_no_text_can_end_the_script(content):
    page = html({**content, "variants": {"bp//": "</script>"}})
    text = re.search(r"const DATA = (.*);\n", page)
    assert text is not None and json.loads(text[1])["points"] == json.loads(json.dumps(content["points"]))
    assert page.count("</script>") == 1


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        shares = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mixed(colour: str, share: float) -> str:
    """A colour over white."""
    return "#" + "".join(f"{round(share * int(colour[i : i + 2], 16) + (1 - share) * 255):02x}" for i in (1, 3, 5))


def test_contrast_is_that_of_wcag_aa(content):
    page = html(content)
    ink, faint = re.findall(r'const ink = "(#\w+)", faint = "(#\w+)"', page)[0]
    for colour in MODULES:
        assert contrast("#fff", colour) >= 4.5
        assert min(contrast(ink, mixed(colour, 0.13)), contrast(faint, "#fff")) >= 4.5
    blocks = re.findall(r"--ink: (#\w+); --paper: (#\w+); --faint: (#\w+); --line: #\w+; --code: (#\w+)", page)
    assert len(blocks) == 2  # light and dark
    for ink, paper, faint, code in blocks:
        assert min(contrast(ink, paper), contrast(faint, paper), contrast(ink, code)) >= 4.5


def test_a_network_that_is_not_offered_is_named(tmp_path):
    with pytest.raises(ml.UserError, match="network 'resnet33'"):
        write(tmp_path / "page.html", networks=["resnet33"])
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_is_refused_before_any_point(tmp_path):
    points_made: list[str] = []
    with pytest.raises(ml.UserError, match="No such file or directory"):
        write(tmp_path / "none" / "page.html", networks=["resnet20"], on_point=points_made.append)
    assert points_made == []


# ---------------------------------------------------------------- in a browser


def text_of(dom: str, name: str) -> str:
    """The text of the element with this id."""
    inside = re.search(rf'<(\w+)[^>]*\bid="{name}"[^>]*>(.*?)</\1>', dom, re.DOTALL)
    assert inside is not None, name
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", inside[2])).strip()


def mb(n: float) -> str:
    """Bytes as the page writes them."""
    if n < 1:
        return "0"
    if n >= 1e9:
        return f"{n / 1e9:.2f} GB"
    return f"{n / 1e6:.{2 if n < 1e7 else 1 if n < 1e8 else 0}f} MB" if n >= 1e5 else f"{n / 1e3:.1f} kB"


@in_a_browser
def test_from_a_file_the_numbers_are_those_of_the_data(content, tmp_path):
    page = tmp_path / "explorer.html"
    page.write_text(html(content), "utf-8")
    dom = dom_of(page, tmp_path, hash_="#net=resnet32&K=4&rule=backlink&l=2&alpha=0.25&aux=1c2f&batch=128")
    point, cut = content["points"]["resnet32/4/backlink/2/1c2f"], content["cuts"]["resnet32/4"]
    share = f"{100 * point['total'][0] / cut['baselines']['BP'][0]:.0f} %"
    assert f"BackLink {mb(point['total'][0])} {share}" in text_of(dom, "peaks")
    for k in range(4):
        row = f"{k + 1}: 4 units {mb(point['keeps'][0][k])} {mb(point['waits'][0][k])}"
        assert row in text_of(dom, "modules")
    assert text_of(dom, "ab") == "j = 0: a = 0.25, b = 0.75; j = 1: a = 0.0625, b = 0.5625."
    both = mb(128 * cut["outputs"][0])
    assert f"1 | 2 {both} {both} error of loss 2" in text_of(dom, "crosses")
    up, down = point["messages"][0][0]
    assert f"1 | 2 {mb(up)} {mb(down)}" in text_of(dom, "devices")
    assert f"{100 * point['of_bp']:.0f} % of BP's on one" in text_of(dom, "schedule-says")
    assert text_of(dom, "locks") == "Locks: forward kept, update broken, backward 2 units, 1 up."
    assert text_of(dom, "published").startswith("8.67 % on CIFAR-10; GLL there 10.61 %.")
    assert "8.33 % in 1 trial of backlink-table3, scale tiny: digits, not CIFAR-10" in text_of(dom, "ours")
    pictures = re.findall(r"<svg[^>]*>", dom)
    assert len(pictures) == 2 and all('role="img"' in p and re.search(r'aria-label="[^"]{30,}"', p) for p in pictures)


@in_a_browser
def test_a_link_to_what_is_not_there_says_so(content, tmp_path):
    page = tmp_path / "explorer.html"
    page.write_text(html(content), "utf-8")
    dom = dom_of(page, tmp_path, hash_="#net=resnet1202&K=5&rule=backlink&l=9")
    asked = "The link asks for net = resnet1202, shown is resnet32; K = 5, shown is 4; l = 9, shown is 1."
    assert text_of(dom, "problem") == asked
    dom = dom_of(page, tmp_path, hash_="#rule=predsim")
    assert text_of(dom, "problem") == "The page was made without this point."


@in_a_browser
def test_the_slider_has_the_number_of_the_rule(content, tmp_path):
    page = tmp_path / "explorer.html"
    page.write_text(html(content), "utf-8")
    dom = dom_of(page, tmp_path, hash_="#K=4&rule=interlocking&l=2&aux=1c2f&batch=128")
    point, cut = content["points"]["resnet32/4/interlocking/2/1c2f"], content["cuts"]["resnet32/4"]
    assert (text_of(dom, "l-of"), text_of(dom, "l-is"), text_of(dom, "problem")) == ("Modules below, n", "2", "")
    one, two = (mb(128 * n * cut["outputs"][1]) for n in (1, 2))
    assert f"2 | 3 {one} {two} error of losses 3 to 4" in text_of(dom, "crosses")
    up, down = point["messages"][0][1]
    assert down == 2 * up and f"2 | 3 {mb(up)} {mb(down)}" in text_of(dom, "devices")
    dom = dom_of(page, tmp_path, hash_="#K=4&rule=auglocal&l=2")
    assert (text_of(dom, "l-of"), text_of(dom, "l-is")) == ("Blocks, d", "2") and 'id="ab"' not in dom
    dom = dom_of(page, tmp_path, hash_="#K=4&rule=auglocal&l=module")
    assert text_of(dom, "problem") == "The link asks for l = module, shown is 1."
    dom = dom_of(page, tmp_path, hash_="#K=4&rule=dni&l=2")
    assert text_of(dom, "l-of") == "Linked units, l" and re.search(r'<input id="l"[^>]* disabled', dom)


PROBE = """<!doctype html><title>not run</title>{frames}<script>
onload = () => document.title = [...document.querySelectorAll('iframe')].map(frame => {{
  const page = frame.contentDocument, facts = [], wide = [];
  let failed = '';
  frame.contentWindow.onerror = text => {{ failed = text; }};
  const put = (id, value) => {{
    page.getElementById(id).value = value;
    page.getElementById(id).dispatchEvent(new Event('input', {{ bubbles: true }}));
    wide.push(page.documentElement.scrollWidth);
    facts.push(page.getElementById('short').textContent);
  }};
  put('K', 0); put('rule', 'gll'); put('K', 1); put('rule', 'dni'); put('rule', 'fdg'); put('rule', 'bp');
  put('rule', 'backlink'); put('K', 0); put('l', 2); put('batch', 0); put('alpha', 1);
  put('weighting', 'unfolded');
  return [Math.max(...wide), page.getElementById('ab').textContent, failed, ...facts].join('~');
}}).join('|');</script>"""


@in_a_browser
def test_every_control_changes_the_page_and_nothing_overflows(content, tmp_path):
    style, text = "border:0;height:900px;width:{}px", escape(html(content))
    frames = "".join(f'<iframe style="{style.format(width)}" srcdoc="{text}"></iframe>' for width in WIDTHS)
    (tmp_path / "probe.html").write_text(PROBE.format(frames=frames), "utf-8")
    dom = dom_of(tmp_path / "probe.html", tmp_path)
    for result, width in zip(title_of(dom).split("|"), WIDTHS, strict=True):
        wide, weights, failed, *facts = result.split("~")
        assert int(wide) <= width and failed == ""
        assert weights == "j = 0: a = 1, b = 0; j = 1: a = 1, b = 0."
        titles = ["BackLink, K = 2", "GLL, K = 2", "GLL, K = 4", "DNI", "FDG", "BP", "BackLink, K = 4"]
        titles += ["BackLink, K = 2"] * 5
        assert [fact.startswith(title) for fact, title in zip(facts, titles, strict=True)] == [True] * 12
        totals = content["points"]["resnet32/2/backlink/2/1c2f"]["total"]
        assert mb(totals[0]) in facts[9] and mb(totals[-1]) in facts[8]


def test_every_choice_has_a_title_that_the_page_can_sort_by():
    assert len({choice.title for choice in CHOICES.values()}) == len(CHOICES)
