"""The site: ``python -m sphinx -W --keep-going -b html docs docs/_build``, without a network.

Pages are plain Markdown that also reads well on GitHub. Markers ``<!-- generated NAME -->`` are
replaced by text from the code and the catalogue.
"""

import os
import re
import sys
from importlib.metadata import version as installed
from pathlib import Path

from docutils.nodes import SkipNode, math, math_block
from math_core import LatexToMathML
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.writers.html5 import HTML5Translator

HERE = Path(__file__).resolve().parent
EQUATIONS = LatexToMathML()
SWEEPS = HERE.parent / "sweeps" / "README.md"
os.environ["PERFCORE_CATALOG"] = str(HERE)  # the user's own entries do not belong on the site
sys.path.insert(0, str(HERE))

import reference  # noqa: E402 - a file next to this one

import perfcore  # noqa: E402

project = "perfcore"
author = "The perfcore developers"
version = release = installed("perfcore")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
highlight_language = "none"
smartquotes = False  # sources are quoted verbatim
myst_heading_anchors = 3
myst_fence_as_directive = ["math"]  # which GitHub sets with MathJax
html_math_renderer = "mathml"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False
napoleon_use_param = False
html_theme = "furo"
html_title = "perfcore"
html_show_copyright = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options: dict[str, object] = {"top_of_page_buttons": []}


def fill(_: Sphinx, name: str, source: list[str]) -> None:
    """Insert generated text into a page, and the page of the sweeps into the site."""
    text = source[0]
    if name == "sweeps":
        text = SWEEPS.read_text(encoding="utf-8")
    text = re.sub(r"\]\((?:\.\./)+sweeps/README\.md", "](/sweeps.md", text)
    source[0] = reference.filled(text)


def set_equation(translator: HTML5Translator, node: math_block) -> None:
    """Write an equation as MathML, which browsers set without a script from elsewhere."""
    told = EQUATIONS.convert_with_local_state(node.astext(), displaystyle=True)
    translator.body.append(f'<div class="math">{told}</div>\n')
    raise SkipNode


def set_inline(translator: HTML5Translator, node: math) -> None:
    """Write a formula in a line."""
    told = EQUATIONS.convert_with_local_state(node.astext(), displaystyle=False)
    translator.body.append(told)
    raise SkipNode


def outdated(_: Sphinx, env: BuildEnvironment, *__: set[str]) -> list[str]:
    """Return the pages that depend on the code or on files outside ``docs``."""
    return [
        name
        for name in env.found_docs
        if name == "sweeps" or reference.MARKER.search(Path(env.doc2path(name)).read_text("utf-8"))
    ]


def explore(app: Sphinx, error: Exception | None) -> None:
    """Write the page that computes next to the pages of the site."""
    if error is None:
        perfcore.explore(output=app.outdir / "explore.html", again="perfcore explore -o page.html")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the event handlers with Sphinx."""
    app.add_html_math_renderer("mathml", (set_inline, None), (set_equation, None))
    app.connect("source-read", fill)
    app.connect("env-get-outdated", outdated)
    app.connect("build-finished", explore)
    return {"parallel_read_safe": True}
