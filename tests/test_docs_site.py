"""The documentation site, built with every warning an error, and its own parts; skipped where Sphinx is missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html import unescape
from importlib import import_module
from pathlib import Path

import pytest

from tests.helpers.browser import dom_of, in_a_browser, title_of

pytest.importorskip("sphinx", reason="the docs extra is not installed: pip install -e '.[docs]'")
pytest.importorskip("myst_nb", reason="the docs extra is not installed: pip install -e '.[docs]'")

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs" / "_ext"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it."""
    out = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-c", "docs"]
    result = subprocess.run(
        [*words, "-d", str(out / "doctrees"), ".", str(out / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return out / "html"


def page(site: Path, name: str) -> str:
    return (site / f"{name}.html").read_text("utf-8")


def test_it_needs_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|img|iframe|link rel="stylesheet")[^>]*?(?:src|href)="(https?:[^"]*)"', path.read_text("utf-8")
        )
        assert loaded == [], path


def test_every_link_inside_leads_to_a_file(site):
    missing = set()
    for path in site.rglob("*.html"):
        if "_static" in path.parts:  # the theme's templates
            continue
        for target in re.findall(r'(?:href|src)="([^"#?]+)', path.read_text("utf-8")):
            if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists():
                missing.add((str(path.relative_to(site)), target))
    assert missing == set()


def test_the_reference_has_every_command_option_key_and_function(site):
    from minilocal.cli import COMMANDS
    from minilocal.config import FLAGS, TABLES

    commands = page(site, "docs/reference/command-line")
    assert all(f'id="minilocal-{name}"' in commands for name in COMMANDS)
    assert all(f'id="cmdoption-minilocal-train-{flag[2:]}"' in commands for flag in FLAGS)
    keys = page(site, "docs/reference/configuration")
    for name, table in TABLES.items():
        assert all(f'id="confval-{name}.{key}"' in keys for key in table.__struct_fields__ if key != "options")
    assert 'id="minilocal.nets.resnet"' in page(site, "docs/reference/api/nets")
    assert 'id="minilocal.objectives.classifier"' in page(site, "docs/reference/api/objectives")


def test_lessons_have_their_outputs_and_files(site):
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        text = page(site, f"notebooks/{path.stem}")
        assert "<math" in text and "cell_output" in text
        downloads = {Path(target).name for target in re.findall(r'href="([^"]+\.ipynb)"', text)}
        assert path.name in downloads
        assert len(json.loads(path.read_text("utf-8"))["cells"]) > 10


SEEN = (
    "docs/index", "docs/course", "notebooks/04_backlink", "docs/rules/backlink", "docs/notation",
    "docs/reference/configuration", "docs/reference/api/losses",
)  # fmt: skip
WIDTHS = (390, 1280)
PROBE = """<!doctype html><title>not run</title><body>{frames}<script>
const channel = v => (v /= 255, v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
const light = c => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
function behind(element, view) {{
  for (let e = element; e; e = e.parentElement) {{
    const c = numbers(view.getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c;
  }}
  return [255, 255, 255];
}}
function faint(page, view) {{
  let least = 99, where = '';
  const kinds = new Set();
  for (const e of page.querySelectorAll('article :is(p, li, code, pre span, h2, a, th)'))
    if (!kinds.has(e.tagName + e.className + e.parentElement.className) && e.offsetParent && e.textContent.trim()) {{
      kinds.add(e.tagName + e.className + e.parentElement.className);
      const pair = [light(numbers(view.getComputedStyle(e).color)), light(behind(e, view))].sort((a, b) => b - a);
      const ratio = (pair[0] + .05) / (pair[1] + .05);
      if (ratio < least) [least, where] = [ratio, e.tagName + ' ' + e.textContent.trim().slice(0, 30)];
    }}
  return least.toFixed(2) + ' ' + where;
}}
onload = () => document.title = JSON.stringify([...document.querySelectorAll('iframe')].map(frame => {{
  const page = frame.contentDocument, root = page.documentElement;
  const seen = [root.scrollWidth];
  for (const mode of frame.width < 500 ? ['light', 'dark'] : []) {{
    root.dataset.theme = mode;
    seen.push(faint(page, frame.contentWindow));
  }}
  return seen;
}}));</script>"""


@in_a_browser
def test_a_browser_shows_the_pages_on_a_phone_and_on_a_desk_without_overflow_and_with_contrast(site, tmp_path):
    cases = [(name, width) for name in SEEN for width in WIDTHS]
    form = '<iframe src="{}" width="{}" height="900" frameborder="0"></iframe>'
    frames = "".join(form.format((site / f"{name}.html").as_uri(), width) for name, width in cases)
    (tmp_path / "probe.html").write_text(PROBE.format(frames=frames))
    dom = dom_of(tmp_path / "probe.html", tmp_path, "--allow-file-access-from-files")
    seen = json.loads(unescape(title_of(dom)))
    for (name, width), (shown, *faintest) in zip(cases, seen, strict=True):
        assert shown <= width, f"{name} is {shown} pixels wide at {width}"
        for mode, text in zip(("light", "dark"), faintest, strict=False):  # on the phone only
            assert float(text.split()[0]) >= 4.5, f"{name}, {mode}: contrast {text}"


def test_formulas_are_drawn_without_a_script():
    mathml = import_module("mathml").mathml

    assert mathml(r"\big( \alpha \big) \tag{4}", None, block=True).count("<mo") == 2
    assert "<msup>" in mathml("w^n", None) and "…" in mathml(r"1 \dots K", None)
    assert "∑" in mathml(r"\tfrac{1}{C} \textstyle\sum_c s_c", None)


DOCSTRING = """
Two numbers `n` and h_k.        x (N, C)  →  (N, O)

Args:
    n: the first, *
        2 or more.

lr, schedule   the rate
               at the start
seed           a number

    y  = x W + b        (1)

Raises: UserError for a `n` below 2.
""".strip()


def test_a_docstring_becomes_fields_and_blocks():
    rst = import_module("plain_docstrings").rst

    assert "\n".join(rst(DOCSTRING.split("\n"))).strip() == "\n".join(
        [
            r"Two numbers ``n`` and h\_k.",
            "",
            ":Shapes: x (N, C)  →  (N, O)",
            "",
            r":param n: the first, \* 2 or more.",
            "",
            "``lr, schedule``",
            "    the rate at the start",
            "``seed``",
            "    a number",
            "",
            ".. code-block:: text",
            "",
            "    y  = x W + b        (1)",
            "",
            ":Raises: UserError for a ``n`` below 2.",
        ]
    )


def test_a_lesson_has_links_to_where_the_repository_is():
    files = import_module("lesson_files").files

    assert "colab.research" not in files("04_backlink", "", student=True)
    assert "student/04_backlink.ipynb" in files("04_backlink", "", student=True)
    assert "student" not in files("04_backlink", "", student=False)
    linked = files("04_backlink", "someone/minilocal", student=False)
    assert "github/someone/minilocal/blob/main/notebooks/04_backlink.ipynb" in linked
    assert "gh/someone/minilocal/main?labpath=notebooks%2F04_backlink.ipynb" in linked
