"""Sphinx's settings. The site is built by ``make docs``; nothing in it asks another machine."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "_ext"))

project = "lexmargin"
author = "lexmargin contributors"
copyright = "lexmargin contributors"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "mathml",
    "formulas",
    "cards",
]

html_theme = "furo"
html_title = "lexmargin"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_extra"] if (Path(__file__).parent / "_extra").is_dir() else []
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_type_aliases = {
    name: name.rpartition(".")[2] for name in ("npt.ArrayLike", "ArrayLike", "FloatArray")
}
autodoc_preserve_defaults = True
napoleon_use_rtype = False
napoleon_use_ivar = True

highlight_language = "python"
pygments_style = "default"
pygments_dark_style = "github-dark"
# The pages of the paper and of the benchmarks are there once they have been made.
suppress_warnings = ["toc.empty_glob"]
exclude_patterns = ["_ext", "_extra"]
