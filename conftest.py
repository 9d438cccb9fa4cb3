"""Runs the examples of README.md, docs/ and the docstrings, and shares the pytest set-up.

In Markdown, every fenced block marked ``python`` runs, doctests and plain code
alike; ``<!-- skip: next -->`` above a block keeps it from running. All blocks of
a file share their names and run in order, in an empty temporary directory.
"""

import os
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sybil import Sybil
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

FLAGS = ELLIPSIS | NORMALIZE_WHITESPACE


def enter_empty_directory(namespace):
    namespace["_home"] = Path.cwd()
    namespace["_directory"] = TemporaryDirectory()
    os.chdir(namespace["_directory"].name)


def leave_directory(namespace):
    os.chdir(namespace["_home"])
    namespace["_directory"].cleanup()


markdown = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=FLAGS), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=enter_empty_directory,
    teardown=leave_directory,
)
docstrings = Sybil(
    parsers=[DocTestParser(optionflags=FLAGS)],
    patterns=["spikecore/*.py", "spikecore/**/*.py"],
    setup=enter_empty_directory,
    teardown=leave_directory,
)
pytest_collect_file = (markdown + docstrings).pytest()


def pytest_collection_modifyitems(items):
    """Warn of files left open by an example: Sybil 10 cannot show an error raised outside it."""
    for item in items:
        if isinstance(item, SybilItem):
            item.add_marker(
                pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
            )


@pytest.fixture(scope="module")
def fast_ways():
    """Let networks of any size take the ways that are chosen for large ones."""
    from spikecore.backends.event import choice

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "SMALL", -1)
        yield
