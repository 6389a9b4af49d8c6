"""The page: it needs nothing beside it, reads on a phone, and says what its figures show."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from minilocal import draw
from minilocal.draw.images import png
from minilocal.draw.page import Page


class Tags(HTMLParser):
    """Every start tag with its attributes and the tags that it stands in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str], list[tuple[str, dict[str, str]]]]] = []
        self.open: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes), list(self.open)))
        if tag not in ("meta", "img"):
            self.open.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag


def page() -> str:
    page = Page("A < B")
    page.heading("Bytes & seconds")
    page.text("Made by `minilocal demo --epochs <5>`; see [the run](bp-seed0/).")
    page.figure(draw.to_svg(draw.bars({"BP": 1}, label="MB")), "Bytes.", 'BP takes 1 MB, "all" of it.')
    page.images([(png(np.zeros((4, 4, 1), np.uint8)), "A handwritten 3.", "3")])
    page.table([{"rule": "BP", "error": "4.0 %", "run": "[bp](bp/)"}])
    page.words({"K": "how many modules"})
    return page.html()


def test_it_reads_on_a_phone_and_in_the_dark():
    tags = Tags(page()).tags
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in [t[:2] for t in tags]
    (table,) = [inside for tag, _, inside in tags if tag == "table"]
    assert table[-1] == ("div", {"class": "wide"}) and ".wide { overflow-x: auto }" in page()
    assert "prefers-color-scheme: dark" in page()


def test_what_a_figure_and_an_image_show_is_said_in_words():
    tags = Tags(page()).tags
    (svg,) = [attributes for tag, attributes, _ in tags if tag == "svg"]
    assert svg["role"] == "img" and svg["aria-label"] == 'BP takes 1 MB, "all" of it.'
    (image,) = [attributes for tag, attributes, _ in tags if tag == "img"]
    assert image["alt"] == "A handwritten 3." and image["src"].startswith("data:image/png;base64,")


def test_texts_have_code_and_links_and_nothing_else():
    html = page()
    assert "<code>minilocal demo --epochs &lt;5&gt;</code>" in html and "<title>A &lt; B</title>" in html
    links = [attributes["href"] for tag, attributes, _ in Tags(html).tags if tag == "a"]
    assert links == ["bp-seed0/", "bp/"]
    assert "<td class='number'>4.0 %</td>" in html and "<dt>K</dt><dd>how many modules</dd>" in html
