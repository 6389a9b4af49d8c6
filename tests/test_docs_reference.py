"""The reference, held without Sphinx: a page for each public package, a meaning for each key, a place for each page."""

from __future__ import annotations

import ast
import inspect
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

import minilocal as ml
from minilocal import reproduce
from minilocal.cli.train import HELP
from minilocal.config import FLAGS, SWITCHES, TABLES
from minilocal.rules.option_docs import args

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
API = DOCS / "reference" / "api"
CONF = ast.parse((DOCS / "conf.py").read_text("utf-8"))
PACKAGES = {name: getattr(ml, name) for name in ml.__all__ if inspect.ismodule(getattr(ml, name))}
PACKAGES |= {"minilocal": ml, "reproduce": reproduce}


def setting(name: str) -> object:
    """The value of a name in docs/conf.py, which is read and not run."""
    for node in CONF.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    raise KeyError(name)


def test_every_public_package_has_a_page_and_a_row():
    pages = {path.stem: path.read_text("utf-8") for path in API.glob("*.rst")}
    assert sorted(pages) == sorted(PACKAGES) and len(PACKAGES) > 20
    for name, text in pages.items():
        assert text.endswith(f"\n.. api:: {PACKAGES[name].__name__}\n")
        title, line = text.splitlines()[:2]
        assert line == "=" * len(title)
    rows = re.findall(r"\(api/(\w+)\.rst\)", (DOCS / "reference" / "api.md").read_text("utf-8"))
    assert sorted(rows) == sorted(pages)


@pytest.mark.parametrize("name", TABLES)
def test_every_key_has_a_meaning(name):
    table = TABLES[name]
    written = args(inspect.getdoc(table) or "")
    flags = {FLAGS[flag]: flag for flag in HELP if flag not in SWITCHES or SWITCHES[flag]}
    keys = [key for key in table.__struct_fields__ if key != "options"]
    assert set(written) <= set(keys)
    assert [key for key in keys if key not in written and f"{name}.{key}" not in flags] == []


def places() -> list[str]:
    """Every page that the navigation names, in patterns."""
    tree = setting("navigation")
    assert isinstance(tree, dict)
    return ["docs/index", *(re.sub(r".*<(.*)>", r"\1", child) for children in tree.values() for child in children)]


PAGES = sorted(
    str(path.relative_to(ROOT).with_suffix(""))
    for pattern in ("*.md", "docs/**/*.md", "docs/**/*.rst", "notebooks/*.ipynb")
    for path in ROOT.glob(pattern)
)


def test_every_page_has_one_place_in_the_navigation():
    """Sphinx warns of a page without a place only where it is installed."""
    counts = {
        page: sum(fnmatch(page, place) and page.count("/") == place.count("/") for place in places()) for page in PAGES
    }
    assert {page for page, count in counts.items() if count != 1} == set()


def test_the_navigation_names_pages_that_exist():
    tree = setting("navigation")
    assert isinstance(tree, dict) and set(tree) <= set(PAGES)
    assert [place for place in places() if "*" not in place and place not in PAGES] == []


def test_the_index_leads_to_every_section():
    tree = setting("navigation")
    assert isinstance(tree, dict)
    text = (DOCS / "index.md").read_text("utf-8")
    for child in tree["docs/index"]:
        page = re.sub(r".*<(.*)>", r"\1", child)
        assert f"]({Path('../', page) if '/' not in page else page.removeprefix('docs/')}.md)" in text
