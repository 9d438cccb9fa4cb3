"""Sphinx configuration."""

from importlib.metadata import version as installed_version

import spikecore

project = "spikecore"
author = "spikecore authors"
copyright = f"2026, {author}"
release = version = installed_version("spikecore")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc lists the types
autosummary_generate = False  # api.md lists the names; nothing is written into the sources
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"spikecore {release}"


def list_public_names(app, docname, source):
    """Fill the table of api.md from ``spikecore.__all__``."""
    if docname == "api":
        source[0] = source[0].replace("@public_names@", "\n   ".join(spikecore.__all__))


def setup(app):
    app.connect("source-read", list_public_names)
