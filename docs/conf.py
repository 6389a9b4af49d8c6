"""The documentation site: `make docs` builds it in build/docs, offline.

Its source folder is the repository: a page has the same path here as there, so one link works in both.
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS / "_ext"), str(DOCS.parent)]

import minilocal  # noqa: E402

project = "minilocal"
author = "The minilocal authors"
version = release = minilocal.__version__
language = "en"
repository = ""  # OWNER/NAME on GitHub, once there is one: lessons then link to Colab and Binder
smartquotes = False  # `--seed` stays as it is

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "api",
    "code_links",
    "command_line",
    "configuration",
    "explorer_page",
    "lesson_files",
    "mathml",
    "navigation",
    "plain_docstrings",
    "repository_files",
]
root_doc = "docs/index"
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}
include_patterns = ["*.md", "docs/**/*.md", "docs/**/*.rst", "docs/*.md", "notebooks/*.ipynb"]
exclude_patterns = [".*", "**/.*", "build", "dist", "minilocal", "tests"]

# Which pages stand below which: the sidebar, and the order of "next". A pattern may fit nothing yet.
navigation = {
    "docs/index": [
        "Start <README>", "docs/course", "docs/howto", "docs/reference", "docs/explanation", "docs/results/README",
    ],
    "README": ["CONTRIBUTING", "CHANGELOG"],
    "docs/course": ["notebooks/*", "docs/teach*", "docs/explorer*"],
    "docs/howto": [
        "docs/your-own", "docs/data", "docs/runs", "docs/sweeps", "docs/reproduce", "docs/report", "docs/parallel",
        "docs/gpu", "docs/howto/*",
    ],
    "docs/reference": [
        "docs/rules", "docs/rules/*", "docs/notation", "docs/reference/command-line", "docs/reference/configuration",
        "docs/reference/api",
    ],
    "docs/reference/api": ["docs/reference/api/*"],
    "docs/explanation": [
        "docs/tour", "docs/glossary", "docs/design", "docs/measurement", "docs/papers", "docs/convergence",
    ],
    "docs/results/README": [
        "docs/results/trust", "docs/results/weights/README", "docs/results/*/report", "docs/benchmarks/rules",
        "docs/benchmarks/memory",
        "docs/benchmarks/cpu", "docs/benchmarks/parallel", "docs/benchmarks/readings",
        "docs/benchmarks/cifar10-resnet32/README",
    ],
    "docs/benchmarks/cpu": ["docs/benchmarks/cpu-*"],
    "docs/benchmarks/cifar10-resnet32/README": ["docs/benchmarks/cifar10-resnet32/report/report"],
}  # fmt: skip

nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of NumPy, CuPy and the standard library: no inventory offline
suppress_warnings = [
    "myst.header",  # tables that commands have written begin with their own level of heading
]

nb_execution_mode = "off"  # `make notebooks` runs the lessons; the site shows what they have stored
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 6
myst_heading_slug_func = "github"
html_math_renderer = "mathml"

autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"
modindex_common_prefix = ["minilocal."]

html_theme = "pydata_sphinx_theme"
html_title = "minilocal"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = True
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "show_prev_next": True,
    "secondary_sidebar_items": {"**": ["page-toc"], "docs/course": [], "docs/notation": []},  # wide tables
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"docs/index": []}
copyright = "the minilocal authors, MIT licence"

linkcheck_timeout = 20
linkcheck_anchors = False
